"""The CSV files that people write about their videos, read as spreadsheets, editors and scripts leave them.

UTF-8, UTF-16 or UTF-32 with or without byte order mark; any line ends; commas, semicolons, tabs or bars; quotes and
spaces around cells and quotes; column names and labels in any case.
"""

import codecs
import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.vocabulary import SPLITS

# What people call the column that names a video's file, beside `file`.
FILE_NAMES = ("filename", "file_name", "path", "filepath", "file_path", "video")
LABELS = {"real": 0, "0": 0, "0.0": 0, "fake": 1, "1": 1, "1.0": 1}
SPLIT_WORDS = {split: split for split in SPLITS} | {
    "training": "train", "val": "validation", "valid": "validation", "testing": "test"
}  # fmt: skip
SEPARATORS = ",;\t|"
# A cell in quotes, and the spaces between it and the next separator, which `csv` takes for an error.
QUOTED = re.compile(r'((?:^|[,;\t|\r\n]) *"(?:[^"]|"")*") +(?=[,;\t|\r\n]|$)')


def read_list(
    path: Path | str, columns: Mapping[str, Sequence[str]], needed: Sequence[str] = (), remedy: str = ""
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields (line number, {column: text of the cell}) of each line below the header.

    Args:
      path: the CSV file.
      columns: {name: other names by which the column is known}; a cell that is not there is "", other columns are not
        read.
      needed: columns that must be there.
      remedy: what the file should look like, for errors.
    Raises:
      InputError: it cannot be read, is no text or no CSV file, or lacks a column; names the line.
    """
    text = _text(path)
    try:
        rows, names = _header(path, text, columns, needed, remedy)
        for cells in rows:
            line = rows.line_num
            cells = [cell.strip() for cell in cells]
            if any(cells[len(names) :]):
                raise InputError(
                    path, f"line {line}: has more columns than the first line.", 'Put a value with a comma in "quotes".'
                )
            if any(cells):
                yield line, dict.fromkeys(columns, "") | {n: c for n, c in zip(names, cells, strict=False) if n}
    except csv.Error as error:
        raise InputError(path, f"is not a CSV file ({error}).", remedy) from None


def _text(path):
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror}).", "Check path and permissions.") from None
    if data.startswith((b"PK\3\4", b"\xd0\xcf\x11\xe0")):
        raise InputError(path, "is a spreadsheet program's own file, not CSV.", 'Save it as "CSV UTF-8".')
    try:
        text = data.decode(_encoding(data))
    except UnicodeDecodeError as error:
        raise InputError(path, f"is not UTF-8 (byte {error.start}).", 'Save it as "CSV UTF-8".') from None
    if "\0" in text:
        raise InputError(path, "is no text: it has bytes of 0.", 'Save it as "CSV UTF-8".')
    return QUOTED.sub(r"\1", text) if '" ' in text else text


def _encoding(data):
    for mark, name in (
        (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
    ):  # fmt: skip
        if data.startswith(mark):
            return name
    # Without a mark, every second byte of a header's Latin letters is 0.
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(data) > 3 and not any(data[first:16:2]) and all(data[1 - first : 16 : 2]):
            return name
    return "utf-8-sig"


def _header(path, text, columns, needed, remedy):
    """(csv reader behind the header, [name in `columns`, or "" for one that is not read])."""
    if not text.strip():
        raise InputError(path, "is empty.", remedy)
    # A spreadsheet's own line about the separator goes before what the header looks like.
    told = text[4:5] if text[:4].lower() == "sep=" else ""
    known, best = {*columns, *(other for others in columns.values() for other in others)}, None
    for separator in told or SEPARATORS:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
        try:
            if told:
                next(rows)
            given = [cell.strip().lower() for cell in next(filter(any, rows), [])]
        except csv.Error:  # quotes that another separator makes sense of
            continue
        rank = len(known & set(given)), len(given)
        if best is None or rank > best[0]:
            best = rank, rows, given
    if best is None:
        raise InputError(path, "is not a CSV file.", remedy)
    _, rows, given = best
    names = _known(path, rows.line_num, given, columns)
    if missing := [name for name in needed if name not in names]:
        what = f"the column {missing[0]} is" if len(missing) == 1 else f"the columns {' and '.join(missing)} are"
        there = ", ".join(given)
        raise InputError(path, f"line {rows.line_num}: {what} missing; there is {there[:200]}.", remedy)
    return rows, names


def _known(path, line, given, columns):
    names = [""] * len(given)
    for name, others in columns.items():
        at = [n for n, cell in enumerate(given) if cell == name]
        if not at:
            at = [n for n, cell in enumerate(given) if cell in others]
        if len(at) > 1:
            both = sorted({given[n] for n in at})
            what = f"the columns {' and '.join(both)} are one" if both[1:] else f"the column {both[0]} is there twice"
            raise InputError(path, f"line {line}: {what}.", f"Call the one to use {name}, and the other otherwise.")
        if at:
            names[at[0]] = name
    return names


def label_of(path: Path | str, line: int, text: str) -> int:
    """The label of a cell, 1 is fake.

    Raises:
      InputError: it is none.
    """
    if text.lower() not in LABELS:
        raise InputError(path, f"line {line}: label {text!r} is unknown.", "Write real or fake (or 0 or 1; 1 is fake).")
    return LABELS[text.lower()]


def split_of(path: Path | str, line: int, text: str) -> str | None:
    """The split of a cell, as `vocabulary.SPLITS` calls it; None for an empty one.

    Raises:
      InputError: it is none.
    """
    if text and text.lower() not in SPLIT_WORDS:
        raise InputError(
            path, f"line {line}: split {text!r} is unknown.", f"Write {', '.join(SPLITS)}, or leave it empty."
        )
    return SPLIT_WORDS[text.lower()] if text else None


def listed_path(path: Path | str, text: str) -> Path:
    """The file or folder that a cell names: absolute, or as seen from the list's folder.

    Also with backslashes, and with letters and their accents put together otherwise than in the file's name: Macs take
    them apart, and what came by way of an archive stays so.
    """
    below = Path(path).parent
    slashed = text.replace("\\", "/")
    forms = (unicodedata.normalize(form, slashed) for form in ("NFC", "NFD"))
    for name in dict.fromkeys((text, slashed, *forms)):
        named = below / os.path.expanduser(name)
        # Not Path.exists, which raises for a name that is too long.
        if os.path.exists(named):
            return named
    return below / text
