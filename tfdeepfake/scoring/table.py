"""The scores table: written once with raw logits; aggregation, thresholds, metrics and plots read it.

A table is a dict of equally long numpy columns, in the order of `COLUMNS`:

    data_set, method, video, source   object [N] of str; a video's key is (data_set, method, video), because
                                      the methods of FaceForensics++ share file names
    face         int32 [N], -1 when the video was not scored
    frame        int64 [N], index in the video of the scored frame (of a clip: its first), -1 when not scored
    timestamp_s  float64 [N], NaN when unknown
    label        int8 [N], 1 = FAKE, 0 = REAL, -1 = unknown
    logit        float32 [N], raw logit of FAKE, NaN when not scored
    status       object [N] of str, one of `STATUSES`
    logit_<class>  float32 [N], raw logits of a network of K classes, `logit_real` first; absent for one logit.
                   `logit` is then their log-odds of FAKE (`classes.log_odds`): what is binary reads it alone
    vote_<number>  float32 [N], raw logits of several networks that vote, from 1; absent for one network. `logit` is
                   then that of the mean of their probabilities; a face is summed up for each (`rules.sum_up`)
    side_px      float32 [N], size of the face in this sample (`deciding.side_px`), NaN when unknown; and
    confidence   float32 [N], how sure the detector is of it; both are absent of data that do not tell
    decides      int8 [N], 0 of a face that does not decide (`deciding`) and has no part in any figure, else 1; absent
                 where all decide
    any other      object [N] of str, a subgroup that the data set tells, such as gender; "" where it is not known

A scored video has one row per scored frame or clip and face. A video that was not scored has one row, without
face, frame and logit: it is never given a score, but it is counted.
"""

import csv
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfdeepfake.csv_lists import read_list
from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path
from tfdeepfake.scoring.classes import REAL_CLASS, log_odds
from tfdeepfake.vocabulary import STATUSES

COLUMNS = ("data_set", "method", "video", "source", "face", "frame", "timestamp_s", "label", "logit", "status")
VIDEO = ("data_set", "method", "video")
TEXTS = ("data_set", "method", "video", "source", "status")
EMPTY = {"face": -1, "frame": -1, "timestamp_s": np.nan, "label": -1, "logit": np.nan}
DTYPES = {"face": np.int32, "frame": np.int64, "timestamp_s": np.float64, "label": np.int8, "logit": np.float32}
CLASS_PREFIX, VOTE_PREFIX = "logit_", "vote_"
LOOKS, DECIDES = ("side_px", "confidence"), "decides"
# Columns of numbers that some tables have: what stands in an empty cell, and the dtype.
OPTIONAL = {"side_px": (np.nan, np.float32), "confidence": (np.nan, np.float32), DECIDES: (1, np.int8)}
Table = dict[str, np.ndarray]
REMEDY = "Write the table again with `tfdeepfake evaluate`, or mend the line."
_CHUNK = 50_000  # rows held as Python strings at a time


def table(rows: list[dict]) -> Table:
    """Columns from a list of dicts; a missing or None entry is empty, a missing status is "scored"."""
    columns = {}
    for name in [*COLUMNS, *dict.fromkeys(n for row in rows for n in row if n not in COLUMNS)]:
        if _is_text(name):
            fallback = "scored" if name == "status" else ""
            cells = [fallback if row.get(name) is None else str(row[name]) for row in rows]
            columns[name] = np.array(cells, dtype=object)
        else:
            empty, dtype = empty_cell(name)
            cells = [empty if row.get(name) is None else row[name] for row in rows]
            columns[name] = np.array(cells, dtype=dtype)
    return columns


def empty_cell(name: str) -> tuple[float, type]:
    """(what stands in an empty cell of a column of numbers, its dtype); further logits are like `logit`."""
    if name in OPTIONAL:
        return OPTIONAL[name]
    name = "logit" if name.startswith((CLASS_PREFIX, VOTE_PREFIX)) else name
    return EMPTY[name], DTYPES[name]


def _is_text(name):
    return name in TEXTS or (name not in COLUMNS and name not in OPTIONAL and not more_columns([name]))


def optional_columns(columns: Table) -> list[str]:
    """Names of the columns that tell of faces, which only some tables have."""
    return [name for name in OPTIONAL if name in columns]


def deciding_rows(columns: Table) -> np.ndarray:
    """bool [N]: rows that are scored and whose face decides, which all figures are of."""
    scored = columns["status"] == "scored"
    return scored & (columns[DECIDES] != 0) if DECIDES in columns else scored


def subgroup_columns(columns: Table) -> list[str]:
    """Names of the columns of subgroups, in their order."""
    return [name for name in columns if name not in COLUMNS and _is_text(name)]


def class_columns(columns: Table) -> list[str]:
    """Names of the columns of classes, in their order."""
    return [name for name in columns if name.startswith(CLASS_PREFIX)]


def more_columns(columns: Table) -> list[str]:
    """Names of the columns that only some tables have: logits of classes, and of networks that vote."""
    return [name for name in columns if name.startswith((CLASS_PREFIX, VOTE_PREFIX))]


def vote_columns(votes: np.ndarray) -> dict[str, np.ndarray]:
    """Logits [N, M] of M networks that vote as columns of a table."""
    return {f"{VOTE_PREFIX}{n + 1}": column for n, column in enumerate(np.float32(votes).T)}


def sample_logits(columns: Table) -> np.ndarray:
    """What `rules.sum_up` takes of a table: float32 [N, M] where networks vote, else [N]."""
    votes = [columns[name] for name in columns if name.startswith(VOTE_PREFIX)]
    return np.stack(votes, axis=-1) if votes else columns["logit"]


def class_names(columns: Table) -> list[str]:
    """Names of the K classes whose logits a table has, `real` first; [] for one logit."""
    return [name.removeprefix(CLASS_PREFIX) for name in class_columns(columns)]


def class_logits(columns: Table) -> np.ndarray:
    """float32 [N, K] of a table of K classes, NaN where a row was not scored."""
    return np.stack([columns[name] for name in class_columns(columns)], axis=-1)


def select(columns: Table, chosen: np.ndarray | slice) -> Table:
    """The rows of a table picked by a boolean mask or an index array."""
    return {name: column[chosen] for name, column in columns.items()}


def concatenate(tables: list[Table]) -> Table:
    """One table of several; a table without the classes or subgroups of another has nothing in their place."""
    more = dict.fromkeys(
        name for part in tables for name in (*more_columns(part), *optional_columns(part), *subgroup_columns(part))
    )
    out = {name: np.concatenate([part[name] for part in tables]) for name in COLUMNS}
    for name in more:
        fill, dtype = ("", object) if _is_text(name) else empty_cell(name)
        out[name] = np.concatenate([part.get(name, np.full(len(part["video"]), fill, dtype)) for part in tables])
    return out


def codes(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers the distinct keys of parallel text columns in order of first appearance.

    Returns:
      (int64 [N] code of every row, int64 [K] row of first appearance of every code).
    """
    keys = columns[0].tolist() if len(columns) == 1 else list(zip(*(c.tolist() for c in columns), strict=True))
    # A dict is several times faster here than sorting strings with numpy.unique.
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    row_codes = np.fromiter(map(numbers.__getitem__, keys), np.int64, len(keys))
    first = np.full(len(numbers), len(keys), np.int64)
    np.minimum.at(first, row_codes, np.arange(len(keys)))
    return row_codes, first


def video_codes(columns: Table) -> tuple[np.ndarray, np.ndarray]:
    """`codes` of the videos: (int64 [N], int64 [videos])."""
    return codes(columns["data_set"], columns["method"], columns["video"])


def _name(columns, row):
    return f"video {columns['data_set'][row]}/{columns['method'][row]}/{columns['video'][row]}"


def check(columns: Table, fail: Callable[[int, str], Exception]) -> None:
    """Refuses a table that would give wrong figures.

    Args:
      columns: the table.
      fail: called with (row number from 0, problem); returns the exception to raise.
    """

    def refuse(wrong, problem):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise fail(row, problem(row) if callable(problem) else problem)

    status, face, frame, label, logit = (columns[n] for n in ("status", "face", "frame", "label", "logit"))
    status_code, first = codes(status)
    known = np.array([status[i] in STATUSES for i in first], bool)
    refuse(~known[status_code], lambda row: f"status needs one of {STATUSES}, got {status[row]!r}.")
    refuse(columns["video"] == "", "video is empty.")
    refuse((label < -1) | (label > 1), lambda row: f"label needs 0, 1 or nothing, got {label[row]}.")
    scored = status == "scored"
    refuse(scored & ((face < 0) | (frame < 0)), "a scored row needs a face and a frame number.")
    refuse(scored & ~np.isfinite(logit), lambda row: f"a scored row needs a finite logit, got {logit[row]}.")
    refuse(
        ~scored & ((face >= 0) | (frame >= 0) | ~np.isnan(logit)),
        lambda row: f"a row of status {status[row]!r} has no face, frame or logit, but one is given.",
    )
    for problem, wrong in _class_problems(columns, scored):
        refuse(wrong, problem)
    video, first = video_codes(columns)
    leader = first[video]  # first row of each video
    refuse(
        label != label[leader],
        lambda row: f"{_name(columns, row)} has two labels: {_label(label[leader[row]])} and {_label(label[row])}.",
    )
    source_code, _ = codes(columns["source"])
    refuse(
        source_code != source_code[leader],
        lambda row: f"{_name(columns, row)} has two sources, one is {columns['source'][row]!r}.",
    )
    refuse(
        status_code != status_code[leader],
        lambda row: f"{_name(columns, row)} is {status[row]!r} here and {status[leader[row]]!r} above.",
    )
    order = np.lexsort((np.arange(len(video)), frame, face, video))
    again = np.zeros(len(video), bool)
    same = [np.diff(values[order]) == 0 for values in (video, face, frame)]
    again[order[1:]] = same[0] & same[1] & same[2]
    refuse(again, lambda row: f"{_name(columns, row)}, face {face[row]}, frame {frame[row]} stands here twice.")
    if DECIDES in columns:
        decides = columns[DECIDES]
        refuse((decides != 0) & (decides != 1), "decides needs 0, 1 or nothing.")
        none = np.bincount(video, weights=decides, minlength=len(first)) == 0
        refuse(none[video], lambda row: f"{_name(columns, row)} has no face that decides.")
        apart = np.zeros(len(video), bool)
        apart[order[1:]] = same[0] & same[1] & (np.diff(decides[order]) != 0)
        refuse(apart, lambda row: f"{_name(columns, row)}, face {face[row]} decides in some rows only.")


def _class_problems(columns, scored):
    """Yields (problem, bool [N] the rows that have it) of the logits of classes and of networks that vote."""
    votes = sample_logits(columns).reshape(len(scored), -1)
    yield "a scored row needs a finite logit of each network that votes.", scored & ~np.isfinite(votes).all(axis=-1)
    if not class_columns(columns):
        return
    names, logits = class_names(columns), class_logits(columns)
    if len(names) < 2 or names[0] != REAL_CLASS:
        yield (
            f"the columns of classes need {CLASS_PREFIX}{REAL_CLASS} first and another, got {names}.",
            scored | ~scored,
        )
        return
    finite = np.isfinite(logits).all(axis=-1)
    yield f"a scored row needs a finite logit of each class of {names}.", scored & ~finite
    yield (
        "a row that was not scored has no logit of a class, but one is given.",
        ~scored & ~np.isnan(logits).all(axis=-1),
    )
    usable = scored & finite
    apart = np.zeros(len(scored), bool)
    # Both were rounded to float32 once.
    apart[usable] = ~np.isclose(log_odds(logits[usable]), columns["logit"][usable], rtol=1e-4, atol=1e-3)
    yield "logit is not the log-odds of FAKE of the logits of the classes.", apart


def _label(value):
    return "no label" if value < 0 else str(int(value))


def write_scores(path: str | Path, rows: Table | list[dict]) -> None:
    """Writes a table (or a list of row dicts) as CSV, whole or not at all.

    Logits get nine significant digits: read back into float32 they are the same bits.

    Raises:
      ValueError: the table breaks a rule of this module (a duplicate, two labels of a video ...).
      InputError: the disk is full.
    """
    columns = rows if isinstance(rows, dict) else table(rows)
    check(columns, lambda row, problem: ValueError(f"rows[{row}]: {problem}"))
    logits = ["logit", *more_columns(columns)]
    names = [*COLUMNS, *logits[1:], *optional_columns(columns), *subgroup_columns(columns)]
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        for start in range(0, len(columns["video"]), _CHUNK):
            part = select(columns, slice(start, start + _CHUNK))
            cells = {name: part[name].tolist() for name in names}
            for name in ("face", "frame", "label"):
                cells[name] = ["" if value < 0 else value for value in cells[name]]
            cells["timestamp_s"] = ["" if value != value else repr(value) for value in cells["timestamp_s"]]
            for name in logits:
                cells[name] = ["" if value != value else f"{value:.9g}" for value in cells[name]]
            for name in LOOKS:
                if name in cells:
                    cells[name] = ["" if value != value else f"{value:.6g}" for value in cells[name]]
            writer.writerows(zip(*cells.values(), strict=True))


def read_scores(path: str | Path) -> Table:
    """Reads scores.csv strictly.

    Returns:
      A table (see the head of this file), with the columns of classes that the file has. Columns it does not know are
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
            while block := list(itertools.islice(_numbered(reader), _CHUNK)):
                numbers, cells = zip(*block, strict=True)
                for number, row in block:
                    if len(row) != len(header):
                        raise InputError(path, f"line {number}: needs {len(header)} cells, got {len(row)}.", REMEDY)
                by_name = dict(zip(header, zip(*cells, strict=True), strict=True))
                chunks.append(_parse(path, numbers, by_name))
                lines.append(np.array(numbers))
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


def without(columns: Table, videos: set[tuple[str, str, str]]) -> tuple[Table, int]:
    """(table without the rows of some videos, number of these videos that it had); `videos` as of `read_videos`."""
    video, first = video_codes(columns)
    keys = zip(*(columns[name][first].tolist() for name in VIDEO), strict=True)
    listed = np.fromiter((key in videos for key in keys), bool, len(first))
    return select(columns, ~listed[video]), int(listed.sum())


def _numbered(reader):
    """Yields (line number in the file, cells), leaving out empty lines."""
    for cells in reader:
        if cells:
            yield reader.line_num, cells


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


def _parse(path, lines, cells):
    """Text cells by column name -> a table of one chunk."""
    columns = {}
    for name in [*COLUMNS, *more_columns(cells), *optional_columns(cells), *subgroup_columns(cells)]:
        if _is_text(name):
            shared = {}  # equal strings are held once: half a million rows name few videos
            columns[name] = np.array([shared.setdefault(cell, cell) for cell in cells[name]], dtype=object)
            continue
        empty, dtype = empty_cell(name)
        convert, need = _CELLS.get(name, _CELLS["logit"])
        values = []
        try:
            values.extend(convert(cell) if cell else empty for cell in cells[name])
        except (ValueError, KeyError):
            at = len(values)
            raise InputError(path, f"line {lines[at]}: {name} needs {need}, got {cells[name][at]!r}.", REMEDY) from None
        with np.errstate(over="ignore"):  # 1e300 becomes infinite here and is refused by `check`
            columns[name] = np.array(values, dtype=convert if convert is float else None).astype(dtype)
    return columns
