"""Which videos of a scores table get a row of their own: manipulations, data sets and subgroups."""

from collections.abc import Mapping, Sequence

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.scoring.table import Table, codes, subgroup_columns, video_codes

FEW_VIDEOS = 30  # below so many a row comes with a warning
NOT_TOLD = "(not told)"
Parts = dict[str, np.ndarray]


def method_parts(videos: Table) -> Parts:
    """{manipulation: bool [V], its fakes and all reals of its data set}; with several data sets DATA_SET/MANIPULATION.

    Args:
      videos: what `aggregation.video_scores` returns.
    """
    fake, out = videos["label"] == 1, {}
    several = len(set(videos["data_set"])) > 1
    for data_set, method in sorted(set(zip(videos["data_set"][fake], videos["method"][fake], strict=True))):
        key = method or "(no method)"
        mine = (videos["label"] == 0) | ((videos["method"] == method) & fake)
        out[f"{data_set}/{key}" if several else key] = (videos["data_set"] == data_set) & mine
    return out


def data_set_parts(videos: Table) -> Parts:
    """{data set: bool [V]}; nothing where there is one."""
    names = sorted(set(videos["data_set"]))
    return {name: videos["data_set"] == name for name in names} if len(names) > 1 else {}


def subgroup_parts(rows: Table, chosen: Sequence[str] | None = None) -> dict[str, Parts]:
    """{column: {value: bool [V]}} of columns such as gender or skin_tone (P1 5.1).

    A column that is told of fakes alone, of which no value holds fakes and reals (a scenario of forgery), has a row for
    each value of fakes, against all reals, as manipulations have.

    Args:
      rows: scores table.
      chosen: names of the columns; all when not given.
    Raises:
      InputError: there is no such column, or a video has two values.
    """
    there = subgroup_columns(rows)
    for name in chosen or ():
        if name not in there:
            others = ", ".join(there) or "none: the data set tells no subgroups"
            raise InputError(name, "is no subgroup of the scores.", f"There is {others}.")
    video, first = video_codes(rows)
    out = {}
    for name in there if chosen is None else chosen:
        number, _ = codes(rows[name])
        if (wrong := number != number[first[video]]).any():
            key = "/".join(rows[part][np.argmax(wrong)] for part in ("data_set", "method", "video"))
            raise InputError(name, f"has two values for the video {key}.", "A video belongs to one subgroup.")
        values = rows[name][first]
        parts = {value or NOT_TOLD: values == value for value in sorted(set(values))}
        out[name] = of_fakes(parts, rows["label"][first])
    return out


def of_fakes(parts: Parts, labels: np.ndarray) -> Parts:
    """Those values that fakes have, with all reals, where both labels are there and no value holds both."""
    fake, real = labels == 1, labels == 0
    if not (fake.any() and real.any()) or any((mine & fake).any() and (mine & real).any() for mine in parts.values()):
        return parts
    return {value: mine | real for value, mine in parts.items() if (mine & fake).any()}


def shared_notes(subgroups: Mapping[str, Parts]) -> list[str]:
    """A note of each column whose values share videos, see `of_fakes`."""
    return [
        f"{name}: no value holds fakes and reals, so the fakes of each stand against all reals."
        for name, parts in subgroups.items()
        if parts and np.sum(list(parts.values()), axis=0).max() > 1
    ]


def few_notes(sections: Mapping[str, Mapping[str, dict]]) -> list[str]:
    """A note for each section with rows of fewer than 30 videos; for manipulations its fakes count.

    Args:
      sections: {section: {row: its level}}.
    """
    notes = []
    for section, levels in sections.items():
        count = "n_fake" if section == "methods" else "n"
        few = [f"{name} ({level[count]})" for name, level in levels.items() if level[count] < FEW_VIDEOS]
        if few:
            what = "fakes" if section == "methods" else "scored videos"
            notes.append(f"{section.replace('_', ' ')} of fewer than {FEW_VIDEOS} {what}: {', '.join(few)}.")
    return notes
