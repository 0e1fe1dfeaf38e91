"""Writes the .ipynb of every .py in this folder: cells begin with "# %%", text cells with "# %% [markdown]".

    python notebooks/make.py

A line "# %pip ..." or "# !..." of a code cell is a command of the notebook.
"""

import json
import re
from pathlib import Path

FOLDER = Path(__file__).parent


def cells(text: str) -> list[dict]:
    """The cells of a source in order: {"kind": "markdown" or "code", "lines": its lines without marks}."""
    parts = re.split(r"^# %%(.*)\n", text, flags=re.M)[1:]
    in_order = []
    for head, body in zip(parts[::2], parts[1::2], strict=True):
        lines = body.strip("\n").split("\n")
        if "[markdown]" in head:
            lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
        else:
            lines = [re.sub(r"^# (?=%pip|!)", "", line) for line in lines]
        in_order.append({"kind": "markdown" if "[markdown]" in head else "code", "lines": lines})
    return in_order


def notebook(text: str) -> str:
    """The .ipynb of a source, as JSON."""
    out = []
    for number, cell in enumerate(cells(text)):
        source = [line + "\n" for line in cell["lines"][:-1]] + cell["lines"][-1:]
        entry = {"cell_type": cell["kind"], "id": f"cell-{number:02d}", "metadata": {}, "source": source}
        out.append(entry if cell["kind"] == "markdown" else entry | {"execution_count": None, "outputs": []})
    about = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    whole = {"cells": out, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    for source in sorted(FOLDER.glob("*.py")):
        if source.name != Path(__file__).name:
            source.with_suffix(".ipynb").write_text(notebook(source.read_text(encoding="utf-8")), encoding="utf-8")
            print(source.with_suffix(".ipynb"))


if __name__ == "__main__":
    main()
