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
    mask_fraction  float32 [N], how much of this sample's crops was manipulated, 0..1 (the mean of its masks; 0 in a
                 genuine video), NaN when unknown; absent of data without masks
    clip_fps     float32 [N], frames/s at which the frames of this clip follow each other, NaN or 0 when unknown; absent
                 of networks that do not take consecutive frames
    decides      int8 [N], 0 of a face that does not decide (`deciding`) and has no part in any figure, else 1; absent
                 where all decide
    any other      object [N] of str, a subgroup that the data set tells, such as gender; "" where it is not known

A scored video has one row per scored frame or clip and face. A video that was not scored has one row, without
face, frame and logit: it is never given a score, but it is counted.
"""

import numpy as np

COLUMNS = ("data_set", "method", "video", "source", "face", "frame", "timestamp_s", "label", "logit", "status")
VIDEO = ("data_set", "method", "video")
TEXTS = ("data_set", "method", "video", "source", "status")
EMPTY = {"face": -1, "frame": -1, "timestamp_s": np.nan, "label": -1, "logit": np.nan}
DTYPES = {"face": np.int32, "frame": np.int64, "timestamp_s": np.float64, "label": np.int8, "logit": np.float32}
CLASS_PREFIX, VOTE_PREFIX = "logit_", "vote_"
LOOKS, DECIDES, MASK_FRACTION, CLIP_FPS = ("side_px", "confidence"), "decides", "mask_fraction", "clip_fps"
# Columns of numbers that some tables have: what stands in an empty cell, and the dtype.
OPTIONAL = dict.fromkeys((*LOOKS, MASK_FRACTION, CLIP_FPS), (np.nan, np.float32)) | {DECIDES: (1, np.int8)}
Table = dict[str, np.ndarray]


def table(rows: list[dict]) -> Table:
    """Columns from a list of dicts; a missing or None entry is empty, a missing status is "scored"."""
    columns = {}
    for name in [*COLUMNS, *dict.fromkeys(n for row in rows for n in row if n not in COLUMNS)]:
        if is_text(name):
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


def is_text(name: str) -> bool:
    """Whether a column holds text: keys, status, or a subgroup."""
    return name in TEXTS or (name not in COLUMNS and name not in OPTIONAL and not more_columns([name]))


def optional_columns(columns: Table) -> list[str]:
    """Names of the columns that tell of faces and masks, which only some tables have."""
    return [name for name in OPTIONAL if name in columns]


def deciding_rows(columns: Table) -> np.ndarray:
    """bool [N]: rows that are scored and whose face decides, which all figures are of."""
    scored = columns["status"] == "scored"
    return scored & (columns[DECIDES] != 0) if DECIDES in columns else scored


def subgroup_columns(columns: Table) -> list[str]:
    """Names of the columns of subgroups, in their order."""
    return [name for name in columns if name not in COLUMNS and is_text(name)]


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
        fill, dtype = ("", object) if is_text(name) else empty_cell(name)
        out[name] = np.concatenate([part.get(name, np.full(len(part["video"]), fill, dtype)) for part in tables])
    return out


def codes(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers the distinct keys of parallel text columns in order of first appearance.

    Returns:
      (int64 [N] code of every row, int64 [K] row of first appearance of every code).
    """
    row_codes, first = _codes_of(columns[0].tolist())
    for column in columns[1:]:
        more, seen = _codes_of(column.tolist())
        # Pairs of codes, numbered in turn: strings are hashed one by one, since tuples take twice as long.
        _, at, row_codes = np.unique(row_codes * max(len(seen), 1) + more, return_index=True, return_inverse=True)
        order = np.argsort(at)
        row_codes, first = np.argsort(order)[row_codes], at[order]
    return row_codes, first


def _codes_of(keys):
    # A dict is several times faster here than sorting strings with numpy.unique.
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    row_codes = np.fromiter(map(numbers.__getitem__, keys), np.int64, len(keys))
    first = np.full(len(numbers), len(keys), np.int64)
    np.minimum.at(first, row_codes, np.arange(len(keys)))
    return row_codes, first


def video_codes(columns: Table) -> tuple[np.ndarray, np.ndarray]:
    """`codes` of the videos: (int64 [N], int64 [videos])."""
    return codes(columns["data_set"], columns["method"], columns["video"])


def without(columns: Table, videos: set[tuple[str, str, str]]) -> tuple[Table, int]:
    """(table without the rows of some videos, number of these videos that it had); `videos` as of `read_videos`."""
    video, first = video_codes(columns)
    keys = zip(*(columns[name][first].tolist() for name in VIDEO), strict=True)
    listed = np.fromiter((key in videos for key in keys), bool, len(first))
    return select(columns, ~listed[video]), int(listed.sum())
