"""Hooks of `make docs`: the pages of the site that are not files of docs/, and links between them.

Taken from elsewhere: the READMEs that stand beside the code (`ELSEWHERE`, and one for every data set). Written from
the code: the verbs of the command line and a page of docstrings for every package. A link from any of these to a file
of the checkout becomes a link to that file's page where it has one, or plain text; a link to no file at all stops the
build.
"""

import argparse
import ast
import os
import re
import sys
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
# File of the checkout: page of the site.
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "saved_models/README.md": "saved_models.md",
    "train_scripts/README.md": "presets.md",
}
PACKAGES = ("tfdeepfake", "tfds_builders")
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config):
    """Lists the generated pages in the navigation."""
    for entry in config.nav:
        (title,) = entry
        if title == "Data sets":
            entry[title] = [entry[title], *({name: f"data_sets/{name}.md"} for name in data_sets())]
        elif title == "The Python interface":
            entry[title] = [entry[title], *({name: f"python/{name}.md"} for name in modules())]
    return config


def on_files(files, config):
    """Adds the generated pages."""
    for source, page in sources().items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if page.startswith("data_sets/"):
            text = f"# {page[10:-3]}\n\n{text}"
        files.append(File.generated(config, page, content=site_links(text, source)))
    for name, members in modules().items():
        text = f"# {name}\n\n" + "".join(f"::: {member}\n\n" for member in members)
        files.append(File.generated(config, f"python/{name}.md", content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Leads links out of docs/ to their pages, and puts verbs and packages where a page asks for them."""
    if page.file.abs_src_path and Path(page.file.abs_src_path).is_relative_to(ROOT / "docs"):
        markdown = site_links(markdown, f"docs/{page.file.src_uri}")
    for mark, text in (("<!-- verbs -->", verbs), ("<!-- packages -->", packages)):
        markdown = markdown.replace(mark, text()) if mark in markdown else markdown
    return markdown


def data_sets():
    """Names of the builders that have a README, sorted."""
    return sorted(path.parent.name for path in (ROOT / "tfds_builders").glob("*/README.md"))


def sources():
    """{file of the checkout: page} of the pages that are files elsewhere."""
    return ELSEWHERE | {f"tfds_builders/{name}/README.md": f"data_sets/{name}.md" for name in data_sets()}


def site_links(text, source):
    """Markdown of a file of the checkout with its links as the site has them.

    Raises:
      PluginError: a link leads to no file.
    """
    pages = sources()
    here = pages.get(source, source.removeprefix("docs/"))

    def lead(match):
        image, label, target, anchor = match.groups()
        file = os.path.normpath(os.path.join(os.path.dirname(source), target))
        page = pages.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
        if not (ROOT / file).exists():
            raise PluginError(f"{source} links to {target}, which does not exist.")
        if page is None:
            return label
        return f"{image}[{label}]({os.path.relpath(page, os.path.dirname(here) or '.')}{anchor or ''})"

    return LINK.sub(lead, text)


def modules():
    """{package or top module: dotted names of its modules, itself first}; no tests, no folders of data sets."""
    pages, own = {}, set(data_sets())
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            hidden = any(part.startswith("_") or part.endswith("_test") or part == "templates" for part in parts)
            if not hidden and not own & set(parts):
                pages.setdefault(".".join(parts[:2]), []).append(".".join(parts))
    return {name: sorted(members, key=lambda m: (m != name, m)) for name, members in pages.items()}


def packages():
    """Markdown table of the pages of docstrings."""
    rows = [f"| [`{name}`](python/{name}.md) | {first_line(members[0])} |" for name, members in modules().items()]
    return "\n".join(["| package or module | what for |", "|---|---|", *rows])


def first_line(module):
    """First line of a module's docstring, without its full stop."""
    path = ROOT / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].replace("|", "\\|")


def verbs():
    """Markdown of every verb: what it does, how it is called, and its arguments."""
    sys.path.insert(0, str(ROOT))  # this checkout's, whatever is installed
    from tfdeepfake.cli.main import parser

    (group,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    about = {choice.dest: choice.help for choice in group._choices_actions}
    return "\n\n".join(verb(name, about[name], group.choices[name]) for name in group.choices)


def verb(name, about, parser):
    """Markdown of one verb."""
    formatter = argparse.HelpFormatter(parser.prog, width=100)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups)
    usage = formatter.format_help().strip().removeprefix("usage: ")
    rows = ["| argument | meaning |", "|---|---|"]
    for action in parser._actions:
        if action.dest == "help":
            continue
        shown = formatter._format_action_invocation(action).replace("|", "\\|")
        text = formatter._expand_help(action) if action.help else ""
        text = text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
        rows.append(f"| `{shown}` | {text} |")
    sentence = f"{about[0].upper()}{about[1:]}."
    return f"## {name}\n\n{sentence}\n\n```text\n{usage}\n```\n\n" + "\n".join(rows)
