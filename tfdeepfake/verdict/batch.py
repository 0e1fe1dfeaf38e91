"""Many files to verdicts: a line for each, and a folder with predictions.json, index.html, scores.csv and images.

Every verdict is on the disk before the next file is begun; a run that was stopped goes on where it was.
"""

import dataclasses
import functools
import time
from pathlib import Path

from tfdeepfake import __version__
from tfdeepfake.errors import InputError
from tfdeepfake.files import write_json
from tfdeepfake.model_folder import load_model, load_recipe
from tfdeepfake.verdict import images, page
from tfdeepfake.verdict.judging import MAX_FACES, TIME_LIMIT_S, judge
from tfdeepfake.verdict.results import (
    IMAGES,
    LINES,
    PAGE,
    RESULT,
    SCORES,
    append,
    digest,
    find_media,
    open_folder,
    read_labels,
    read_verdicts,
    score_rows,
    shown,
    stamp,
)
from tfdeepfake.vocabulary import FAKE, REAL, STATUS_TEXT, STATUSES

SCHEMA = 1


def line(verdict, threshold=None):
    """One line of text for a verdict dict; a file that was not scored gets neither REAL nor FAKE.

    When `threshold` is given and lies inside the interval, the line says so: other frames might have turned the label.
    """
    name = shown(verdict["file"])
    if verdict["status"] != "scored":
        return f"{STATUS_TEXT[verdict['status']]}  {name}: {verdict['reason']} {verdict['remedy']}".rstrip()
    spread = "" if not verdict["interval"] else " ({:.2f}-{:.2f})".format(*verdict["interval"])
    count = len(verdict["faces"]) + verdict["faces_not_judged"]
    faces = "whole frame" if verdict["whole_frame"] else f"{count} face{'' if count == 1 else 's'}"
    timeline = verdict["faces"][0]["timeline"]
    worst = max(timeline, key=lambda point: point["probability"])
    when = f", most suspicious at {worst['time_s']:.1f} s" if len(timeline) > 1 else ""
    close = (
        threshold is not None and verdict["interval"] and verdict["interval"][0] <= threshold <= verdict["interval"][1]
    )
    unsure = f", close to the threshold {threshold:.2f}" if close else ""
    return f"{verdict['label']} {verdict['probability']:.2f}{spread} {name}: {faces}{when}{unsure}"


def counts(verdicts):
    """How many verdicts of each status and label, and the coverage."""
    by_status = {status: sum(v["status"] == status for v in verdicts) for status in STATUSES}
    by_label = {label: sum(v["label"] == label for v in verdicts) for label in (FAKE, REAL)}
    return {"files": len(verdicts), **by_status, **by_label}


def exit_code(result):
    """0: every file was scored or has no face. 1: some could not be read or failed. 2: nothing was usable."""
    found = result["counts"]
    if not found["scored"] and not found["no_face"]:
        return 2
    return 1 if found["unreadable"] or found["error"] or result["unreadable_folders"] else 0


def judge_many(
    paths,
    model_folder,
    out_dir=None,
    *,
    detector=None,
    detector_weights=None,
    num_samples=None,
    batch_size=None,
    max_faces=MAX_FACES,
    labels=None,
    time_limit_s=None,
    debug=False,
    tta="none",
    log=None,
):
    """Judges files and folders; goes on past bad files and counts them.

    Args:
      paths: videos, images and folders of them.
      model_folder: as written by `recipe.save_model`.
      out_dir: gets predictions.jsonl (a line per verdict, at once), predictions.json, index.html, scores.csv and
        frames/; nothing is written when not given. A run of the same command that was stopped is gone on with.
      detector: instead of the recipe's; scores may differ from those of training, and the page says so.
      detector_weights: path of the BlazeFace file.
      samples, batch_size, max_faces, time_limit_s, debug, tta: as for `judge`.
      labels: CSV file,label: written into scores.csv.
      log: called with each verdict's line, and with the summary.
    Returns:
      dict, the content of predictions.json (docs/predictions.md).
    Raises:
      InputError: the model folder, out_dir or the labels cannot be used, there is no media file, or the disk is full.
    """
    from tqdm import tqdm

    from tfdeepfake.data import faces

    began, log = time.perf_counter(), log or (lambda text: None)
    recipe = load_recipe(model_folder)
    media, others, problems = find_media(paths, out_dir)
    for folder, reason in problems:
        log(f"UNREADABLE  folder {folder}: {reason}")
    if not media:
        what = f"holds no video or image ({len(others)} other files)." if others else "holds no video or image."
        if problems:
            what = f"{problems[0][0]} {problems[0][1]}"
        raise InputError(", ".join(shown(p) for p in paths), what, "Give a video, an image or a folder of them.")
    known, unmatched = read_labels(labels, media) if labels else ({}, [])
    model, recipe = load_model(model_folder)
    trained_with = recipe.data.detector
    if detector and recipe.data.detector != "none":
        try:
            data = dataclasses.replace(recipe.data, detector=detector)
        except ValueError as error:
            remedy = "Leave --detector out."
            raise InputError("--detector", f"does not fit the model's recipe: {error}", remedy) from None
        recipe = dataclasses.replace(recipe, data=data)
    name = "mtcnn" if recipe.data.detector == "none" else recipe.data.detector
    if detector_weights and name != "blazeface":
        raise InputError(
            "--detector-weights", f"belongs to blazeface; this run uses {name}.", "Add --detector blazeface."
        )
    detect = faces.make_detector(name, detector_weights)
    settings = {
        "recipe": recipe.to_dict(),
        "num_samples": num_samples,
        "max_faces": max_faces,
        "tta": tta,
        "detector": name,
        "version": __version__,
    }
    run = digest(settings)
    earlier = {}
    if out_dir:
        out_dir = Path(out_dir)
        earlier = open_folder(out_dir, run)
        if earlier:
            log(f"{len(earlier)} verdicts of the stopped run are kept.")
    records, startup_s = [], time.perf_counter() - began
    for path, below in tqdm(media, desc="judging", unit="file", disable=None):
        record = earlier.get(shown(path))
        if record is None:
            verdict = judge(
                path,
                model,
                recipe,
                detect,
                num_samples=num_samples,
                batch_size=batch_size,
                max_faces=max_faces,
                time_limit_s=time_limit_s or TIME_LIMIT_S,
                debug=debug,
                tta=tta,
            )
            record = {"name": shown(below), **verdict.to_dict(), "file": shown(path), "stamp": stamp(path), "run": run}
            if out_dir:
                record["images"] = _images(path, record, out_dir)
                append(out_dir / LINES, record)
        log(line(record, recipe.threshold))
        if record.get("traceback"):
            log(record["traceback"])
        records.append(record if not out_dir else {k: record[k] for k in ("status", "label", "name")})
    result = {
        "schema": SCHEMA,
        "tool": f"tfdeepfake {__version__}",
        "model": shown(model_folder),
        "recipe": recipe.to_dict(),
        "recipe_sha256": digest(recipe.to_dict()),
        "detector": name,
        "trained_with_detector": trained_with,
        "tta": tta,
        "threshold": recipe.threshold,
        "counts": counts(records),
        "other_files": others,
        "unreadable_folders": [{"folder": f, "reason": r} for f, r in problems],
        "unmatched_labels": unmatched,
        "startup_s": round(startup_s, 3),
    }
    if out_dir:
        _finish(out_dir, result, known)
    else:
        result["verdicts"] = [{k: v for k, v in r.items() if k not in ("run", "stamp")} for r in records]
    for text in summary(result, out_dir):
        log(text)
    return result


def _images(path, record, out_dir):
    """Draws; images are an extra, so what goes wrong with them costs no verdict. A full disk does end the run."""
    try:
        return images.draw_images(path, record, out_dir, IMAGES)
    except (InputError, OSError):
        raise
    except Exception as error:
        record["images_problem"] = f"{type(error).__name__}: {error}"
        return []


def _finish(out_dir, result, labels):
    """Everything that is made of all verdicts together. predictions.json comes last: it marks the run as finished."""
    from tfdeepfake.scoring.table import write_scores

    write_scores(out_dir / SCORES, list(score_rows(read_verdicts(out_dir / LINES), labels)))
    page.write_page(out_dir / PAGE, result, functools.partial(read_verdicts, out_dir / LINES))
    verdicts = [{k: v for k, v in r.items() if k not in ("run", "stamp")} for r in read_verdicts(out_dir / LINES)]
    result["verdicts"] = verdicts
    write_json(out_dir / RESULT, result)


def summary(result, out_dir=None):
    """The last lines: coverage, what was skipped, where the page is."""
    found = result["counts"]
    rest = [f"{found[status]} {STATUS_TEXT[status].lower()}" for status in STATUS_TEXT if found[status]]
    yield (
        f"{found['scored']} of {found['files']} scored ({found[FAKE]} FAKE, {found[REAL]} REAL)"
        + "".join(f", {text}" for text in rest)
        + "."
    )
    for what, names in (
        ("are neither video nor image", result["other_files"]),
        ("of the labels are not among the files", result["unmatched_labels"]),
    ):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            yield f"{len(names)} {what}: {', '.join(shown(n) for n in names[:5])}{more}."
    if out_dir:
        yield f"Page: {shown(Path(out_dir) / PAGE)}"


def predict(paths, model_folder, out_dir=None, **options):
    """`judge_many` for the command line: prints a line per file, returns the exit code."""
    from tqdm import tqdm

    return exit_code(judge_many(paths, model_folder, out_dir, log=tqdm.write, **options))
