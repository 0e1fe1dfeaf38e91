"""Which measures of a face tell that a verdict is wrong, from which limits on, and what UNSURE gains by them.

    python benchmarks/abstention.py [--work abstention] [--people 5 5] [--write]
    python benchmarks/abstention.py --model FOLDER --videos LIST.csv [--write]

Draws videos of people whom the network of `make demo` was not trained on, four real ones and four fakes of each, from
the validation and from the test split of `synthetic_faces`, and trains that network unless it is there. Or takes any
network, and videos whose truth is known: the list has the columns file, label and split (validation or test).

Each video is judged as it is, by fewer samples, and at one of five severities under each of the seven perturbations and
made smaller; which one goes round from video to video, because more people tell more than more copies of few. Limits
are chosen on the validation split by Chow's rule (`tfdeepfake.evaluation.limits`); the test split says what is gained.
With --write the network's recipe gets the limits. What was judged is kept in the work folder; a stopped run goes on.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tfdeepfake.evaluation.limits import MEASURES, beyond, choose_limits, error_at, left_over

SPLITS = ("validation", "test")
# Height 256: below that the block-wise perturbation does nothing.
WIDTH_PX, HEIGHT_PX = 320, 256
DOWNSCALE = "downscale"
SCALES = (0.7, 0.5, 0.35, 0.25, 0.18)
FEWER = (6, 4, 3, 2, 1)


def conditions(number):
    """[(name, severity)] of the video of that number: as it is, and one severity of each."""
    from tfdeepfake.data.perturb import PERTURBATIONS

    return [("none", 0)] + [(name, 1 + (number + turn) % 5) for turn, name in enumerate((*PERTURBATIONS, DOWNSCALE))]


def draw_videos(folder, people):
    """Draws what is missing. Returns [(path, split, label, method)]."""
    from tfdeepfake.data import synthetic

    specs = synthetic.make_set(real_per_identity=4, width=WIDTH_PX, height=HEIGHT_PX)
    taken, videos, person = {split: [] for split in SPLITS}, [], {}
    for spec in specs:
        if spec.split not in taken:
            continue
        if spec.target not in taken[spec.split]:
            if len(taken[spec.split]) == people[SPLITS.index(spec.split)]:
                continue
            taken[spec.split].append(spec.target)
        path = folder / spec.split / spec.method / spec.file_name
        if not path.exists():
            synthetic.write_clip(spec, path.parent)
        videos.append((str(path), spec.split, spec.label, spec.method))
        person[str(path)] = taken[spec.split].index(spec.target)
    # One person of each split after the other: what a stopped run has judged is of both.
    return sorted(videos, key=lambda video: person[video[0]])


def listed_videos(path):
    """[(path, split, label, method)] of a CSV list."""
    from tfdeepfake.csv_lists import FILE_NAMES, label_of, listed_path, read_list

    rows = read_list(path, {"file": FILE_NAMES, "label": (), "split": ()}, ("file", "label", "split"), "See --help.")
    return [
        (str(listed_path(path, row["file"])), row["split"], label_of(path, line, row["label"]), "")
        for line, row in rows
    ]


def train_network(folder):
    """The network of `make demo`, once."""
    if (folder / "demo" / "recipe.json").exists():
        return folder / "demo"
    verb = [sys.executable, "-m", "tfdeepfake.cli"]
    data = ["--data-dir", str(folder / "data")]
    subprocess.run([*verb, "prepare", "synthetic_faces", "--input-type", "clip", *data], check=True)
    run = ["--run-dir", str(folder / "run"), "--save-model", str(folder / "demo")]
    subprocess.run([*verb, "train", "--preset", "demo", *data, *run], check=True)
    return folder / "demo"


def write_copy(path, out, name, severity):
    """Writes a video as a condition has it; returns whether it differs from the video."""
    from tfdeepfake.data import video
    from tfdeepfake.data.perturb.files import write_perturbed

    if name == "none":
        shutil.copyfile(path, out)
        return True
    if name != DOWNSCALE:
        return write_perturbed(path, out, name, severity)["changed"]
    import cv2

    info, scale = video.probe(path), SCALES[severity - 1]
    size = tuple(2 * round(side * scale / 2) for side in (info.width, info.height))
    frames = video.read_frames(path, range(info.frame_count)).frames
    small = (cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames)
    video.write_video(out, small, info.fps, "libx264rgb", crf=0, preset="ultrafast", pix_fmt="rgb24")
    return True


_detector = None


def _start(model):
    global _detector
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    import tfdeepfake

    _detector = tfdeepfake.Detector(model, log=lambda line: None)


def _judge(job):
    """Records of one video under all conditions."""
    number, (path, split, label, method) = job
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for name, severity in conditions(number):
            copy = Path(folder, "copy.mp4")
            write_copy(path, copy, name, severity)
            verdict = _detector(copy)
            records.append({
                "video": Path(path).stem, "split": split, "true": label, "method": method,
                "condition": name, "severity": severity, "status": verdict.status,
                "probability": verdict.probability, "interval": verdict.interval, "threshold": verdict.threshold,
                "faces_not_judged": verdict.faces_not_judged, "temperature": _detector.recipe.temperature,
                "faces": [
                    {k: v for k, v in face.items() if k not in ("timeline", "peak", "doubts")}
                    | {"logits": [point["logit"] for point in face["timeline"]]}
                    for face in verdict.faces
                ],
            })  # fmt: skip
    return records


def collect(work, model, videos, workers):
    """Judges what has not been judged; returns all records."""
    from tqdm import tqdm

    log, done = work / "records.jsonl", {}
    keys = ["/".join(Path(video[0]).parts[-3:]) for video in videos]
    if log.exists():
        done = {entry["key"]: entry["records"] for entry in map(json.loads, log.read_text().splitlines())}
    jobs = [(n, video) for n, (key, video) in enumerate(zip(keys, videos, strict=True)) if key not in done]
    with concurrent.futures.ProcessPoolExecutor(workers, initializer=_start, initargs=(str(model),)) as pool:
        pending = {pool.submit(_judge, job): job for job in jobs}
        for future in tqdm(concurrent.futures.as_completed(pending), total=len(pending), unit="video"):
            key = keys[pending[future][0]]
            done[key] = future.result()
            with open(log, "a") as stream:
                stream.write(json.dumps({"key": key, "records": done[key]}) + "\n")
    wanted = {key: conditions(number) for number, key in enumerate(keys)}
    return [r for key in keys for r in done[key] if (r["condition"], r["severity"]) in wanted[key]]


def with_fewer_samples(record):
    """The record of a video as it is, judged by fewer of its samples: one record for each of `FEWER`."""
    from tfdeepfake.scoring.interval import interval

    for severity, count in enumerate(FEWER, 1):
        faces = []
        for face in record["faces"]:
            logits = np.array(face["logits"])
            kept = np.unique(np.linspace(0, len(logits) - 1, min(count, len(logits))).round().astype(int))
            faces.append(face | {"logits": logits[kept].tolist()})
        deciding = [face for face in faces if not (face["brief"] or face["weak"])]
        tables = [dict(enumerate(face["logits"])) for face in deciding]
        temperature = record["temperature"]
        values = [float(np.mean(1 / (1 + np.exp(-np.array(face["logits"]) / temperature)))) for face in deciding]
        for face, value in zip(deciding, values, strict=True):
            face["probability"] = value
        yield record | {
            "condition": "fewer samples", "severity": severity, "faces": faces, "probability": max(values),
            "interval": interval(tables, "mean", "max", temperature),
        }  # fmt: skip


def table_of(records):
    """Columns of the scored records: arrays of equal length."""
    from tfdeepfake.scoring.unsure import interval_doubts, measured

    scored = [record for record in records if record["status"] == "scored"]
    rows = {
        name: np.array([record[name] for record in scored])
        for name in ("video", "split", "condition", "severity", "true")
    }
    rows["called"] = np.array([record["probability"] >= record["threshold"] for record in scored])
    rows["wrong"] = rows["called"] != (rows["true"] == 1)
    rows["probability"] = np.array([record["probability"] for record in scored])
    rows["threshold"] = np.array([record["threshold"] for record in scored])
    rows["interval"] = np.array([
        bool(interval_doubts(record["interval"], record["threshold"])) for record in scored
    ])  # fmt: skip
    for name in MEASURES:
        values = []
        for record in scored:
            deciding = [face for face in record["faces"] if not (face["brief"] or face["weak"])]
            value = measured(deciding[0] | {"timeline": deciding[0]["logits"]}, record["threshold"], name)
            values.append(np.nan if value is None else value)
        rows[name] = np.array(values, np.float64)
    return rows


def report(rows, limits, num_all):
    """Prints what UNSURE gains."""
    everything, by_interval, kept = np.ones(len(rows["wrong"]), bool), ~rows["interval"], left_over(rows, limits)
    print(f"{num_all} verdicts, {len(everything)} scored. Error of all / of what the interval leaves / with limits:")
    print(f"{'severity':20}" + "".join(f"{severity:>27}" for severity in range(6)))

    def cells(here):
        texts = []
        for severity in range(6):
            part = {name: values[here] for name, values in rows.items()}
            if not (part["severity"] == severity).any():
                texts.append("")
                continue
            errors = [error_at(part, mask[here], severity) for mask in (everything, by_interval, kept)]
            texts.append(" / ".join(f"{error:.3f}" for error, _ in errors) + f" ({errors[-1][1]:.2f})")
        return "".join(f"{text:>27}" for text in texts)

    for name in dict.fromkeys(rows["condition"]):
        print(f"{name:20}{cells(rows['condition'] == name)}")
    print(f"{'all of a severity':20}{cells(everything)}   in brackets: what is left")
    for name, limit in limits.items():
        out = beyond(rows, name, limit) & by_interval
        print(f"beyond {name} {limit:g}: {out.sum()}, {rows['wrong'][out].sum()} of them wrong")


def print_curve(rows, limits):
    """Prints error over coverage: by the distance from the threshold, and where UNSURE lies."""
    from tfdeepfake.evaluation import selective

    threshold = float(rows["threshold"][0])
    curve = selective.measure(rows["true"], rows["probability"], threshold)
    print(f"Error over coverage by the distance from the threshold, area {curve['area']:.4f}:")
    for coverage in np.arange(1, 0, -0.1):
        at = int(np.argmin(np.abs(np.array(curve["coverage"]) - coverage)))
        print(f"  {curve['coverage'][at]:.2f}  {curve['error'][at]:.4f}")
    for name, kept in (("interval", ~rows["interval"]), ("interval and limits", left_over(rows, limits))):
        at = int(np.argmin(np.abs(np.array(curve["coverage"]) - kept.mean())))
        print(f"{name}: coverage {kept.mean():.3f}, error {rows['wrong'][kept].mean():.4f}; the distance alone there "
              f"{curve['error'][at]:.4f}")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("abstention"))
    parser.add_argument("--model", type=Path, help="saved model folder")
    parser.add_argument("--videos", type=Path, help="CSV file,label,split instead of drawn videos")
    parser.add_argument("--people", type=int, nargs=2, default=(5, 5), help="drawn, for validation and test")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the limits into the recipe of the network")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    model = args.model or train_network(args.work)
    videos = listed_videos(args.videos) if args.videos else draw_videos(args.work / "videos", args.people)
    records = collect(args.work, model, videos, args.workers)
    records += [
        fewer
        for record in records
        if record["condition"] == "none" and record["status"] == "scored"
        for fewer in with_fewer_samples(record)
    ]
    parts = {split: [record for record in records if record["split"] == split] for split in SPLITS}
    validation = table_of(parts["validation"])
    wrong = validation["wrong"][~validation["interval"]]
    print(f"Validation: of {len(wrong)} verdicts that the interval leaves {wrong.mean():.3f} are wrong.")
    limits = choose_limits(validation, lambda line: print(f"  {line}"))
    for split in SPLITS:
        rows = table_of(parts[split])
        print(f"\n{split}: {len({record['video'] for record in parts[split]})} videos")
        report(rows, limits, len(parts[split]))
        print_curve(rows, limits)
    if args.write:
        write_limits(model, limits, args.videos)


def write_limits(model, limits, videos):
    """Puts the limits into recipe.json."""
    import datetime

    from tfdeepfake.model_folder import load_recipe, write_recipe

    on = videos.name if videos else "drawn faces under seven perturbations and made smaller"
    measured = f"measured by benchmarks/abstention.py on {on}, {datetime.date.today().isoformat()}"
    write_recipe(model, dataclasses.replace(load_recipe(model), limits=limits, limits_measured=measured))
    print(f"Written to {model}/recipe.json")


if __name__ == "__main__":
    main()
