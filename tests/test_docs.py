"""The docs say what is there: commands parse, files exist, arguments are the functions', papers have references."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

from tfdeepfake.cli import main

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    page
    for pattern in (
        "*.md",
        "docs/*.md",
        "benchmarks/*.md",
        "saved_models/*.md",
        "tfds_builders/*/*.md",
        "train_scripts/*.md",
        "tests/*/*.md",
    )
    for page in ROOT.glob(pattern)
)
CODE = sorted(
    path
    for folder in ("tfdeepfake", "tfds_builders", "train_scripts", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if not path.stem.endswith("_test")
)
COMMAND = re.compile(r"^(?: {4,}|.*?\$ )(tfdeepfake .*)$", re.MULTILINE)


def name(path):
    return path.relative_to(ROOT).as_posix()


def commands():
    """(file, command) of every `tfdeepfake VERB ...` in an indented block of a page or a docstring."""
    texts = [(page, page.read_text(encoding="utf-8")) for page in PAGES]
    texts += [
        (path, ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False) or "") for path in CODE
    ]
    for path, text in texts:
        for command in COMMAND.findall(re.sub(r"\\\n\s*", " ", text)):
            command = re.sub(r"\s+#\s.*$|\s{2,}#.*$", "", command)
            if "..." not in command and "[" not in command:
                yield pytest.param(command, id=f"{name(path)}: {command[:60]}")


@pytest.mark.parametrize("command", list(commands()))
def test_every_command_that_is_shown_parses(command, capsys):
    try:
        main.parser().parse_args(shlex.split(command)[1:])
    except SystemExit as end:
        assert end.code == 0, capsys.readouterr().err


@pytest.mark.parametrize("path", ["Dockerfile", "compose.yaml", "docs/scale.md"])
def test_containers_begin_the_server_with_flags_that_it_has(path):
    lists = re.findall(r"\[\"?(/models/demo\b.*?)\]", (ROOT / path).read_text(encoding="utf-8"))
    assert len(lists) == 1
    words = [word.strip(' "') for word in lists[0].split(",")]
    args = main.parser().parse_args(["serve", *words])
    assert args.model == "/models/demo" and args.host == "0.0.0.0"


def test_every_script_that_is_shown_runs():
    texts = [path.read_text(encoding="utf-8") for path in (*PAGES, *CODE)]
    files = {file for text in texts for file in re.findall(r"python ((?:\w+/)+\w+\.py)", text)}
    modules = {
        dotted for text in texts for dotted in re.findall(r"python -m ((?:tfdeepfake|train_scripts)[\w.]*)", text)
    }
    files |= {dotted.replace(".", "/") + ".py" for dotted in modules}
    paths = [ROOT / file if (ROOT / file).exists() else (ROOT / file).with_suffix("") / "__main__.py" for file in files]
    assert len(paths) > 5
    assert [path for path in paths if not path.exists() or not runs(path)] == []


def runs(path):
    return path.name == "__main__.py" or '__name__ == "__main__"' in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_and_modules_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    missing = []
    for quoted in re.findall(r"`([^`\s]+)`", text):
        # my_..., NAME and FAMILY stand for what a reader adds; what runs write is not there.
        if re.search(r"my_|NAME|FAMILY|[*<>{}()=]", quoted):
            continue
        if re.fullmatch(r"(tfdeepfake|tfds_builders|train_scripts|benchmarks|tests|docs)/[\w./-]+", quoted):
            if not (ROOT / quoted).exists():
                missing.append(quoted)
        elif re.fullmatch(r"(tfdeepfake|tfds_builders)(\.\w+)+", quoted) and not exists(quoted):
            missing.append(quoted)
    assert not missing


def exists(dotted):
    """Whether a dotted name is a module, or a name at the top of one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.exists():
                rest = parts[length : length + 1]
                return not rest or bool(re.search(rf"\b{rest[0]}\b", file.read_text(encoding="utf-8")))
    return False


def documented():
    """(file, line, function, names under Args, names of its parameters) of every docstring with arguments."""
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or not ast.get_docstring(node):
                continue
            # Up to the next section or paragraph.
            entries = re.split(r"\n(?!  )", ast.get_docstring(node).partition("Args:\n")[2])[0]
            said = ", ".join(re.findall(r"^  (\*{0,2}\w[\w, *]*): ", entries, re.MULTILINE)).split(", ")
            if said != [""] and parameters(node) is not None:
                yield pytest.param(said, parameters(node), id=f"{name(path)}:{node.lineno} {node.name}")


def parameters(node):
    """Names of a function's parameters or of a dataclass's fields; None for a class that is neither."""
    if isinstance(node, ast.ClassDef):
        init = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        fields = {n.target.id for n in node.body if isinstance(n, ast.AnnAssign)}
        return parameters(init[0]) if init else fields or None
    a = node.args
    named = {one.arg for one in (*a.posonlyargs, *a.args, *a.kwonlyargs)}
    return named | {star + one.arg for star, one in (("*", a.vararg), ("**", a.kwarg)) if one}


@pytest.mark.parametrize(("said", "taken"), list(documented()))
def test_documented_arguments_are_taken(said, taken):
    assert not set(said) - taken - {one.lstrip("*") for one in taken}


def papers(path):
    return set(re.findall(r"arXiv:\d{4}\.\d{4,5}", path.read_text(encoding="utf-8")))


def test_every_paper_that_is_named_has_its_reference():
    cited = set().union(*map(papers, CODE))
    assert len(cited) > 20 and not cited - papers(ROOT / "docs" / "papers.md")


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_import_what_there_is(path):
    """Also where they import inside functions, which no test calls."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tfdeepfake"):
            module = importlib.import_module(node.module)
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")
