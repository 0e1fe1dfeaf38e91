"""scores.csv: a scores table as a file, written whole or not at all and read strictly."""

import csv
import itertools
import re
from pathlib import Path

import numpy as np

from tfdeepfake.csv_lists import read_list
from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path
from tfdeepfake.scoring.check import check
from tfdeepfake.scoring.table import (
    CLIP_FPS,
    COLUMNS,
    DECIDES,
    LOOKS,
    MASK_FRACTION,
    VIDEO,
    Table,
    concatenate,
    empty_cell,
    is_text,
    more_columns,
    optional_columns,
    select,
    subgroup_columns,
    table,
)

REMEDY = "Write the table again with `tfdeepfake evaluate`, or mend the line."
_ROWS_WRITTEN = 50_000  # at a time
_LINE_END = re.compile("\r\n|\n|\r")
_ROWS_READ = 1_000  # held as Python strings at a time: those of more rows leave the processor's cache


def write_scores(path: str | Path, rows: Table | list[dict]) -> None:
    """Writes a table (or a list of row dicts) as CSV, whole or not at all.

    Logits get nine significant digits: read back into float32 they are the same bits.

    Raises:
      ValueError: the table breaks a rule of `scoring.check` (a duplicate, two labels of a video ...).
      InputError: the disk is full.
    """
    columns = rows if isinstance(rows, dict) else table(rows)
    check(columns, lambda row, problem: ValueError(f"rows[{row}]: {problem}"))
    logits = ["logit", *more_columns(columns)]
    names = [*COLUMNS, *logits[1:], *optional_columns(columns), *subgroup_columns(columns)]
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        for start in range(0, len(columns["video"]), _ROWS_WRITTEN):
            part = select(columns, slice(start, start + _ROWS_WRITTEN))
            cells = {name: part[name].tolist() for name in names}
            for name in ("face", "frame", "label"):
                cells[name] = ["" if value < 0 else value for value in cells[name]]
            cells["timestamp_s"] = ["" if value != value else repr(value) for value in cells["timestamp_s"]]
            for name in logits:
                cells[name] = ["" if value != value else f"{value:.9g}" for value in cells[name]]
            for name in (*LOOKS, MASK_FRACTION, CLIP_FPS):
                if name in cells:
                    cells[name] = ["" if value != value else f"{value:.6g}" for value in cells[name]]
            writer.writerows(zip(*cells.values(), strict=True))


def read_scores(path: str | Path) -> Table:
    """Reads scores.csv strictly.

    Returns:
      A table (see `scoring.table`), with the columns of classes that the file has. Columns it does not know are
      those of subgroups.
    Raises:
      InputError: the file is missing, misses a column, or has a line that cannot be right; it names the file,
        the line and what is wrong.
    """
    path, chunks, lines = Path(path), [], []
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise InputError(path, f"line 1: misses the columns {missing}; it has {header}.", REMEDY)
            known: dict[str, dict] = {}
            line = reader.line_num
            while block := list(itertools.islice(reader, _ROWS_READ)):
                numbers = _lines(block, line, reader.line_num)
                line = reader.line_num
                if not all(block):  # empty lines
                    numbers = numbers[[bool(cells) for cells in block]]
                    block = [cells for cells in block if cells]
                if set(map(len, block)) - {len(header)}:
                    at = next(at for at, cells in enumerate(block) if len(cells) != len(header))
                    problem = f"line {numbers[at]}: needs {len(header)} cells, got {len(block[at])}."
                    raise InputError(path, problem, REMEDY)
                if block:
                    by_name = dict(zip(header, zip(*block, strict=True), strict=True))
                    chunks.append(_parse(path, numbers, by_name, known))
                    lines.append(numbers)
    except FileNotFoundError:
        raise InputError(path, "this scores file is missing.", "Run `tfdeepfake evaluate` first.") from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"is not a CSV file in UTF-8 ({error}).", REMEDY) from None
    if not chunks:
        raise InputError(path, "has no rows.", REMEDY)
    columns, line = concatenate(chunks), np.concatenate(lines)
    check(columns, lambda row, problem: InputError(path, f"line {line[row]}: {problem}", REMEDY))
    return columns


def read_videos(path: str | Path) -> set[tuple[str, str, str]]:
    """Keys of the videos that a CSV file lists, as `tfdeepfake audit --exclude-out` writes it.

    Returns:
      {(data_set, method, video)}.
    Raises:
      InputError: the file is missing, is no CSV file, or has none of these columns.
    """
    remedy = "Write it with `tfdeepfake audit ... --exclude-out FILE`."
    return {tuple(cells.values()) for _, cells in read_list(path, dict.fromkeys(VIDEO, ()), VIDEO, remedy)}


def _lines(block, before, after):
    """int64 [rows] line of the file on which each row ends, of rows between the lines `before` and `after`."""
    if after - before == len(block):
        return np.arange(before, after) + 1
    # A cell in quotes goes over several lines.
    heights = [1 + sum(len(_LINE_END.findall(cell)) for cell in cells) for cells in block]
    return before + np.cumsum(heights)


def _whole(cell):
    value = int(cell)
    if not 0 <= value < 1 << 31:
        raise ValueError
    return value


_CELLS = {
    "face": (_whole, "a whole number from 0 up or nothing"),
    "frame": (_whole, "a whole number from 0 up or nothing"),
    "label": ({"0": 0, "1": 1}.__getitem__, "0 (real), 1 (fake) or nothing"),
    "timestamp_s": (float, "a number or nothing"),
    "logit": (float, "a number or nothing"),
    DECIDES: ({"0": 0, "1": 1}.__getitem__, "0, 1 or nothing"),
}


def _parse(path, lines, cells, known):
    """Text cells by column name -> a table of a few rows; `known` holds what cells of earlier rows stand for."""
    columns = {}
    for name in [*COLUMNS, *more_columns(cells), *optional_columns(cells), *subgroup_columns(cells)]:
        if is_text(name):
            shared = known.setdefault(name, {})  # equal strings are held once: half a million rows name few videos
            shared.update((cell, cell) for cell in set(cells[name]) if cell not in shared)
            columns[name] = np.array(list(map(shared.__getitem__, cells[name])), dtype=object)
            continue
        with np.errstate(over="ignore"):  # 1e300 becomes infinite here and is refused by `check`
            columns[name] = _numbers(path, lines, name, cells[name], known).astype(empty_cell(name)[1])
    return columns


def _numbers(path, lines, name, cells, known):
    """Numbers of a column's text cells."""
    empty, _ = empty_cell(name)
    convert, need = _CELLS.get(name, _CELLS["logit"])
    try:
        if convert is float:
            return np.fromiter(map(float, cells), np.float64, len(cells))
        few = known.setdefault(name, {"": empty})
        few.update((cell, convert(cell)) for cell in set(cells) if cell not in few)
        return np.fromiter(map(few.__getitem__, cells), np.int64, len(cells))
    except (ValueError, KeyError):
        pass  # one by one below: there are empty cells, or one that is wrong
    values = []
    try:
        values.extend(convert(cell) if cell else empty for cell in cells)
    except (ValueError, KeyError):
        at = len(values)
        raise InputError(path, f"line {lines[at]}: {name} needs {need}, got {cells[at]!r}.", REMEDY) from None
    return np.array(values)
