"""Detectors to compare: score files, this package's or other people's, read and brought onto the same videos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfdeepfake.csv_lists import FILE_NAMES, label_of, read_list
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.aggregation import video_scores
from tfdeepfake.evaluation.score_file import read_score_file
from tfdeepfake.scoring.table import COLUMNS, VIDEO

Key = tuple[str, str, str]
NEEDED = ("video", "label", "score")
FREE = ("data_set", "method", "source")
UNNAMED = "predict"  # the data set of what `predict` judged
REMEDY = (
    "Give scores.csv of `tfdeepfake evaluate`, a run folder, or a CSV file of videos with video, label and score "
    "(other names with --columns video=NAME,label=NAME,score=NAME)."
)


@dataclass
class ScoreFile:
    """Scores of one detector, a video each.

    Args:
      path: the file.
      videos: {(data_set, method, video): (label 0 or 1 or -1, score or NaN, source or "")}.
      threshold: score from which a video is called FAKE; None where nobody said one.
      facts: of our own files, such as data, split and score_notes, see `score_file.KEPT`.
    """

    path: Path
    videos: dict[Key, tuple[int, float, str]]
    threshold: float | None
    facts: dict = field(default_factory=dict)

    @property
    def has_methods(self) -> bool:
        """False where the file says neither data set nor method, so that videos go by their names alone."""
        return any(key[0] or key[1] for key in self.videos)


@dataclass
class Member:
    """A detector: one score file, or those of several runs of one configuration (seeds)."""

    name: str
    files: list[ScoreFile]


def read_member(text: str, columns: Mapping[str, str] | None = None, split: str = "test") -> Member:
    """A detector as the command line names it.

    Args:
      text: PATH, NAME=PATH, or NAME=PATH,PATH,... for several seeds of one configuration; a path is a score file, a
        folder with scores.csv, or a run folder.
      columns: what columns of other people's files are called, {"video": ..., "label": ..., "score": ...} and also
        data_set, method, source.
      split: the one whose evaluation is taken of a run folder.
    Raises:
      InputError: there is no such file, or it cannot be used; names line and problem.
    """
    name, equals, paths = text.partition("=")
    if Path(text).exists() or not equals:
        name, paths = "", text
    parts = [paths] if Path(paths).exists() else [part for part in paths.split(",") if part]
    files = [_read(_find(Path(part), split), columns) for part in parts]
    if not files:
        raise InputError(text, "names no file.", "Give NAME=PATH, or NAME=PATH,PATH for several seeds.")
    return Member(name or _name(files[0].path), files)


def _name(path):
    """What a file is called when nobody says: its run or model, else the file."""
    path = path.resolve()
    if path.name != "scores.csv":
        return path.stem
    folder = path.parent
    is_of_run = folder.parent.name == "evaluation" and folder.parent.parent.name
    return folder.parent.parent.name if is_of_run else folder.name


def _find(path, split):
    if not path.is_dir():
        return path
    places = [path / "scores.csv", path / "evaluation" / split / "scores.csv"]
    for place in places:
        if place.is_file():
            return place
    raise InputError(
        path,
        f"has neither scores.csv nor evaluation/{split}/scores.csv.",
        f"Run `tfdeepfake evaluate {path} --split {split}` first, or give the score file itself.",
    )


def _read(path, columns):
    return _read_own(path) if set(COLUMNS) <= set(_header(path)) else _read_foreign(path, columns or {})


def _header(path):
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as stream:
            return [cell.strip().strip('"') for cell in stream.readline().split(",")]
    except FileNotFoundError:
        raise InputError(path, "this scores file is missing.", REMEDY) from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror}).", REMEDY) from None


def _read_own(path):
    """scores.csv, summed up as the file beside it says; without one: mean rule, threshold 0.5."""
    rows, cuts, facts = read_score_file(path)
    videos = video_scores(
        rows,
        cuts.get("video_rule", "mean"),
        cuts.get("temperature", 1.0),
        cuts.get("unit", "frame"),
        cuts.get("faces_rule", "max"),
    )
    if set(videos["data_set"]) == {UNNAMED} and not videos["method"].any():  # of `predict`: names, and nothing more
        videos["data_set"] = np.full(len(videos["video"]), "", object)
        videos["source"] = np.where(videos["source"] == videos["video"], "", videos["source"])
    keys = zip(*(videos[name].tolist() for name in VIDEO), strict=True)
    values = zip(videos["label"].tolist(), videos["score"].tolist(), videos["source"].tolist(), strict=True)
    return ScoreFile(path, dict(zip(keys, values, strict=True)), cuts.get("threshold", 0.5), facts)


def _read_foreign(path, columns):
    """A file of somebody else's: a line for each video; an empty score is a video without one."""
    if unknown := sorted(set(columns) - {*NEEDED, *FREE}):
        raise InputError("--columns", f"knows no {unknown[0]!r}.", f"There are {', '.join((*NEEDED, *FREE))}.")
    called = {name: columns.get(name, name).lower() for name in (*NEEDED, *FREE)}
    if len(set(called.values())) < len(called):
        raise InputError("--columns", f"uses one column for two things: {', '.join(called.values())}.")
    known = {column: () for column in called.values()}
    if "video" not in columns:
        known["video"] = ("file", *(other for other in FILE_NAMES if other != "video"))
    videos = {}
    for line, row in read_list(path, known, [called[name] for name in NEEDED], REMEDY):
        cells = {name: row[column] for name, column in called.items()}
        if not cells["video"]:
            raise InputError(path, f"line {line}: video is empty.", REMEDY)
        key = (cells["data_set"], cells["method"], cells["video"])
        if key in videos:
            raise InputError(
                path, f"line {line}: video {_text(key)} stands here twice.", "Write one line for each video."
            )
        label = label_of(path, line, cells["label"]) if cells["label"] else -1
        videos[key] = (label, _score(path, line, cells["score"]), cells["source"])
    if not videos:
        raise InputError(path, "has no rows.", REMEDY)
    scores = np.array([score for _, score, _ in videos.values()])
    is_probability = bool(np.all((np.nan_to_num(scores) >= 0) & (np.nan_to_num(scores) <= 1)))
    return ScoreFile(path, videos, 0.5 if is_probability else None)


def _score(path, line, cell):
    try:
        value = float(cell) if cell else np.nan
    except ValueError:
        value = np.inf
    if cell and not np.isfinite(value):
        raise InputError(
            path, f"line {line}: score needs a finite number, got {cell!r}.", "Leave it empty where there is no score."
        )
    return value


def _text(key):
    return "/".join(part for part in key if part)


# Onto the same videos -----------------------------------------------------------------------------------------------


@dataclass
class Paired:
    """Videos that all detectors scored.

    Args:
      keys: of V videos.
      labels: int8 [V]; groups: int64 [V], 0..G-1: sources.
      scores: for each member float64 [S, V], a row for each of its files.
      left_out: for each member {"only_here": [video], "missing": [video], "unscored": [video]}.
      num_unlabelled: videos left out as nobody says their label.
      num_sourceless: videos that name no source.
    """

    keys: list[Key]
    labels: np.ndarray
    groups: np.ndarray
    scores: list[np.ndarray]
    left_out: list[dict[str, list[str]]]
    num_unlabelled: int
    num_sourceless: int


def pair(members: Sequence[Member]) -> Paired:
    """Keeps the videos that all detectors scored, and names the others.

    Raises:
      InputError: two files give a video two labels or two sources, a name fits several videos, no video is in all of
        the files, or they are all of one class.
    """
    files = [file for member in members for file in member.files]
    _name_by_others(files)
    labels, sources = {}, {}
    for file in files:
        for key, (label, _, source) in file.videos.items():
            for known, value, what in ((labels, label if label >= 0 else None, "labels"), (sources, source, "sources")):
                if value in (None, ""):
                    continue
                before, where = known.setdefault(key, (value, file.path))
                if before != value:
                    raise InputError(
                        file.path,
                        f"video {_text(key)} has two {what}: {value} here and {before} in {where}.",
                        "Are these the same data set and split?",
                    )
    every = list(dict.fromkeys(key for file in files for key in file.videos))
    common = [key for key in every if all(np.isfinite(file.videos.get(key, (0, np.nan))[1]) for file in files)]
    kept = [key for key in common if key in labels]
    left_out = [_left_out(member, every, files) for member in members]
    if not kept:
        examples = "; ".join(f"{file.path} has {_text(next(iter(file.videos)))}" for file in files[:3])
        why = f"no label is known of the {len(common)} videos" if common else "no video has a score in all of them"
        raise InputError(
            files[-1].path, f"does not match the others: {why} ({examples}).", "Compare scores of the same videos."
        )
    truth = np.array([labels[key][0] for key in kept], np.int8)
    if len(set(truth.tolist())) < 2:
        kind = "fakes" if truth[0] else "reals"
        raise InputError(
            files[0].path, f"only {kind} are among the {len(kept)} videos that all have.", "AUC needs both classes."
        )
    names = [(key[0], sources[key][0]) if key in sources else key for key in kept]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    scores = [np.array([[file.videos[key][1] for key in kept] for file in member.files]) for member in members]
    return Paired(
        kept,
        truth,
        np.array([numbers[name] for name in names]),
        scores,
        left_out,
        len(common) - len(kept),
        sum(key not in sources for key in kept),
    )


def _left_out(member, every, files):
    mine = [file.videos for file in member.files]
    others = [file.videos for file in files if all(file.videos is not videos for videos in mine)]
    return {
        "only_here": [_text(k) for k in every if all(k in v for v in mine) and not any(k in v for v in others)],
        "missing": [_text(k) for k in every if not all(k in v for v in mine)],
        "unscored": [_text(k) for k in every if any(k in v and not np.isfinite(v[k][1]) for v in mine)],
    }


def _name_by_others(files):
    """Gives videos of files that tell no data set, or neither that nor methods, the keys they have in the others."""
    for file in sorted(files, key=lambda one: not one.has_methods):
        if any(key[0] for key in file.videos):
            continue
        told = slice(1 if file.has_methods else 2, 3)
        known = {}
        for other in files:
            if other.has_methods and (not file.has_methods or any(key[0] for key in other.videos)):
                for key in other.videos:
                    known.setdefault(key[told], set()).add(key)
        for own in list(file.videos):
            keys = known.get(own[told], {own})
            if len(keys) > 1:
                raise InputError(
                    file.path,
                    f"video {_text(own)} could be {' or '.join(sorted(map(_text, keys)))}.",
                    "Add a column with the method (and data_set), and name it with --columns method=NAME.",
                )
            (key,) = keys
            file.videos[key] = file.videos.pop(own)
