"""What cannot be right in a scores table, and the row where it stands."""

from collections.abc import Callable

import numpy as np

from tfdeepfake.scoring.classes import REAL_CLASS, log_odds
from tfdeepfake.scoring.table import (
    CLASS_PREFIX,
    DECIDES,
    MASK_FRACTION,
    Table,
    class_columns,
    class_logits,
    class_names,
    codes,
    sample_logits,
    video_codes,
)
from tfdeepfake.vocabulary import STATUSES


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
    if MASK_FRACTION in columns:
        fraction = columns[MASK_FRACTION]
        outside = (fraction < 0) | (fraction > 1)
        refuse(outside, lambda row: f"mask_fraction needs 0 to 1 or nothing, got {fraction[row]:g}.")
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


def _name(columns, row):
    return f"video {columns['data_set'][row]}/{columns['method'][row]}/{columns['video'][row]}"


def _label(value):
    return "no label" if value < 0 else str(int(value))
