"""One table as text for a terminal, Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Sequence

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip
Rows = Sequence[Sequence[str]]


def as_text(header: Sequence[str], rows: Rows) -> str:
    """Columns of equal width, two spaces apart."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def as_markdown(header: Sequence[str], rows: Rows) -> str:
    """A table as GitHub shows it."""

    def line(cells):
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(header), "|" + "---|" * len(header), *map(line, rows)])


def as_latex(header: Sequence[str], rows: Rows) -> str:
    """A tabular with the rules of the package booktabs."""

    def line(cells):
        return " & ".join("".join(_LATEX.get(sign, sign) for sign in cell) for cell in cells) + r" \\"

    body = [line(header), r"\midrule", *map(line, rows)]
    columns = "l" * len(header)
    return "\n".join([f"\\begin{{tabular}}{{{columns}}}", r"\toprule", *body, r"\bottomrule", r"\end{tabular}"])


def as_csv(header: Sequence[str], rows: Rows) -> str:
    """Lines that end in a line feed, the last one too."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue()
