"""Many files to verdicts: a line for each, and a folder with predictions.json, index.html, scores.csv and pictures.

Every verdict is on the disk before the next file is begun; a run that was stopped goes on where it was.
"""

import collections
import csv
import dataclasses
import functools
import hashlib
import json
import os
import time
from pathlib import Path

from tfdeepfake import __version__
from tfdeepfake.files import InputError, raise_if_full, write_json
from tfdeepfake.judge import FAKE, MAX_FACES, REAL, STATUSES, TIME_LIMIT_S, Verdict, judge
from tfdeepfake.recipe import load_model, load_recipe

__all__ = ["FAKE", "REAL", "STATUSES", "Verdict", "exit_code", "find_media", "judge", "judge_many", "line", "predict"]
SCHEMA = 1
LINES, RESULT, SCORES, PAGE, PICTURES = "predictions.jsonl", "predictions.json", "scores.csv", "index.html", "frames"
SHOUTED = {"no_face": "NO FACE", "unreadable": "UNREADABLE", "error": "ERROR"}
LABELS = {"real": 0, "0": 0, "fake": 1, "1": 1}


def shown(path):
    """A file name as text that can be printed and written: undecodable bytes and control characters replaced."""
    text = os.fsencode(str(path)).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def find_media(paths, out_dir=None):
    """Media files below the given files and folders, in a stable order.

    A file that is named itself is always taken, whatever its suffix: what is wrong with it will be its verdict.

    Args:
      paths: files and folders.
      out_dir: results of an earlier run; its pictures are not judged.
    Returns:
      (media [(Path, name below the given folder)], other files [str], problems [(folder, reason)]).
    """
    from tfdeepfake.data.video import is_media

    media, others, problems, seen = [], [], [], set()
    skip = {os.path.abspath(Path(out_dir) / PICTURES)} if out_dir else set()
    own = {os.path.abspath(Path(out_dir) / name) for name in (LINES, RESULT, SCORES, PAGE)} if out_dir else set()

    def take(path, name):
        key = os.path.abspath(path)
        if key not in seen and key not in own:
            seen.add(key)
            media.append((path, name))

    def walk(folder, root):
        try:
            with os.scandir(folder) as entries:
                entries = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            problems.append((shown(folder), f"cannot be opened ({error.strerror})."))
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if os.path.abspath(entry.path) not in skip:
                    walk(entry.path, root)
            elif is_media(entry.path) and not entry.name.startswith("."):
                take(Path(entry.path), Path(entry.path).relative_to(root).as_posix())
            elif os.path.abspath(entry.path) not in own:
                others.append(shown(entry.path))

    for path in map(Path, paths):
        # os.path.isdir, because Path.is_dir raises where a parent folder may not be entered.
        walk(path, path) if os.path.isdir(path) else take(path, path.name)
    # Two folders may hold files of one name: then the whole path tells them apart, here and in scores.csv.
    often = collections.Counter(name for _, name in media)
    return [(path, name if often[name] == 1 else str(path)) for path, name in media], others, problems


def line(verdict, threshold=None):
    """One line of text for a verdict dict; a file that was not scored gets neither REAL nor FAKE.

    When `threshold` is given and lies inside the interval, the line says so: other frames might have turned the label.
    """
    name = shown(verdict["file"])
    if verdict["status"] != "scored":
        return f"{SHOUTED[verdict['status']]}  {name}: {verdict['reason']} {verdict['todo']}".rstrip()
    spread = "" if not verdict["interval"] else " ({:.2f}-{:.2f})".format(*verdict["interval"])
    count = len(verdict["faces"]) + verdict["faces_not_judged"]
    faces = "whole frame" if verdict["whole_frame"] else f"{count} face{'' if count == 1 else 's'}"
    timeline = verdict["faces"][0]["timeline"]
    worst = max(timeline, key=lambda point: point["probability"])
    when = f", most suspicious at {worst['time_s']:.1f} s" if len(timeline) > 1 else ""
    close = threshold is not None and verdict["interval"] and verdict["interval"][0] <= threshold <= verdict["interval"][1]
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


def read_labels(path, media):
    """Reads `file,label[,data_set,method,source]`; files are named as below the given folder, or by path.

    Returns:
      ({name: row dict with label 0 or 1}, rows that belong to no file [str]).
    Raises:
      InputError: the file is missing, has no such columns, a label that is not real/fake/0/1, or a file twice.
    """
    todo = "The first line is file,label; a label is real or fake (or 0 or 1)."
    names = {}
    for media_path, name in media:
        for key in {name, media_path.name, str(media_path), os.path.abspath(media_path)}:
            names.setdefault(key, []).append(name)
    found, strangers = {}, []
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if not {"file", "label"} <= set(reader.fieldnames or ()):
                raise InputError(path, f"line 1: needs the columns file and label, got {reader.fieldnames}.", todo)
            for row in reader:
                label = LABELS.get((row["label"] or "").strip().lower())
                if label is None:
                    raise InputError(path, f"line {reader.line_num}: {row['label']!r} is no label.", todo)
                matching = names.get(row["file"], [])
                if len(matching) > 1:
                    raise InputError(path, f"line {reader.line_num}: {row['file']!r} is the name of {len(matching)} "
                                     "files.", "Write it with its folder.")
                if not matching:
                    strangers.append(row["file"])
                elif matching[0] in found:
                    raise InputError(path, f"line {reader.line_num}: {row['file']!r} stands here twice.", todo)
                else:
                    found[matching[0]] = {**row, "label": label}
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"is not a CSV file in UTF-8 ({error}).", todo) from None
    return found, strangers


def _digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _append(path, record):
    """Adds a line and waits until it is on the disk; a line that does not fit is taken back."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
    size = path.stat().st_size if path.exists() else 0
    try:
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        if path.exists():
            os.truncate(path, size)
        raise_if_full(error, path)


def read_verdicts(path, order=None):
    """Yields the records of predictions.jsonl, one at a time; a last line that was cut off is left out.

    Args:
      path: the file.
      order: line numbers from 0, to read in this order; all lines as they stand when not given.
    """
    with open(path, "rb") as stream:
        if order is None:
            yield from (json.loads(text) for text in stream if text.endswith(b"\n"))
            return
        starts = [0]
        for text in stream:
            starts.append(starts[-1] + len(text))
        for number in order:
            stream.seek(starts[number])
            yield json.loads(stream.readline())


def _stamp(path):
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _earlier(out_dir, run):
    """Verdicts of a stopped run of the same command: {path: record}. A finished run is not gone on with."""
    path = out_dir / LINES
    if not path.is_file() or (out_dir / RESULT).exists():
        return {}
    try:
        records = [r for r in read_verdicts(path) if r["run"] == run and r["status"] != "error"]
    except (ValueError, KeyError, TypeError, OSError):
        return {}
    return {r["file"]: r for r in records if r["stamp"] == _stamp(r["file"])}


def _open_out(out_dir, run):
    """Makes the folder ready and returns what an earlier, stopped run of the same command left."""
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        earlier = _earlier(out_dir, run)
        for name in (LINES, RESULT):
            (out_dir / name).unlink(missing_ok=True)
        for record in earlier.values():
            _append(out_dir / LINES, record)
        (out_dir / LINES).touch()
    except OSError as error:
        if not isinstance(error, InputError):
            raise InputError(out_dir, f"cannot be written to ({error.strerror}).", "Choose another --out.") from error
    return earlier


def _score_rows(records, labels):
    for record in records:
        known = labels.get(record["name"], {})
        row = {
            "data_set": known.get("data_set") or "predict",
            "method": known.get("method") or "",
            "video": record["name"],
            "source": known.get("source") or record["name"],
            "label": known.get("label"),
            "status": record["status"],
        }
        if record["status"] != "scored":
            yield row
        for face in record["faces"]:
            for point in face["timeline"]:
                yield {**row, "face": face["face"], "frame": point["frame"], "timestamp_s": point["time_s"],
                       "logit": point["logit"]}


def judge_many(paths, model_folder, out_dir=None, *, detector=None, detector_weights=None, clips=None,
               batch_size=None, max_faces=MAX_FACES, labels=None, time_limit_s=None, debug=False, say=None):
    """Judges files and folders; goes on past bad files and counts them.

    Args:
      paths: videos, pictures and folders of them.
      model_folder: as written by `recipe.save_model`.
      out_dir: gets predictions.jsonl (a line per verdict, at once), predictions.json, index.html, scores.csv and
        frames/; nothing is written when not given. A run of the same command that was stopped is gone on with.
      detector: instead of the recipe's; scores may differ from those of training, and the page says so.
      detector_weights: path of the BlazeFace file.
      clips, batch_size, max_faces, time_limit_s, debug: as for `judge`.
      labels: CSV file,label: written into scores.csv.
      say: called with each verdict's line, and with the summary.
    Returns:
      dict, the content of predictions.json (docs/predictions.md).
    Raises:
      InputError: the model folder, out_dir or the labels cannot be used, there is no media file, or the disk is full.
    """
    from tqdm import tqdm

    from tfdeepfake import report
    from tfdeepfake.data import faces

    began, say = time.perf_counter(), say or (lambda text: None)
    recipe = load_recipe(model_folder)
    media, others, problems = find_media(paths, out_dir)
    for folder, reason in problems:
        say(f"UNREADABLE  folder {folder}: {reason}")
    if not media:
        what = f"holds no video or picture ({len(others)} other files)." if others else "holds no video or picture."
        if problems:
            what = f"{problems[0][0]} {problems[0][1]}"
        raise InputError(", ".join(shown(p) for p in paths), what, "Give a video, a picture or a folder of them.")
    known, strangers = read_labels(labels, media) if labels else ({}, [])
    model, recipe = load_model(model_folder)
    trained_with = recipe.data.detector
    if detector and recipe.data.detector != "none":
        recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, detector=detector))
    name = "mtcnn" if recipe.data.detector == "none" else recipe.data.detector
    if detector_weights and name != "blazeface":
        raise InputError("--detector-weights", f"belongs to blazeface; this run uses {name}.", "Add --detector blazeface.")
    detect = faces.make_detector(name, detector_weights)
    settings = {
        "recipe": recipe.to_dict(), "clips": clips, "max_faces": max_faces, "detector": name, "version": __version__,
    }
    run = _digest(settings)
    earlier = {}
    if out_dir:
        out_dir = Path(out_dir)
        earlier = _open_out(out_dir, run)
        if earlier:
            say(f"{len(earlier)} verdicts of the stopped run are kept.")
    records, startup_s = [], time.perf_counter() - began
    for path, below in tqdm(media, desc="judging", unit="file", disable=None):
        record = earlier.get(shown(path))
        if record is None:
            verdict = judge(path, model, recipe, detect, clips=clips, batch_size=batch_size, max_faces=max_faces,
                            time_limit_s=time_limit_s or TIME_LIMIT_S, debug=debug)
            record = {"name": shown(below), **verdict.to_dict(), "file": shown(path), "stamp": _stamp(path), "run": run}
            if out_dir:
                record["pictures"] = _pictures(path, record, out_dir, report)
                _append(out_dir / LINES, record)
        say(line(record, recipe.threshold))
        if record.get("traceback"):
            say(record["traceback"])
        records.append(record if not out_dir else {k: record[k] for k in ("status", "label", "name")})
    result = {
        "schema": SCHEMA,
        "tool": f"tfdeepfake {__version__}",
        "model": shown(model_folder),
        "recipe": recipe.to_dict(),
        "recipe_sha256": _digest(recipe.to_dict()),
        "detector": name,
        "trained_with_detector": trained_with,
        "threshold": recipe.threshold,
        "counts": counts(records),
        "other_files": others,
        "unreadable_folders": [{"folder": f, "reason": r} for f, r in problems],
        "labels_without_file": strangers,
        "startup_s": round(startup_s, 3),
    }
    if out_dir:
        _finish(out_dir, result, known, report)
    else:
        result["verdicts"] = [{k: v for k, v in r.items() if k not in ("run", "stamp")} for r in records]
    for text in summary(result, out_dir):
        say(text)
    return result


def _pictures(path, record, out_dir, report):
    """Draws; pictures are an extra, so what goes wrong with them costs no verdict. A full disk does end the run."""
    try:
        return report.draw_pictures(path, record, out_dir, PICTURES)
    except (InputError, OSError):
        raise
    except Exception as error:
        record["pictures_problem"] = f"{type(error).__name__}: {error}"
        return []


def _finish(out_dir, result, labels, report):
    """Everything that is made of all verdicts together. predictions.json comes last: it marks the run as finished."""
    from tfdeepfake import scoring

    scoring.write_scores(out_dir / SCORES, list(_score_rows(read_verdicts(out_dir / LINES), labels)))
    report.write_page(out_dir / PAGE, result, functools.partial(read_verdicts, out_dir / LINES))
    verdicts = [{k: v for k, v in r.items() if k not in ("run", "stamp")} for r in read_verdicts(out_dir / LINES)]
    result["verdicts"] = verdicts
    write_json(out_dir / RESULT, result)


def summary(result, out_dir=None):
    """The last lines: coverage, what was skipped, where the page is."""
    found = result["counts"]
    rest = [f"{found[status]} {SHOUTED[status].lower()}" for status in SHOUTED if found[status]]
    yield (f"{found['scored']} of {found['files']} scored ({found[FAKE]} FAKE, {found[REAL]} REAL)"
           + "".join(f", {text}" for text in rest) + ".")
    for what, names in (("are neither video nor picture", result["other_files"]),
                        ("of the labels are not among the files", result["labels_without_file"])):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            yield f"{len(names)} {what}: {', '.join(shown(n) for n in names[:5])}{more}."
    if out_dir:
        yield f"Page: {shown(Path(out_dir) / PAGE)}"


def predict(paths, model_folder, out_dir=None, **options):
    """`judge_many` for the command line: prints a line per file, returns the exit code."""
    from tqdm import tqdm

    return exit_code(judge_many(paths, model_folder, out_dir, say=tqdm.write, **options))
