"""A run's best network, or that of a saved model folder, evaluated on a split of a prepared data set."""

from pathlib import Path
from typing import TYPE_CHECKING

from tfdeepfake import models
from tfdeepfake.data.batches.records import looks_of
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation import chunks, class_plot, metrics, plots, unsure
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.evaluation.optimism import optimism
from tfdeepfake.evaluation.text import format_metrics
from tfdeepfake.files import read_json, write_json
from tfdeepfake.model_folder import RECIPE_FILE, find_model_folder, load_recipe, load_voting
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.scoring.classes import check_detector
from tfdeepfake.scoring.score import score_data
from tfdeepfake.scoring.table import without
from tfdeepfake.scoring.table_file import read_videos, write_scores

if TYPE_CHECKING:
    from tfdeepfake.data.batches.prepared import PreparedData


def differing_fields(recipe: DataRecipe, data: DataRecipe, input_type: str, wants_flow: bool) -> list[str]:
    """Fields in which prepared data differ from what a network was trained on, as text.

    How many frames or clips of a video are scored is no part of a network's input, nor is the rate of other videos:
    `num_clips` and `runs_fps` may differ, and for frame networks also `num_frames`, `sampling` and `stride_frames`. A
    clip data set serves every network.

    Args:
      recipe: DataRecipe of the network.
      data: DataRecipe of the prepared data.
      input_type: "frame", "flow" or "clip": what the network takes.
      wants_flow: whether it has a flow input.
    """
    free = {"input_type", "num_clips", "runs_fps"}
    free |= {"num_frames", "sampling", "stride_frames"} if input_type == "frame" else set()
    free |= set() if wants_flow else {"flow"}
    wanted, there = recipe.to_dict(), data.to_dict()
    fields = [
        f"{name}: network {wanted[name]!r}, data {there[name]!r}"
        for name in wanted
        if name not in free and wanted[name] != there[name]
    ]
    if data.input_type not in ("clip", input_type):
        fields.insert(0, f"input_type: network {input_type!r}, data {data.input_type!r}")
    return fields


def evaluate_run(
    folder: str | Path,
    split: str = "test",
    data: str | None = None,
    data_dir: str | None = None,
    out: str | Path | None = None,
    batch_size: int = 16,
    exclude: str | Path | None = None,
    resamples: int = metrics.RESAMPLES,
    seed: int = 0,
    tta: str = "none",
    subgroups: list[str] | None = None,
) -> dict:
    """Scores a network on a split; writes scores.csv, metrics.json and images; prints the table.

    Args:
      folder: run folder of `tfdeepfake train`, whose best network is taken, or a saved model folder (then `data` is
        needed).
      split: of the prepared data set.
      data, data_dir: prepared data set and where it lies; the run's own when not given.
      out: folder to write to; when not given it is `default_folder`.
      batch_size: examples scored at a time.
      exclude: CSV file of videos that are left out of scores.csv and of all metrics, such as `tfdeepfake audit` writes
        of those that leak; how many there were stands in the coverage.
      resamples, seed: of the bootstrap.
      tta: "flip" scores the mean logit of each input and its mirror image. Threshold and temperature were chosen
        without it.
      subgroups: columns of the scores, such as gender, by whose values videos are measured apart; all that the data
        set tells when not given.
    Returns:
      What `evaluate` returns, with run, network, weights_sha256, data, split, trained_on, calibration, and
      `score_notes`, those of the notes that are of the scores and not of the figures.
    Raises:
      InputError: no model, no data, data prepared with another recipe than the network's, or `default_folder` holds an
        evaluation on other videos of a data set of the same name.
    """
    folder = Path(folder)
    model, recipe, config = _load(folder, data, data_dir)
    input_type = models.input_type(model)
    classes = check_detector(recipe.network, model.outputs[0].shape[-1], recipe.classes)
    own, trained_frames = config or {}, recipe.data.num_frames
    model, recipe, prepared = _fitting(model, recipe, data or own.get("data"), data_dir or own.get("data_dir"), folder)
    if out is None:
        is_own = config is not None and _is_own(config, recipe, prepared.version, data, data_dir)
        out = default_folder(folder, config is not None, is_own, prepared.version, split, exclude, tta)
        _check_same_data(out, prepared)
    excluded_videos = None if exclude is None else read_videos(exclude)
    rows = score_data(model, prepared, split, batch_size, tta, classes, recipe.verdict)
    if exclude is not None:
        rows, num_excluded = without(rows, excluded_videos)
        if not len(rows["video"]):
            raise InputError(
                exclude, f"lists all {num_excluded} videos of the split {split!r}.", "Nothing is left to score."
            )
    report = {
        "run": str(folder),
        "network": recipe.network,
        "weights_sha256": recipe.weights_sha256,
        "data": prepared.version,
        "data_folder": _data_folder(prepared),
        "split": split,
        "tta": tta,
        "trained_on": recipe.data_version,
        "calibration": recipe.calibration,
    }
    unit = "clip" if input_type == "clip" else "frame"
    rules = {"unit": unit, "video_rule": recipe.video_rule, "faces_rule": recipe.faces_rule}
    rules["limits"] = unsure.limits_of(recipe)
    cuts = (recipe.threshold, recipe.fraction_threshold, recipe.temperature)
    report |= evaluate(rows, *cuts, resamples, seed, **rules, subgroups=subgroups)
    notes = []
    if prepared.recipe.select == "all" and not looks_of(prepared) and recipe.data.detector != "none":
        notes.append("the data set tells no size of its faces: small and doubtful ones decide too.")
    if exclude is not None:
        report["coverage"] |= {"excluded": num_excluded, "excluded_by": str(exclude)}
    if tta != "none":
        notes.append(f"test-time augmentation {tta!r}; thresholds and temperature were chosen without it.")
    if recipe.data.num_frames != trained_frames:
        notes.append(
            f"scored on chunks of {recipe.data.num_frames} frames; trained on {trained_frames}, as were thresholds and "
            "temperature chosen."
        )
    notes += optimism(folder, rows, split, recipe, prepared.version)
    report |= {"score_notes": notes, "notes": report["notes"] + notes}
    out = Path(out)
    write_scores(out / "scores.csv", rows)
    write_json(out / "metrics.json", report)
    plots.write_plots(out, rows, report)
    if "classes" in report:
        class_plot.class_confusion(out / "classes.png", report["classes"], plots.describe(report))
    print(format_metrics(report))
    print(f"Written to {out}/: " + ", ".join(sorted(path.name for path in out.iterdir())))
    return report


def score_folder(folder: str | Path, data: str, data_dir: str | None, split: str, batch_size: int = 16) -> tuple:
    """(scores table of a saved model folder on a split, text that names data and split); see `evaluate_run`."""
    check_data(folder, data, data_dir)
    model, recipe = load_voting(folder)
    classes = check_detector(recipe.network, model.outputs[0].shape[-1], recipe.classes)
    model, recipe, prepared = _fitting(model, recipe, data, data_dir, folder)
    rows = score_data(model, prepared, split, batch_size, "none", classes, recipe.verdict)
    return rows, f"{prepared.version} ({split})"


def _load(folder, data, data_dir):
    """(keras.Model, Recipe, config of the run) of a run folder; a saved model folder has no config: None."""
    if not folder.is_dir():
        raise InputError(
            folder, "is not a run folder.", "Give a folder written by `tfdeepfake train`, or a saved model folder."
        )
    if not (folder / RECIPE_FILE).exists():
        model, recipe = load_voting(find_model_folder(folder))
        return model, recipe, read_json(folder / "config.json", "Give the data set with --data NAME.")
    if data is None:
        raise InputError(folder, "is a saved model folder and names no data set.", "Add --data NAME.")
    check_data(folder, data, data_dir)
    return *load_voting(folder), None


def check_data(model: Path | str, data: str, data_dir: str | None, split: str | None = None) -> None:
    """Looks at data before a network's weights are read, or fetched.

    Args:
      model: saved model folder, or the name of a published checkpoint.
      data, data_dir: as of `open_data`; split: that has to be there.
    Raises:
      InputError: there are no such data, or they are not of the network's recipe.
    """
    known = None if Path(model).exists() else SOURCES.get(str(model))
    recipe = Recipe(known.network, known.network_args, data=known.data) if known else load_recipe(model)
    if recipe.network not in models.MODELS:  # loading it says so
        return
    reads = models.reads(recipe.network, recipe.network_args)
    if reads[0] == "clip":  # of which the network may be one that takes others
        from tfdeepfake.data.batches.prepared import open_data

        prepared = open_data(data, data_dir, *reads)
    else:
        prepared = open_fitting(data, data_dir, recipe, *reads, model)
    if split is not None:
        prepared.split(split)


def _fitting(model, recipe, data, data_dir, folder):
    """(keras.Model, Recipe, PreparedData): of data in chunks the network is one that takes whole ones."""
    from tfdeepfake.data.batches.prepared import open_data

    reads = models.input_type(model), models.wants_flow(model)
    if reads[0] == "clip":
        model, recipe = chunks.lengthened(model, recipe, open_data(data, data_dir, *reads).recipe)
    return model, recipe, open_fitting(data, data_dir, recipe, *reads, folder)


def open_fitting(
    data: str | None,
    data_dir: str | Path | None,
    recipe: Recipe,
    input_type: str,
    with_flow: bool,
    folder: str | Path = "MODEL",
) -> "PreparedData":
    """A prepared data set of the recipe that a network was trained with.

    Args:
      data, data_dir: as of `open_data`.
      recipe: of the network; input_type, with_flow: what it reads; folder: where it lies, for the command in an error.
    Raises:
      InputError: there is no such data set, or it was prepared otherwise.
    """
    from tfdeepfake.data.batches.prepared import like_command, open_data
    from tfdeepfake.data.batches.window import windowed

    prepared = open_data(data, data_dir, input_type, with_flow)
    longer = recipe.data.sampling == "consecutive" and 1 < recipe.data.num_frames < prepared.recipe.num_frames
    if input_type == "clip" and longer and prepared.recipe.sampling == "consecutive":
        # The network was trained on windows of longer runs, or might have been.
        prepared = windowed(prepared, recipe.data.num_frames)
    different = differing_fields(recipe.data, prepared.recipe, input_type, with_flow)
    if different:
        raise InputError(
            prepared.version,
            f"was prepared otherwise than the network's training data ({'; '.join(different)}); scores would be wrong.",
            f"Prepare the data set again with the network's recipe: {like_command(prepared, folder)}",
        )
    return prepared


def _is_own(config, recipe, version, data, data_dir):
    """Whether a run is evaluated on the data set that it was trained on."""
    there = [str(Path(path).expanduser().absolute()) if path else None for path in (config.get("data_dir"), data_dir)]
    return (data is None or version == recipe.data_version) and (data_dir is None or there[0] == there[1])


def _data_folder(prepared):
    return str(Path(prepared.builder.data_dir).resolve())


def _check_same_data(out, prepared):
    """Refuses to write over an evaluation on data of the same name in another place, as of two folders of videos."""
    path, here = out / "metrics.json", _data_folder(prepared)
    there = read_json(path).get("data_folder", here) if path.is_file() else here
    # What is no longer there has been moved.
    if there != here and Path(there).exists():
        raise InputError(out, f"holds an evaluation on {there}; these data are {here}.", "Choose another: --out FOLDER")


def default_folder(
    folder: Path,
    is_run: bool,
    is_own: bool,
    version: str,
    split: str,
    exclude: str | Path | None = None,
    tta: str = "none",
) -> Path:
    """Where an evaluation is written: no other one's result is there, and a saved model folder stays as it is.

        RUN/evaluation/SPLIT             a run on its own data set
        RUN/evaluation/DATA-SPLIT        on another one
        evaluation/MODEL-DATA-SPLIT      a saved model folder, in the working directory

    SPLIT has "-without-NAME" behind it with `exclude`, and "-tta-flip" with `tta`.

    Args:
      folder: run folder or saved model folder.
      is_run, is_own: which of the three it is.
      version: "name/config:1.0.0" of the data set.
      split, exclude, tta: of `evaluate_run`.
    """
    part = split + ("" if exclude is None else f"-without-{Path(exclude).stem}")
    part += "" if tta == "none" else f"-tta-{tta}"
    data = version.partition(":")[0].replace("/", "-")
    if is_run:
        return folder / "evaluation" / (part if is_own else f"{data}-{part}")
    path = folder.resolve()
    # best/ and last/ of a run are named by the run.
    model = f"{path.parent.name}-{path.name}" if path.name in ("best", "last") else path.name
    return Path("evaluation") / f"{model}-{data}-{part}"
