"""From which limits of a measure on a verdict is UNSURE: chosen on labelled videos, by Chow's rule.

A limit pays where more than `COST` of the verdicts beyond it are wrong (1970, "On optimum recognition error and reject
tradeoff"). One measure is taken after the other, the one first that pays most, as long as one pays that raises the
error of what is left at no severity. What a search over a dozen measures finds on few videos is mostly chance:
`confirmed` therefore chooses on some of them, and looks at the others.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import fisher_exact

from tfdeepfake.evaluation.aggregation import source_groups
from tfdeepfake.evaluation.unsure import faces_of_table, spread_of
from tfdeepfake.scoring.table import Table
from tfdeepfake.scoring.unsure import interval_doubts, measured
from tfdeepfake.vocabulary import MEASURES_WITH_LEAST, MEASURES_WITH_MOST

MEASURES = (*MEASURES_WITH_LEAST, *MEASURES_WITH_MOST)
# A verdict is worth withholding when it is wrong more often than this.
COST = 0.1
# A limit needs so many cases and so many different videos beyond it, and has to lower the error and the cost of UNSURE
# together by so much.
LEAST_CASES, LEAST_VIDEOS, LEAST_GAIN = 10, 6, 0.001
# Scored videos of each class from which on `confirmed` looks for limits, and parts of which each is left out once.
LEAST_OF_A_CLASS, FOLDS = 100, 5
MOST_CHANCE = 0.05


def beyond(rows: dict, name: str, limit: float) -> np.ndarray:
    """bool [N]: beyond the limit of a measure; a measure that could not be taken is not."""
    return rows[name] < limit if name in MEASURES_WITH_LEAST else rows[name] > limit


def error_at(rows: dict, kept: np.ndarray, severity: int) -> tuple[float, float]:
    """(error of what is left at a severity, how much is left)."""
    here = rows["severity"] == severity
    left = here & kept
    return (float(rows["wrong"][left].mean()) if left.any() else 0.0), float(left.sum() / max(here.sum(), 1))


def best_limit(rows: dict, kept: np.ndarray, name: str, cost: float = COST) -> dict | None:
    """The limit of a measure that pays most, None where none pays; of two, one that raises no error goes first.

    Args:
      rows: {column: array [N]} of verdicts: `video`, `severity` (0: as the video is), `wrong` (bool) and the measures,
        NaN where one could not be taken.
      kept: bool [N], verdicts that nothing else makes UNSURE.
      name: of the measure.
      cost: fraction of wrong verdicts from which on they are worth withholding.
    Returns:
      {"gain", "limit", "out" (bool [N]), "raised" (severities whose error of what is left it raises)}.
    """
    values, best = np.unique(rows[name][kept & np.isfinite(rows[name])]), None
    for limit in (values[:-1] + values[1:]) / 2:
        limit = float(np.ceil(limit)) if name == "samples" else float(f"{limit:.3g}")
        out = kept & beyond(rows, name, limit)
        gain = (rows["wrong"][out].sum() - cost * out.sum()) / len(kept)
        if out.sum() < LEAST_CASES or len(np.unique(rows["video"][out])) < LEAST_VIDEOS or gain < LEAST_GAIN:
            continue
        severities = np.unique(rows["severity"]).tolist()
        errors = [(s, error_at(rows, kept, s)[0], error_at(rows, kept & ~out, s)[0]) for s in severities]
        raised = [severity for severity, before, after in errors if after > before]
        if best is None or (not raised, gain) > (not best["raised"], best["gain"]):
            best = {"gain": gain, "limit": limit, "out": out, "raised": raised}
    return best


def choose_limits(rows: dict, log: Callable[[str], None] = lambda line: None, cost: float = COST) -> dict[str, float]:
    """{measure: limit} by the rule at the head of this file.

    Args:
      rows: as of `best_limit`, and `interval`, bool [N]: UNSURE by it already.
      log: called with a line for each measure.
      cost: see `best_limit`.
    """
    kept, limits = ~rows["interval"], {}
    while True:
        best = {name: best_limit(rows, kept, name, cost) for name in MEASURES if name not in limits}
        usable = {name: one for name, one in best.items() if one and not one["raised"]}
        if not usable:
            break
        name = max(usable, key=lambda name: usable[name]["gain"])
        limits[name], out = usable[name]["limit"], usable[name]["out"]
        log(f"{name:12} {limits[name]:g}: {out.sum()} beyond, {rows['wrong'][out].mean():.2f} of them wrong")
        kept &= ~out
    for name, one in best.items():
        if one is None:
            log(f"{name:12} goes: beyond no limit more than {cost:g} are wrong, or too few lie there")
        else:
            wrong, raised = rows["wrong"][one["out"]].mean(), ", ".join(map(str, one["raised"]))
            log(f"{name:12} goes: of {one['out'].sum()} beyond {one['limit']:g} {wrong:.2f} are wrong, but what is "
                f"left gets worse at severity {raised}")  # fmt: skip
    return limits


def left_over(rows: dict, limits: dict[str, float]) -> np.ndarray:
    """bool [N]: neither the interval nor a limit makes it UNSURE."""
    kept = ~rows["interval"]
    for name, limit in limits.items():
        kept = kept & ~beyond(rows, name, limit)
    return kept


def confirmed(rows: dict, groups: np.ndarray, seed: int = 0) -> dict:
    """Limits that are chosen on all verdicts, where such limits help on verdicts that they were not chosen on.

    The sources are dealt into `FOLDS` parts; limits are chosen on all parts but one and obeyed on that one, each in
    turn. Where what they withhold there is wrong more often than `COST`, and more often than the rest by more than
    chance (Fisher's exact test, `MOST_CHANCE`), limits are worth having. Of a detector that errs in more than `COST`
    anyway a limit has to tell more than that.

    Args:
      rows: as of `choose_limits`, one verdict of each video, with `true` (0 or 1).
      groups: int [N], source of each.
      seed: of the dealing.
    Returns:
      {"limits": {measure: limit}, "text": why these, or why none, "held_out": None or {"withheld", "withheld_wrong",
      "error_without", "error_with", "coverage"}, what was seen on the parts that were left out}.
    """
    numbers = [int((rows["true"] == label).sum()) for label in (0, 1)]
    if min(numbers) < LEAST_OF_A_CLASS:
        text = f"no limits were looked for: {LEAST_OF_A_CLASS} scored videos of each class are needed"
        return {"limits": {}, "text": text, "held_out": None}
    part = np.random.default_rng(seed).permutation(groups.max() + 1)[groups] % FOLDS
    without, obeyed, wrong = ~rows["interval"], np.zeros(len(part), bool), rows["wrong"]
    cost = max(COST, float(wrong[without].mean())) if without.any() else COST
    for number in range(FOLDS):
        inside = part != number
        limits = choose_limits({name: values[inside] for name, values in rows.items()}, cost=cost)
        obeyed[~inside] = left_over(rows, limits)[~inside]
    withheld = without & ~obeyed
    told = {
        "withheld": int(withheld.sum()),
        "withheld_wrong": float(wrong[withheld].mean()) if withheld.any() else None,
        "error_without": float(wrong[without].mean()) if without.any() else None,
        "error_with": float(wrong[obeyed].mean()) if obeyed.any() else None,
        "coverage": float(obeyed.mean()),
    }
    counts = [[int(wrong[part].sum()), int((~wrong[part]).sum())] for part in (withheld, obeyed)]
    by_chance = fisher_exact(counts, alternative="greater").pvalue
    if told["withheld"] < LEAST_CASES or told["withheld_wrong"] <= COST or by_chance > MOST_CHANCE:
        text = "no limits: chosen on some of the videos, they did not tell errors of the others"
        return {"limits": {}, "text": text, "held_out": told}
    text = (
        f"limits by Chow's rule at {cost:.2g}; of videos that they were not chosen on {told['withheld']} were "
        f"withheld, {told['withheld_wrong']:.2f} of them wrong, and of the rest {told['error_with']:.3f} are wrong "
        f"instead of {told['error_without']:.3f}"
    )
    return {"limits": choose_limits(rows, cost=cost), "text": text, "held_out": told}


def verdicts_of_table(
    rows: Table,
    videos: dict[str, np.ndarray],
    threshold: float,
    temperature: float,
    unit: str,
    video_rule: str,
    faces_rule: str,
    measures: dict[tuple[str, int], dict] | None = None,
) -> tuple[dict, np.ndarray]:
    """A verdict of each scored and labelled video, as `confirmed` takes them: (rows, groups).

    Args:
      rows, videos, threshold, temperature, unit, video_rule, faces_rule: as of `unsure.measure`.
      measures: {(name of a video, number of its face): {measure: value or None}} of what is measured on pixels.
    """
    columns = {name: [] for name in ("video", "true", "wrong", "interval", *MEASURES)}
    for number, faces in faces_of_table(rows, threshold, temperature, unit, video_rule, {}):
        if videos["label"][number] < 0:
            continue
        spread = spread_of(faces, video_rule, faces_rule, temperature)
        name, value = str(videos["video"][number]), float(videos["score"][number])
        first = faces[0] | {"measures": (measures or {}).get((name, faces[0]["face"]), {})}
        columns["video"].append(number)
        columns["true"].append(int(videos["label"][number]))
        columns["wrong"].append((value >= threshold) != (videos["label"][number] == 1))
        columns["interval"].append(bool(interval_doubts(spread, threshold)))
        for measure in MEASURES:
            taken = measured(first, threshold, measure)
            columns[measure].append(np.nan if taken is None else taken)
    verdicts = {name: np.array(values) for name, values in columns.items()}
    verdicts["severity"] = np.zeros(len(verdicts["video"]), int)
    groups, _ = source_groups({name: values[verdicts["video"]] for name, values in videos.items()})
    return verdicts, groups
