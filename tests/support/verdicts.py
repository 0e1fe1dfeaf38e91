"""For tests of verdicts: a network of known logit, videos that are not there, and verdicts that nobody made."""

from pathlib import Path

import numpy as np

from tfdeepfake.data import examples, search, video
from tfdeepfake.recipe import DataRecipe, Recipe

SIZE = 8


def brightness_network(num_frames=None, flow=False, classes=1):
    """keras.Model: logit = 10 * (mean of the pixels / 255 - 0.5), plus the mean of the flow."""
    import keras

    shape = (SIZE, SIZE) if num_frames is None else (num_frames, SIZE, SIZE)
    inputs = {"frames": keras.Input((*shape, 3), name="frames")}
    axes = tuple(range(1, len(shape) + 2))
    logit = keras.ops.mean(inputs["frames"] / 255.0, axes, keepdims=False)[:, None] * 10 - 5
    if flow:
        inputs["flow"] = keras.Input((*shape, 2), name="flow")
        logit = logit + keras.ops.mean(inputs["flow"], axes)[:, None]
    if classes > 1:
        logit = keras.ops.repeat(logit, classes, axis=1)
    return keras.Model(inputs, logit)


def sigmoid(logit):
    return 1 / (1 + np.exp(-logit))


def grey(brightness):
    """Probability that `brightness_network` gives a grey crop: pixels are whole numbers."""
    return sigmoid(10 * (np.rint(255 * np.asarray(brightness)) / 255 - 0.5))


def recipe(threshold=0.5, temperature=1.0, **data):
    values = {"input_type": "frame", "num_frames": 16, "height_px": SIZE, "width_px": SIZE} | data
    return Recipe("brightness", data=DataRecipe(**values), threshold=threshold, temperature=temperature)


def example(brightness, face=0, frame=0, count=1, fps=10.0, flow=None, score=0.9, box=(10, 20, 50, 60)):
    """One Example of flat grey crops; brightness 0..1 (number, or one for each of `count` frames)."""
    grey = np.rint(255 * np.broadcast_to(brightness, count)).astype(np.uint8)
    frames = np.tile(grey[:, None, None, None], (1, SIZE, SIZE, 3))
    indices = np.arange(frame, frame + count)
    boxes = np.tile(np.float32(box), (count, 1))
    flows = None if flow is None else np.full((count, SIZE, SIZE, 2), flow, np.float32)
    return examples.Example(
        frames=frames,
        flow=flows,
        face=face,
        indices=indices,
        timestamps_s=indices / fps,
        boxes_px=boxes,
        face_boxes_px=boxes,
        score=score,
        face_count=1,
    )


def pretend(monkeypatch, made, frame_count=100, is_image=False):
    """Makes every file a video of 10 frames/s, 64 x 48 px, whose examples are `made` (or what `made(path)` gives)."""

    def probe(path, **_):
        return video.VideoInfo(
            path=str(path),
            width=64,
            height=48,
            frame_count=frame_count,
            fps=10.0,
            duration_s=frame_count / 10,
            rotation_deg=0,
            codec="h264",
            is_image=is_image,
        )

    def extract(path, data, detect=None, **_):
        return made(Path(path)) if callable(made) else made

    def read_frames(path, indices, **_):
        indices = np.asarray(indices, np.int64)
        rng = np.random.default_rng(0)
        frames = rng.integers(0, 256, (len(indices), 48, 64, 3), np.uint8)
        return video.Frames(frames=frames, indices=indices, timestamps_s=indices / 10)

    monkeypatch.setattr(video, "probe", probe)
    monkeypatch.setattr(video, "read_frames", read_frames)
    monkeypatch.setattr(examples, "extract", extract)
    nowhere = search.Search(frame_count / 10, 0.5, 20, 0, np.zeros((0, 2), np.int64))
    monkeypatch.setattr(search, "find_faces", lambda path, detect, *_: nowhere)


def no_detector(frames):
    raise AssertionError("these tests need no detector")


def point(time_s, probability, frame=None, **more):
    return {
        "time_s": time_s,
        "end_s": time_s,
        "frame": int(time_s * 10) if frame is None else frame,
        "box": [10.0, 8.0, 40.0, 44.0],
        "logit": 0.0,
        "probability": probability,
        **more,
    }


def face(number, probabilities, brief=False):
    from tfdeepfake.verdict.windows import peak

    timeline = [point(float(k), p) for k, p in enumerate(probabilities)]
    mean = float(np.mean(probabilities))
    return {
        "face": number,
        "probability": mean,
        "label": "FAKE" if mean >= 0.5 else "REAL",
        "interval": None,
        "doubts": [],
        "mean": mean,
        "peak": peak(timeline),
        "fraction": 1.0,
        "brief": brief,
        "side_px": 36.0,
        "confidence": 0.99,
        "weak": False,
        "measures": {"enlarged": 0.4, "sharpness": 800.0},
        "timeline": timeline,
        "classes": None,
    }


def scored(name, faces):
    """Verdict dict of a video whose faces are those of `face`, the most suspicious one first."""
    return {
        "name": name,
        "file": name,
        "status": "scored",
        "probability": faces[0]["probability"],
        "label": faces[0]["label"],
        "doubts": [],
        "caveat": "",
        "deciding_face": faces[0]["face"],
        "video_rule": "mean",
        "faces_rule": "max",
        "mean": faces[0]["mean"],
        "peak": {**faces[0]["peak"], "face": faces[0]["face"]},
        "interval": [0.1, 0.9],
        "interval_reason": "",
        "classes": None,
        "reason": "",
        "remedy": "",
        "faces": faces,
        "faces_not_judged": 0,
        "num_samples": len(faces[0]["timeline"]),
        "whole_frame": False,
        "searched": None,
        "video": {
            "width": 64,
            "height": 48,
            "frame_count": 100,
            "fps": 10.0,
            "duration_s": 10.0,
            "codec": "h264",
            "is_image": False,
            "missing": 0,
        },
        "timings": {"decode": 1.0, "detect": 0.5, "network": 0.1},
        "images": [],
    }


def unscored(name, status):
    return scored(name, [face(1, [0.5])]) | {
        "status": status,
        "probability": None,
        "label": None,
        "doubts": [],
        "deciding_face": None,
        "video_rule": None,
        "faces_rule": None,
        "mean": None,
        "peak": None,
        "interval": None,
        "faces": [],
        "reason": "it is <odd>.",
        "remedy": "Look & see.",
    }


def judged_files(verdicts, **recipe):
    """What `judge_many` returns of them, but for the list of verdicts."""
    from tfdeepfake.verdict.batch import counts

    values = {"data": DataRecipe(input_type="frame"), "data_version": "drawn/frame:1.0.0"} | recipe
    return {
        "counts": counts(verdicts),
        "recipe": Recipe("meso4", **values).to_dict(),
        "recipe_sha256": "0" * 64,
        "detector": "mtcnn",
        "trained_with_detector": "mtcnn",
        "threshold": 0.5,
        "model": "saved_models/demo",
        "tool": "tfdeepfake 0",
        "other_files": ["notes<b>.txt"],
        "unreadable_folders": [],
        "folder_notes": ["b<c> is left out."],
        "unmatched_labels": [],
    }
