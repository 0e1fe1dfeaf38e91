"""Many files to verdicts: a line for each, and a folder with predictions.json, index.html, scores.csv and images.

Every verdict is on the disk before the next file is begun; a run that was stopped is resumed.
"""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfdeepfake import __version__
from tfdeepfake.compiled.choice import load_for_verdict
from tfdeepfake.counting import bar_hidden, moving
from tfdeepfake.errors import InputError
from tfdeepfake.files import append_json_line, write_json
from tfdeepfake.model_folder import find_model_folder, load_recipe
from tfdeepfake.recipe import Recipe
from tfdeepfake.verdict import images, page
from tfdeepfake.verdict.ahead import Ahead
from tfdeepfake.verdict.budget import Budget
from tfdeepfake.verdict.cost import on_bar
from tfdeepfake.verdict.judging import judge_looked
from tfdeepfake.verdict.lines import line, summary
from tfdeepfake.verdict.results import (
    IMAGES,
    LINES,
    PAGE,
    RESULT,
    SCORES,
    MediaFiles,
    digest,
    find_media,
    open_folder,
    printable_path,
    read_labels,
    read_verdicts,
    score_rows,
    stamp,
    with_label,
)
from tfdeepfake.verdict.settings import JudgeSettings
from tfdeepfake.vocabulary import STATUSES, UNSURE, VERDICT_LABELS

SCHEMA = 2


def judge_many(
    paths: Path | str | Iterable[Path | str],
    model_folder: "Path | str | Network",
    out_dir: Path | str | None = None,
    *,
    settings: JudgeSettings | None = None,
    detector: str | None = None,
    detector_weights: Path | str | None = None,
    labels: Path | str | None = None,
    runtime: str = "auto",
    log: Callable[[str], None] | None = None,
    notice: Callable[[str], None] | None = None,
    start: float | None = None,
    explain: "Callable[[Network], Callable] | None" = None,
    budget_s: float | None = None,
    guarded: bool = False,
) -> dict:
    """Judges files and folders; goes on past bad files and counts them.

    Args:
      paths: a video, image or folder of them, or several.
      model_folder: as written by `model_folder.save_model`, or a run folder, whose best/ is taken; or what
        `load_network` made of one, with its detector.
      out_dir: gets predictions.jsonl (a line per verdict, at once), predictions.json, index.html, scores.csv and
        frames/; nothing is written when not given. A run of the same command that was stopped is resumed.
      settings: `JudgeSettings()` when not given.
      detector: instead of the recipe's; scores may differ from those of training, and the page says so.
      detector_weights: path of the BlazeFace file.
      labels: CSV file,label: written into scores.csv, and the page shows what is right and wrong.
      runtime: "auto", "litert" or "keras", see `compiled.choice.load_for_verdict`.
      log: called with each verdict's line, and with the summary.
      notice: called with what takes long before them, such as compiling the network.
      start: `time.perf_counter()` at which the start-up began, for `startup_s`; this call when not given.
      explain: such as `explain.overlays.overlays`: it makes of the network a function of (path, record, list of
        `Shown`, out_dir, folder) that draws where in each face the network looks, and returns the images.
      budget_s: seconds for all files together, the start-up included. A file is begun only while what is left is as
        much as the slowest one took; those that were not reached are named in `not_reached`, and the same command goes
        on with them.
      guarded: the caller's script stands under `if __name__ == "__main__":`, so that without `settings.workers`
        processes may be begun from it, too, see `ahead.runs_script_again`.
    Returns:
      dict, the content of predictions.json (docs/predictions.md).
    Raises:
      InputError: the model folder, out_dir or the labels cannot be used, there is no media file, or the disk is full.
    """
    start = time.perf_counter() if start is None else start
    settings, log = settings or JudgeSettings(), log or (lambda line: None)
    paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    out_dir = Path(out_dir) if out_dir else None
    if not isinstance(model_folder, Network):
        model_folder = find_model_folder(model_folder)
        load_recipe(model_folder)  # what is wrong with it is said before anything else is read
    files = find_media(paths, out_dir, settings.frame_rate)
    for folder, reason in files.unreadable_folders:
        log(f"UNREADABLE  folder {folder}: {reason}")
    for note in files.notes:
        log(note)
    _check_there_are_media(paths, files)
    true_labels, unmatched_labels = read_labels(labels, files.media) if labels else ({}, [])
    network = model_folder
    if not isinstance(network, Network):
        how = {"runtime": runtime, "log": notice or log, "num_files": len(files.media)}
        how |= {"with_layers": True} if explain else {}
        network = load_network(model_folder, detector, detector_weights, **how)
    run = digest(
        {"recipe": network.recipe.to_dict(), "detector": network.detector, "version": [__version__, SCHEMA]}
        | settings.that_change_scores()
        | ({"explain": True} if explain else {})
    )
    draw_maps = explain(network) if explain and out_dir else None
    resumed = open_folder(out_dir, run) if out_dir else {}
    if resumed:
        log(f"{len(resumed)} verdicts of the stopped run are kept.")
    startup_s, verdicts = time.perf_counter() - start, []
    budget, ahead = Budget(budget_s, start), Ahead(network, settings, guarded)
    # Closed whatever ends it, Ctrl-C included: processes ahead end, too.
    with contextlib.closing(_records(files.media, network, ahead, out_dir, run, resumed, draw_maps, budget)) as records:
        for record in records:
            verdict = with_label(record, true_labels)
            log(line(verdict, network.recipe.threshold))
            if verdict.get("traceback"):
                log(verdict["traceback"])
            # With a folder the verdicts are on the disk: only what is counted is kept here.
            verdicts.append({k: verdict.get(k) for k in ("status", "label", "true_label")} if out_dir else verdict)
    notes = [*files.notes, *budget.notes()]
    for note in budget.notes():
        log(note)
    recipe = network.recipe.to_dict()
    result = {
        "schema": SCHEMA,
        "tool": f"tfdeepfake {__version__}",
        "model": printable_path(network.folder),
        "recipe": recipe,
        "recipe_sha256": digest(recipe),
        "detector": network.detector,
        "trained_with_detector": network.trained_with_detector,
        "tta": settings.tta,
        "threshold": network.recipe.threshold,
        "counts": counts(verdicts),
        "other_files": files.other_files,
        "unreadable_folders": [{"folder": f, "reason": r} for f, r in files.unreadable_folders],
        "folder_notes": notes,
        "not_reached": budget.not_reached,
        "unmatched_labels": unmatched_labels,
        "startup_s": round(startup_s, 3),
    }
    if out_dir:
        _finish(out_dir, result, true_labels)
    else:
        result["verdicts"] = verdicts
    for text in summary(result, out_dir):
        log(text)
    return result


@dataclass(frozen=True)
class Network:
    """What every file of a run is judged with: the loaded network and the face detector.

    Args:
      folder: saved model folder.
      model: keras.Model or `compiled.folder.CompiledModel`; recipe: its own, with the face detector in use.
      detect: function of frames, see `data.faces.make_detector`.
      detector: name of the face detector in use; trained_with_detector: of the recipe's own.
      detector_weights: path of its file, where one was given.
    """

    folder: Path
    model: object
    recipe: Recipe
    detect: Callable
    detector: str
    trained_with_detector: str
    detector_weights: Path | str | None = None


def load_network(
    model_folder: Path | str,
    detector: str | None = None,
    detector_weights: Path | str | None = None,
    *,
    runtime: str = "auto",
    log: Callable[[str], None] = lambda line: None,
    num_files: int = 1,
    with_layers: bool = False,
) -> Network:
    """Loads the network and the face detector: the recipe's, or the one that was asked for.

    Args:
      model_folder, detector, detector_weights: as for `judge_many`.
      runtime, log, num_files, with_layers: see `compiled.choice.load_for_verdict`.
    Raises:
      InputError: the model folder or the detector's file cannot be used.
    """
    from tfdeepfake.data import faces

    model_folder = find_model_folder(model_folder)
    recipe = load_recipe(model_folder)
    trained_with = recipe.data.detector
    in_use = "mtcnn" if trained_with == "none" else detector or trained_with
    if detector_weights and in_use != "blazeface":
        raise InputError(
            "--detector-weights", f"belongs to blazeface; this run uses {in_use}.", "Add --detector blazeface."
        )
    if trained_with != "none":
        try:
            recipe = recipe.with_detector(in_use)
        except ValueError as error:
            remedy = "Leave --detector out."
            raise InputError("--detector", f"does not fit the model's recipe: {error}", remedy) from None
    model, _ = load_for_verdict(model_folder, runtime, log, num_files, with_layers)
    detect = faces.make_detector(in_use, detector_weights)
    return Network(model_folder, model, recipe, detect, in_use, trained_with, detector_weights)


def _check_there_are_media(paths, files: MediaFiles):
    """Raises InputError when no file is left to be judged."""
    if files.media:
        return
    problem = "holds no video or image."
    if files.other_files:
        problem = f"holds no video or image ({len(files.other_files)} other files)."
    if files.unreadable_folders:
        problem = " ".join(files.unreadable_folders[0])
    subject = ", ".join(map(printable_path, paths)) or "paths"
    raise InputError(subject, problem, "Give a video, an image or a folder of them.")


def _records(media, network, ahead, out_dir, run, resumed, draw_maps, budget):
    """Yields the record of each file that is reached: the one of the stopped run, or a new one, on the disk by then."""
    from tqdm.auto import tqdm

    new = [path for path, _ in media if printable_path(path) not in resumed]
    bar = tqdm(media, desc="judging", unit="file", disable=bar_hidden())
    tell = on_bar(bar, "clip" if network.recipe.data.input_type == "clip" else "face", network.recipe.gmacs)
    with contextlib.closing(bar), moving(bar), contextlib.closing(ahead.looked(new)) as looked:
        for path, name in bar:
            record = resumed.get(printable_path(path))
            if record is None:
                if not budget.begins(name):
                    continue
                shown = []
                keep = shown.extend if draw_maps else None
                verdict = judge_looked(*next(looked), network.model, network.recipe, ahead.settings, keep, None, tell)
                facts = {"file": printable_path(path), "stamp": stamp(path), "run": run}
                record = {"name": name, **verdict.to_dict(), **facts}
                if out_dir:
                    _draw(path, record, out_dir, ahead.read_frames, shown, draw_maps)
                    append_json_line(out_dir / LINES, record)
            yield record


def _draw(path, record, out_dir, read_frames, shown, draw_maps):
    """Draws the images of a record and notes them in it; a full disk ends the run."""
    record["images"] = []
    try:
        record["images"] = images.draw_images(path, record, out_dir, IMAGES, read_frames)
        if draw_maps:
            record["images"] += draw_maps(path, record, shown, out_dir, IMAGES)
    except (InputError, OSError):
        raise
    except Exception as error:  # images are an extra: what goes wrong with them costs no verdict
        record["images_problem"] = f"{type(error).__name__}: {error}"


def _finish(out_dir, result, labels):
    """Everything that is made of all verdicts together. predictions.json comes last: it marks the run as finished."""
    from tfdeepfake.scoring.table_file import write_scores

    read = functools.partial(read_verdicts, out_dir, labels)
    write_scores(out_dir / SCORES, list(score_rows(read(), labels)))
    page.write_page(out_dir / PAGE, result, read)
    result["verdicts"] = list(read())
    write_json(out_dir / RESULT, result)


def counts(verdicts: list[dict]) -> dict:
    """How many verdicts there are of each status and label, and how many agree with the labels given."""
    by_status = {status: sum(v["status"] == status for v in verdicts) for status in STATUSES}
    by_label = {label: sum(v["label"] == label for v in verdicts) for label in VERDICT_LABELS}
    # An UNSURE is neither right nor wrong.
    labelled = [v for v in verdicts if v["status"] == "scored" and v["label"] != UNSURE and v.get("true_label")]
    right = sum(v["label"] == v["true_label"] for v in labelled)
    return {"files": len(verdicts), **by_status, **by_label, "right": right, "wrong": len(labelled) - right}


def exit_code(result: dict) -> int:
    """0: all were scored (also UNSURE) or show no face. 1: some could not be read, failed or were not reached. 2: none
    was usable.
    """
    count = result["counts"]
    if not count["scored"] and not count["no_face"]:
        return 2
    lost = count["unreadable"] or count["error"] or result["unreadable_folders"] or result["not_reached"]
    return 1 if lost else 0


def predict(
    paths: Path | str | Iterable[Path | str],
    model_folder: Path | str,
    out_dir: Path | str | None = None,
    **options: Any,
) -> int:
    """`judge_many`, with its options, for the command line: prints a line per file, returns the exit code."""
    from tqdm import tqdm

    return exit_code(judge_many(paths, model_folder, out_dir, log=tqdm.write, guarded=True, **options))
