"""One video to one verdict: extract every face as in training, score it, say what that means.

A verdict has a status. Only `scored` has a probability and a label; a file without a face, a file that cannot be
read and a file that failed are results of their own, never 0.5 and never REAL or FAKE.
"""

import contextlib
import dataclasses
import math
import signal
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.verdict.inference import check_model, interval, probability, sampling, score
from tfdeepfake.vocabulary import FAKE, REAL, STATUSES

TIME_LIMIT_S = 300.0
MAX_FACES = 16
# Detectors see a face in a pattern or a poster now and then. A track seen in less of the video than this is listed,
# but does not decide.
BRIEF_FRACTION = 0.1


@dataclass(frozen=True)
class Verdict:
    """What was found in one file.

    Args:
      file: path as it was given.
      status: one of STATUSES.
      probability: 0..1, calibrated probability of FAKE of the most suspicious deciding face; None unless scored.
      label: "FAKE" from the recipe's threshold on, else "REAL"; None unless scored.
      interval: (low, high), 95 % bootstrap over the sampled samples of the video; None when there is only one.
      interval_reason: why there is no interval.
      reason, remedy: what went wrong and the user's next step, when not scored.
      faces: one dict per judged face, most suspicious first (docs/predictions.md).
      faces_not_judged: faces found beyond the limit, or not long enough in any clip to fill it.
      num_samples: frames or clips of the video that were looked at.
      whole_frame: the network looked at whole frames; the one entry of `faces` is the frame.
      video: width, height, fps, duration_s, frame_count, codec, is_image, missing (frames cut off the end of the
        file); empty when it could not be read.
      timings: seconds for decode (reading, tracking, cropping), detect, network.
      traceback: of an unexpected error, when asked for.
    """

    file: str
    status: str
    probability: float | None = None
    label: str | None = None
    interval: tuple | None = None
    interval_reason: str = ""
    reason: str = ""
    remedy: str = ""
    faces: list = field(default_factory=list)
    faces_not_judged: int = 0
    num_samples: int = 0
    whole_frame: bool = False
    video: dict = field(default_factory=dict)
    timings: dict = field(default_factory=dict)
    traceback: str = ""

    def __post_init__(self):
        if self.status not in STATUSES:
            raise ValueError(f"status needs one of {STATUSES}, got {self.status!r}.")
        scored = self.status == "scored"
        if scored != (self.probability is not None) or scored != (self.label is not None):
            raise ValueError(
                f"only a scored verdict has probability and label, and it has both; got status {self.status!r}, "
                f"probability {self.probability}, label {self.label}."
            )

    def to_dict(self):
        """JSON-able dict; `interval` as a list."""
        values = dataclasses.asdict(self)
        values["interval"] = None if self.interval is None else list(self.interval)
        if not self.traceback:
            del values["traceback"]
        return values


class _TimeUp(BaseException):
    """The time limit of one file. Not an Exception: a decoder's `except Exception` must not swallow it."""


@contextlib.contextmanager
def _time_limit(seconds):
    """Raises _TimeUp in this block after `seconds`, wherever it is; yields a function that checks the clock.

    The alarm reaches a decoder that hangs in a loop, but exists only in the main thread of a POSIX process;
    elsewhere the checks between detection and network batches have to do.
    """
    deadline = time.monotonic() + seconds

    def check():
        if time.monotonic() > deadline:
            raise _TimeUp

    def ring(signum, stack):
        raise _TimeUp

    alarm = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not alarm:
        yield check
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield check
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _samples(examples, input_type):
    """Examples to one row per network input: (example, which frames of it). Clips of a short video overlap: a frame
    of two clips is one moment for a network of single frames."""
    done = set()
    for example in examples:
        if input_type == "clip":
            yield example, slice(0, len(example.frames))
            continue
        for t, frame in enumerate(example.indices):
            if (example.face, int(frame)) not in done:
                done.add((example.face, int(frame)))
                yield example, t


def _point(example, at, logit, temperature):
    """One point of a face's timeline; a clip also names a few boxes along its way, for drawing."""
    where = np.arange(len(example.frames))[at].reshape(-1)
    point = {
        "time_s": round(float(example.timestamps_s[where[0]]), 4),
        "end_s": round(float(example.timestamps_s[where[-1]]), 4),
        "frame": int(example.indices[where[0]]),
        "box": [round(float(v), 1) for v in example.face_boxes_px[where[0]]],
        "logit": float(logit),
        "probability": float(probability(logit, temperature)),
    }
    if len(where) > 1:
        along = where[np.unique(np.linspace(0, len(where) - 1, 5).round().astype(int))]
        point["boxes"] = [
            [int(example.indices[t]), round(float(example.timestamps_s[t]), 4)]
            + [round(float(v), 1) for v in example.face_boxes_px[t]]
            for t in along
        ]
    return point


def _faces(points, samples, recipe):
    """Timelines to faces: mean probability, label, share of the sampled samples, whether too brief to decide."""
    faces = []
    for number, timeline in points.items():
        timeline.sort(key=lambda p: p["time_s"])
        share = min(1.0, len(timeline) / samples)
        mean = float(np.mean([p["probability"] for p in timeline]))
        brief = samples >= 8 and (share < BRIEF_FRACTION or len(timeline) < 2)
        faces.append(
            {
                "face": number,
                "probability": mean,
                "label": FAKE if mean >= recipe.threshold else REAL,
                "fraction": round(share, 4),
                "brief": brief,
                "timeline": timeline,
            }
        )
    if all(face["brief"] for face in faces):
        # Faces that come and go are all there is: the longest seen ones decide.
        longest = max(face["fraction"] for face in faces)
        for face in faces:
            face["brief"] = face["fraction"] < longest
    return sorted(faces, key=lambda f: (f["brief"], -f["probability"]))


def _check_for_a_face(path, info, detect):
    """For networks that take whole frames or only clips: a file without a face is none of their business.

    Raises:
      NoFace: none was found in five frames spread over the video.
    """
    from tfdeepfake.data import examples, video

    frames = video.read_frames(path, video.spaced_indices(info.frame_count, 5)).frames
    if not any(len(found.boxes_px) for found in detect(frames)):
        where = f"{len(frames)} frames spread over the video" if len(frames) > 1 else "the image"
        raise examples.NoFace(path, f"no face was found in {where}.", "Choose one that shows a face from the front.")


def _scored(path, info, model, recipe, data, input_type, detect, batch_size, max_faces, timings, check, tta):
    from tfdeepfake.data import examples as extraction
    from tfdeepfake.data import faces as face_data

    still = info.is_image and input_type == "clip"

    def timed(frames):
        check()
        start = time.perf_counter()
        found = detect(frames)
        timings["detect"] += time.perf_counter() - start
        return found

    start = time.perf_counter()
    detect = detect or face_data.make_detector("mtcnn" if data.detector == "none" else data.detector)
    if still or data.detector == "none":
        _check_for_a_face(path, info, timed)
    if still:
        # Behind the look for a face: an image without one is `no_face` whatever the network takes.
        raise InputError(
            path,
            f"is a still image; {recipe.network} takes clips of {data.num_frames} frames.",
            "Give a video, or use a network for single frames.",
        )
    if data.detector == "none":
        found = extraction.extract(path, data)
    else:
        found = extraction.extract(path, data, detect=timed)
    timings["decode"] = time.perf_counter() - start - timings["detect"]

    seen = {}
    for example in found:
        count, total = seen.get(example.face, (0, 0.0))
        seen[example.face] = count + 1, total + float(example.score)
    best = sorted(seen, key=lambda face: (-seen[face][0], -seen[face][1]))[:max_faces]
    rows = [row for row in _samples(found, input_type) if row[0].face in best]
    inputs = [(e.frames[at], None if e.flow is None else e.flow[at]) for e, at in rows]
    start = time.perf_counter()
    logits = score(model, inputs, batch_size, check, tta)
    timings["network"] = time.perf_counter() - start

    numbers = {face: 1 + rank for rank, face in enumerate(best)}
    points = {}
    for (example, at), logit in zip(rows, logits, strict=True):
        points.setdefault(numbers[example.face], []).append(_point(example, at, logit, recipe.temperature))
    looked = {p["frame"] for timeline in points.values() for p in timeline}
    single = data.num_frames * data.num_clips if input_type != "clip" else data.num_clips
    samples = max(len(looked), min(single, info.frame_count or single))
    faces = _faces(points, samples, recipe)
    deciding = [face for face in faces if not face["brief"]]
    spread = interval([{p["frame"]: p["probability"] for p in face["timeline"]} for face in deciding])
    return Verdict(
        file=str(path),
        status="scored",
        probability=deciding[0]["probability"],
        label=deciding[0]["label"],
        interval=spread,
        interval_reason="" if spread else f"only one {'clip' if input_type == 'clip' else 'frame'} was scored",
        faces=faces,
        faces_not_judged=max(found[0].face_count, len(seen)) - len(best),
        num_samples=samples,
        whole_frame=data.detector == "none",
    )


def judge(
    path,
    model,
    recipe,
    detect=None,
    *,
    num_samples=None,
    batch_size=None,
    max_faces=MAX_FACES,
    time_limit_s=TIME_LIMIT_S,
    debug=False,
    tta="none",
):
    """Judges one video or still image.

    The video's probability is the maximum over its faces of the face's mean probability over the sampled frames or
    clips: one faked face makes the video a fake. Faces seen only briefly are listed and do not decide.

    Args:
      path: video or image.
      model, recipe: as from `recipe.load_model`.
      detect: `faces.make_detector(...)`; the recipe's own when not given.
      samples: how many to look at (see `sampling`); the recipe's, at least eight clips, when not given.
      batch_size: examples per network call; 32 frames or 4 clips when not given.
      max_faces: faces judged, those seen longest; the rest is counted.
      time_limit_s: after that the file is given up with status `error`.
      debug: keep the traceback of an unexpected error.
      tta: "flip" takes the mean logit of each input and its mirror image (`scoring.test_time`).
    Returns:
      Verdict. Whatever is wrong with the file ends in its status.
    Raises:
      InputError: model and recipe do not belong together, or `clips` does not fit the network.
    """
    from tfdeepfake.data import examples, video

    input_type = check_model(model, recipe)
    data = sampling(recipe.data, input_type, num_samples)
    if not (time_limit_s > 0 and math.isfinite(time_limit_s)):
        raise InputError("time_limit_s", f"needs seconds above 0, got {time_limit_s}.")
    path, facts, timings, trace = Path(path), {}, {"decode": 0.0, "detect": 0.0, "network": 0.0}, ""
    try:
        with _time_limit(time_limit_s) as check:
            info = video.probe(path)
            facts = {
                name: getattr(info, name)
                for name in ("width", "height", "frame_count", "fps", "duration_s", "codec", "is_image", "missing")
            }
            verdict = _scored(
                path,
                info,
                model,
                recipe,
                data,
                input_type,
                detect,
                batch_size or (4 if input_type == "clip" else 32),
                max_faces,
                timings,
                check,
                tta,
            )
            return dataclasses.replace(verdict, video=facts, timings=timings)
    except examples.NoFace as error:
        status, reason, remedy = "no_face", error.problem, error.remedy
    except video.VideoError as error:
        status, reason, remedy = "unreadable", error.problem, error.remedy
    except InputError as error:
        status, reason, remedy = "error", error.problem, error.remedy
    except _TimeUp:
        status, reason = "error", f"took longer than the limit of {time_limit_s:g} s."
        remedy = "Raise the time limit or cut the video."
    except Exception as error:  # one bad file must not end a batch; it is counted and named
        status, reason = "error", f"unexpected {type(error).__name__}: {error}"
        remedy = "This is a fault of the program: run this file with --debug and report what it prints."
        trace = traceback.format_exc() if debug else ""
    return Verdict(
        file=str(path), status=status, reason=reason, remedy=remedy, video=facts, timings=timings, traceback=trace
    )
