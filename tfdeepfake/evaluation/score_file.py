"""A score file and what it was made with: the thresholds, temperature and rules that stand beside it."""

from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.evaluation import metrics, plots, unsure
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.evaluation.text import format_metrics
from tfdeepfake.files import read_json, write_json
from tfdeepfake.recipe import Recipe
from tfdeepfake.scoring.table import Table, without
from tfdeepfake.scoring.table_file import read_scores, read_videos

CUTS = ("threshold", "fraction_threshold", "temperature", "video_rule", "faces_rule", "limits")
KEPT = (
    "run", "network", "weights_sha256", "data", "split", "tta", "trained_on", "calibration", "score_notes",
)  # fmt: skip
EXCLUDED = ("excluded", "excluded_by")


def read_score_file(path: str | Path) -> tuple[Table, dict, dict]:
    """Reads scores.csv of `evaluate`, of `train` or of `predict`, and the file beside it that says how to sum it up.

    Returns:
      (table; keyword arguments of `evaluate.evaluate`; facts such as network and data). Without metrics.json (of
      `evaluate`) or predictions.json (of `predict`) beside it the arguments are {} and the facts have a "note".
    Raises:
      InputError: one of the files is missing or damaged.
    """
    path = Path(path)
    rows = read_scores(path)
    report, predictions = path.parent / "metrics.json", path.parent / "predictions.json"
    if report.is_file():
        known = read_json(report, "Evaluate the run again.")
        cuts = known.get("thresholds", {})
        settings = {name: cuts[name] for name in CUTS if name in cuts} | {"unit": known.get("unit", "frame")}
        if not cuts.get("fraction_threshold_was_chosen", True):
            settings.pop("fraction_threshold", None)
        seen = known.get("coverage", {})
        facts = {name: known[name] for name in KEPT if name in known}
        return rows, settings, facts | {name: seen[name] for name in EXCLUDED if name in seen}
    if predictions.is_file():
        recipe = Recipe.from_dict(read_json(predictions).get("recipe", {}), predictions)
        settings = {name: getattr(recipe, name) for name in CUTS} | {"limits": unsure.limits_of(recipe)}
        settings["unit"] = "clip" if recipe.data.input_type == "clip" else "frame"
        return rows, settings, {"network": recipe.network, "calibration": recipe.calibration}
    return rows, {}, {"note": f"{path} has no metrics.json beside it: mean rule, threshold 0.5, no temperature."}


def evaluate_file(
    path: str | Path,
    out: str | Path | None = None,
    exclude: str | Path | None = None,
    resamples: int = metrics.RESAMPLES,
    seed: int = 0,
    subgroups: list[str] | None = None,
) -> dict:
    """Metrics of a score file, without the network; writes metrics.json and images, and prints the table.

    Args:
      path: scores.csv.
      out: folder; `evaluation` beside the file when not given.
      exclude, resamples, seed, subgroups: as of `run.evaluate_run`.
    Returns:
      What `evaluate.evaluate` returns, with the facts that are known of the scores.
    Raises:
      InputError: a file is missing or damaged, or none of its videos has a label.
    """
    rows, settings, facts = read_score_file(path)
    note = facts.pop("note", None)
    excluded = {name: facts.pop(name) for name in EXCLUDED if name in facts}
    if exclude is not None:
        rows, num_excluded = without(rows, read_videos(exclude))
        lists = [name for name in (excluded.get("excluded_by"), str(exclude)) if name]
        excluded = {"excluded": excluded.get("excluded", 0) + num_excluded, "excluded_by": ", ".join(lists)}
    if not (rows["label"] >= 0).any():
        raise InputError(
            path,
            "has no video with a label." if len(rows["label"]) else "has no video that is not excluded.",
            "Give `tfdeepfake predict` the labels with --labels FILE, or fill the column label (1 is fake).",
        )
    report = {"scores": str(path)} | facts
    report |= evaluate(rows, resamples=resamples, seed=seed, subgroups=subgroups, **settings)
    report["coverage"] |= excluded
    report["notes"] += report.get("score_notes", []) + ([note] if note else [])
    out = Path(path).parent / "evaluation" if out is None else Path(out)
    write_json(out / "metrics.json", report)
    plots.write_plots(out, rows, report)
    print(format_metrics(report))
    print(f"Written to {out}/: " + ", ".join(sorted(entry.name for entry in out.iterdir())))
    return report
