"""A whole run, or a saved model folder, evaluated on a split of a prepared data set."""

from pathlib import Path

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation import metrics as measures
from tfdeepfake.evaluation import plots
from tfdeepfake.evaluation.aggregation import video_scores
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.evaluation.text import format_metrics
from tfdeepfake.files import read_json, write_json
from tfdeepfake.model_folder import RECIPE_FILE, load_model
from tfdeepfake.scoring.score import score_data
from tfdeepfake.scoring.table import read_scores, read_videos, without, write_scores


def differing_fields(recipe, data, input_type, wants_flow):
    """Fields in which prepared data differ from what a network was trained on, as text.

    How many frames or clips of a video are scored is no part of a network's input, so `num_clips` may differ, and for
    frame networks also `num_frames`, `sampling` and `stride_frames`. A clip data set serves every network.

    Args:
      recipe: DataRecipe of the network.
      data: DataRecipe of the prepared data.
      input_type: "frame", "flow" or "clip": what the network takes.
      wants_flow: whether it has a flow input.
    """
    free = {"input_type", "num_clips"} | (
        {"num_frames", "sampling", "stride_frames"} if input_type == "frame" else set()
    )
    free |= set() if wants_flow else {"flow"}
    mine, theirs = recipe.to_dict(), data.to_dict()
    found = [
        f"{name}: network {mine[name]!r}, data {theirs[name]!r}"
        for name in mine
        if name not in free and mine[name] != theirs[name]
    ]
    if data.input_type not in ("clip", input_type):
        found.insert(0, f"input_type: network {input_type!r}, data {data.input_type!r}")
    return found


def evaluate_run(
    run_dir,
    split="test",
    data=None,
    data_dir=None,
    out=None,
    batch_size=16,
    exclude=None,
    resamples=measures.RESAMPLES,
    seed=0,
    tta="none",
):
    """Scores a run's best network on a split; writes scores.csv, metrics.json and images; prints the table.

    Args:
      run_dir: run folder of `tfdeepfake train`, or a saved model folder (then `data` is needed).
      split: of the prepared data set.
      data, data_dir: prepared data set and where it lies; the run's own when not given.
      out: folder; run_dir/evaluation/SPLIT when not given, with `exclude` SPLIT-without-NAME, with `tta` -tta-flip
        behind it.
      batch_size: examples scored at a time.
      exclude: CSV file of videos that are left out of scores.csv and of all metrics, such as `tfdeepfake audit` writes
        of those that leak; how many there were stands in the coverage.
      resamples, seed: of the bootstrap.
      tta: "flip" scores the mean logit of each input and its mirror image. Threshold and temperature were chosen
        without it.
    Returns:
      What `evaluate` returns, with run, network, weights_sha256, data, split, trained_on, calibration.
    Raises:
      InputError: no model, no data, or data prepared with another recipe than the network's.
    """
    from tfdeepfake.data.batches import pipeline

    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise InputError(run_dir, "is not a run folder.", "Give a folder written by `tfdeepfake train`.")
    own = run_dir if (run_dir / RECIPE_FILE).exists() else run_dir / "best"
    model, recipe = load_model(own)
    if data is None and own == run_dir:
        raise InputError(run_dir, "is a saved model folder and names no data set.", "Add --data NAME.")
    config = {} if own == run_dir else read_json(run_dir / "config.json", "Give the data set with --data NAME.")
    input_type, with_flow = models.input_type(model), models.wants_flow(model)
    prepared = pipeline.open_data(data or config.get("data"), data_dir or config.get("data_dir"), input_type, with_flow)
    different = differing_fields(recipe.data, prepared.recipe, input_type, with_flow)
    if different:
        raise InputError(
            prepared.version,
            f"was prepared otherwise than the network's training data ({'; '.join(different)}); scores would be wrong.",
            "Prepare the data set again with the network's recipe.",
        )
    left_out = None if exclude is None else read_videos(exclude)
    rows = score_data(model, prepared, split, batch_size, tta)
    folder = split
    if exclude is not None:
        rows, found = without(rows, left_out)
        folder = f"{split}-without-{Path(exclude).stem}"
        if not len(rows["video"]):
            raise InputError(exclude, f"lists all {found} videos of the split {split!r}.", "Nothing is left to score.")
    folder += "" if tta == "none" else f"-tta-{tta}"
    out = Path(out) if out else run_dir / "evaluation" / folder
    write_scores(out / "scores.csv", rows)
    unit = "clip" if input_type == "clip" else "frame"
    metrics = {
        "run": str(run_dir),
        "network": recipe.network,
        "weights_sha256": recipe.weights_sha256,
        "data": prepared.version,
        "split": split,
        "tta": tta,
        "trained_on": recipe.data_version,
        "calibration": recipe.calibration,
    }
    metrics |= evaluate(rows, recipe.threshold, recipe.fraction_threshold, recipe.temperature, resamples, seed, unit)
    if exclude is not None:
        metrics["coverage"] |= {"excluded": found, "excluded_by": str(exclude)}
    if tta != "none":
        metrics["notes"].append(f"test-time augmentation {tta!r}; thresholds and temperature were chosen without it.")
    metrics["notes"] += _optimism(run_dir, rows, split, recipe, prepared.version)
    write_json(out / "metrics.json", metrics)
    plots.write_plots(out, rows, metrics)
    print(format_metrics(metrics))
    print(f"Written to {out}/: " + ", ".join(sorted(path.name for path in out.iterdir())))
    return metrics


def _optimism(run_dir, rows, split, recipe, version):
    """Notes on videos that took part in training or in choosing thresholds."""
    notes = []
    same_data = recipe.data_version == version
    if split == "train" and same_data:
        notes.append("optimistic: the network was trained on this split.")
    used = run_dir / "scores_validation.csv"
    if used.is_file():
        before, now = read_scores(used), video_scores(rows)
        known = set(zip(*(before[name] for name in ("data_set", "method", "video")), strict=True))
        both = sum(key in known for key in zip(*(now[name] for name in ("data_set", "method", "video")), strict=True))
        if both:
            notes.append(
                f"optimistic: {both} of {len(now['video'])} videos also served to choose the best epoch, thresholds "
                "and temperature."
            )
    elif split == "validation" and same_data:
        notes.append("optimistic: this split served to choose the best epoch, thresholds and temperature.")
    return notes
