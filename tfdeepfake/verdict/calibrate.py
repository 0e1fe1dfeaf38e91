"""Threshold, temperature and limits for one's own labelled videos, into a copy of a saved model folder.

    OUT/model.weights.h5 ...    as in the folder it was copied of
    OUT/recipe.json             with what is new, and on what it rests; written last
    OUT/calibration/            predictions.jsonl, a verdict a line; scores.csv, what it rests on; calibration.json

A run that was stopped is resumed by the same command.
"""

import contextlib
import dataclasses
import datetime
import shutil
from collections.abc import Callable
from pathlib import Path

from tfdeepfake import __version__
from tfdeepfake.counting import bar_hidden
from tfdeepfake.csv_lists import FILE_NAMES, listed_path, read_list
from tfdeepfake.errors import InputError
from tfdeepfake.files import append_json_line, atomic_path, write_json
from tfdeepfake.model_folder import RECIPE_FILE, find_model_folder, load_recipe, write_recipe
from tfdeepfake.recipe import Recipe
from tfdeepfake.verdict.ahead import Ahead
from tfdeepfake.verdict.cost import on_bar
from tfdeepfake.verdict.judging import judge_looked
from tfdeepfake.verdict.results import (
    LINES,
    SCORES,
    digest,
    find_media,
    open_folder,
    printable_path,
    read_labels,
    score_rows,
    stamp,
)
from tfdeepfake.verdict.settings import JudgeSettings
from tfdeepfake.vocabulary import STATUSES

FOLDER, REPORT = "calibration", "calibration.json"
CLASSES = ("real", "fake")
LEAST_VIDEOS = 10  # of each class; with fewer the interval of a threshold is nearly all there is
LAYOUT = "Give a folder with the subfolders real/ and fake/, or a CSV file with the columns file,label."


def calibrate_videos(
    model_folder: Path | str,
    data: Path | str,
    out: Path | str,
    *,
    settings: JudgeSettings | None = None,
    runtime: str = "auto",
    log: Callable[[str], None] = lambda line: None,
    guarded: bool = False,
) -> dict:
    """Judges labelled videos, chooses threshold and temperature for them, and writes a copy of the model folder.

    With many videos (`evaluation.limits.LEAST_OF_A_CLASS` of each class) limits of UNSURE, too, where they prove worth
    having on videos that they were not chosen on.

    A video without a face is counted and takes no part. The faces that would not decide a verdict, brief and weak ones,
    take none either.

    Args:
      model_folder: saved model folder, or a run folder: its best/.
      data: folder with the subfolders real/ and fake/, or a CSV file `file,label[,source]`; videos of one source are
        drawn together in the intervals.
      out: folder to write.
      settings: how the videos are judged; `JudgeSettings()` when not given. Verdicts should be made with the same.
      runtime: see `compiled.choice.load_for_verdict`.
      log: called with lines for the user.
      guarded: see `batch.judge_many`.
    Returns:
      dict, the content of calibration.json: threshold, temperature, fraction_threshold, calibration (text of the
      recipe), limits and what is told of them (see `chosen`), counts of statuses, intervals (see
      `evaluation.calibration.calibration_intervals`).
    Raises:
      InputError: the model, the data or `out` cannot be used; too few videos of a class, before or after faces were
        looked for; says how many are needed.
    """
    from tfdeepfake.scoring.table_file import read_scores, write_scores
    from tfdeepfake.verdict.batch import load_network

    settings, out = settings or JudgeSettings(), Path(out)
    model_folder = find_model_folder(model_folder)
    recipe = load_recipe(model_folder)
    check_out(out)
    media, labels = enough_labelled(data, settings.frame_rate)
    network = load_network(model_folder, runtime=runtime, log=log, num_files=len(media))
    run = digest({"recipe": network.recipe.to_dict(), "version": __version__} | settings.that_change_scores())
    records = list(_records(media, network, settings, out / FOLDER, run, log, guarded))
    for record in records:
        if record["status"] not in ("scored", "no_face"):
            log(f"{record['status'].upper()}  {printable_path(record['file'])}: {record['reason']} {record['remedy']}")
    counts = {status: sum(record["status"] == status for record in records) for status in STATUSES}
    _check_enough({r["name"]: labels[r["name"]]["label"] for r in records if r["status"] == "scored"}, "scored", counts)
    write_scores(out / FOLDER / SCORES, list(score_rows(records, labels)))
    looked = {"num_samples": max(r["num_samples"] for r in records if r["status"] == "scored")}
    report = {"data": printable_path(data), "counts": counts} | looked
    measures = {(r["name"], face["face"]): face["measures"] for r in records for face in r["faces"]}
    report |= chosen(read_scores(out / FOLDER / SCORES), recipe, printable_path(data), counts, measures)
    finish(model_folder, out, recipe, report, settings.num_samples)
    return report


def calibrate_table(model_folder: Path | str, rows: dict, data: str, out: Path | str) -> dict:
    """As `calibrate_videos`, on the scores table of a prepared data set.

    Args:
      model_folder, out: see `calibrate_videos`.
      rows: scores table, see `scoring.table`.
      data: name of the data set and its split.
    Raises:
      InputError: too few scored videos of a class, or `out` cannot be used.
    """
    from tfdeepfake.evaluation.aggregation import video_scores
    from tfdeepfake.scoring.table_file import write_scores

    out = Path(out)
    check_out(out)
    videos = video_scores(rows)
    counts = {status: int((videos["status"] == status).sum()) for status in STATUSES}
    scored = videos["status"] == "scored"
    _check_enough(dict(enumerate(videos["label"][scored].tolist())), "scored", counts)
    model_folder = find_model_folder(model_folder)
    recipe = load_recipe(model_folder)
    write_scores(out / FOLDER / SCORES, rows)
    report = {"data": data, "counts": counts, "num_samples": None} | chosen(rows, recipe, data, counts)
    finish(model_folder, out, recipe, report)
    return report


def chosen(rows: dict, recipe: Recipe, data: str, counts: dict, measures: dict | None = None) -> dict:
    """What is chosen on a scores table: threshold, temperature, fraction_threshold, intervals and calibration, a text;
    limits and limits_measured, with what is told of them in limits_text and limits_held_out (`limits.confirmed`).

    Args:
      rows: scores table, see `scoring.table`.
      recipe: of the network; its limits stay, but for measures that get another one here.
      data: what the table is of, in words.
      counts: of statuses.
      measures: of its faces, see `limits.verdicts_of_table`.
    """
    from tfdeepfake.evaluation import limits
    from tfdeepfake.evaluation.aggregation import video_scores
    from tfdeepfake.evaluation.calibration import calibrate, calibration_intervals

    rules = {
        "video_rule": recipe.video_rule,
        "faces_rule": recipe.faces_rule,
        "unit": "clip" if recipe.data.input_type == "clip" else "frame",
    }
    values = calibrate(rows, **rules)
    intervals = calibration_intervals(rows, **rules)
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    left = ", ".join(f"{counts[status]} {status.replace('_', ' ')}" for status in STATUSES[1:] if counts.get(status))
    values["calibration"] = (
        f"on {values['n_fake']} fake and {values['n_real']} real videos of {data}"
        f"{f' ({left}, left out)' if left else ''}, {today}: temperature "
        f"{values['temperature']:.3g}{_between(intervals['temperature'])} by log loss, threshold "
        f"{values['threshold']:.3g}{_between(intervals['threshold'])} by balanced accuracy; 95 % intervals over sources"
    )
    cuts = {"threshold": values["threshold"], "temperature": values["temperature"]}
    videos = video_scores(rows, recipe.video_rule, cuts["temperature"], rules["unit"], recipe.faces_rule)
    told = limits.confirmed(*limits.verdicts_of_table(rows, videos, **cuts, **rules, measures=measures))
    measured = f"on {values['n_fake'] + values['n_real']} videos of {data}, {today}: {told['text']}"
    values |= {"limits": recipe.limits, "limits_measured": recipe.limits_measured}
    if told["limits"]:
        before = f"{recipe.limits_measured}; " if recipe.limits else ""
        values |= {"limits": recipe.limits | told["limits"], "limits_measured": f"{before}measured {measured}"}
    return values | {"intervals": intervals, "limits_text": told["text"], "limits_held_out": told["held_out"]}


def finish(model_folder: Path, out: Path, recipe: Recipe, report: dict, num_samples: int | None = None) -> None:
    """Writes calibration.json and the copy of the model folder, its recipe last; with `num_samples` for verdicts."""
    chosen_samples = {} if num_samples is None else {"num_samples": num_samples}
    write_json(out / FOLDER / REPORT, report)
    for path in sorted(model_folder.rglob("*")):
        if path.is_file() and path != model_folder / RECIPE_FILE and FOLDER not in path.relative_to(model_folder).parts:
            with atomic_path(out / path.relative_to(model_folder)) as temporary:
                shutil.copyfile(path, temporary)
    names = ("threshold", "temperature", "fraction_threshold", "calibration", "limits", "limits_measured")
    verdict = dataclasses.replace(recipe.verdict, **chosen_samples)
    write_recipe(out, dataclasses.replace(recipe, verdict=verdict, **{name: report[name] for name in names}))


def check_out(out: Path) -> None:
    """Raises InputError where a folder to write is a model already; a stopped run of this command is none."""
    if (out / RECIPE_FILE).exists():
        raise InputError(out, "is a saved model folder already.", "Give another --out.")
    if out.exists() and (not out.is_dir() or any(path.name != FOLDER for path in out.iterdir())):
        raise InputError(out, "is not empty.", "Give another --out.")


def enough_labelled(data: Path | str, frame_rate: float | None = None) -> tuple[list, dict[str, dict]]:
    """As `labelled`.

    Raises:
      InputError: as `labelled`; a class has too few videos.
    """
    media, labels = labelled(data, frame_rate)
    _check_enough({name: row["label"] for name, row in labels.items()}, "labelled")
    return media, labels


def labelled(data: Path | str, frame_rate: float | None = None) -> tuple[list, dict[str, dict]]:
    """Labelled videos: (media as of `results.find_media`, {name: row with label 0 or 1} as of `results.read_labels`).

    Args:
      data: folder with the subfolders real/ and fake/, or a CSV file.
      frame_rate: of folders of frames.
    Raises:
      InputError: there is no such folder or file, or a subfolder or a listed file is missing.
    """
    data = Path(data)
    if data.is_file():
        paths = [listed_path(data, row["file"]) for _, row in read_list(data, {"file": FILE_NAMES}, ("file",), LAYOUT)]
        if missing := [path for path in paths if not path.exists()]:
            more = f", and {len(missing) - 1} more of the list" if missing[1:] else ""
            raise InputError(missing[0], f"does not exist{more}.", f"It is listed in {data}.")
        media = find_media(paths, frame_rate=frame_rate).media
        return media, read_labels(data, media)[0]
    if not data.is_dir():
        raise InputError(data, "is no folder and no CSV file.", LAYOUT)
    folders = {path.name.lower(): path for path in data.iterdir() if path.is_dir()}
    if lacking := [name for name in CLASSES if name not in folders]:
        raise InputError(data, f"has no subfolder {lacking[0]}/.", LAYOUT)
    media, labels = [], {}
    for label, name in enumerate(CLASSES):
        for path, below in find_media([folders[name]], frame_rate=frame_rate).media:
            media.append((path, f"{name}/{below}"))
            labels[f"{name}/{below}"] = {"label": label}
    return media, labels


def _check_enough(labels, what, counts=None):
    """Raises InputError unless both classes have enough videos."""
    numbers = [sum(label == value for label in labels.values()) for value in (0, 1)]
    if min(numbers) >= LEAST_VIDEOS:
        return
    left = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in (counts or {}).items() if status != "scored")
    raise InputError(
        "--data",
        f"has {numbers[1]} fake and {numbers[0]} real videos {what}{f' ({left})' if left else ''}; a threshold needs "
        f"{LEAST_VIDEOS} of each, and its interval shrinks with more.",
        "Add videos of the class that lacks them.",
    )


def _records(media, network, settings, folder, run, log, guarded):
    """Yields the record of each file: the one of the stopped run, or a new one, which is on the disk by then."""
    from tqdm.auto import tqdm

    resumed = open_folder(folder, run)
    if resumed:
        log(f"{len(resumed)} verdicts of the stopped run are kept.")
    new = [path for path, _ in media if printable_path(path) not in resumed]
    bar = tqdm(media, desc="judging", unit="file", disable=bar_hidden())
    tell = on_bar(bar, "clip" if network.recipe.data.input_type == "clip" else "face", network.recipe.gmacs)
    with contextlib.closing(Ahead(network, settings, guarded).looked(new)) as looked:
        for path, name in bar:
            record = resumed.get(printable_path(path))
            if record is None:
                verdict = judge_looked(*next(looked), network.model, network.recipe, settings, progress=tell).to_dict()
                record = {"name": name, **verdict, "file": printable_path(path), "stamp": stamp(path), "run": run}
                append_json_line(folder / LINES, record)
            yield record


def _between(interval):
    return f" ({interval[0]:.3g} to {interval[1]:.3g})" if interval else ""
