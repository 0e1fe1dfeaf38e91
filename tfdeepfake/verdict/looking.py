"""The first half of a verdict: a file is read, its faces are found and cut out. It knows no network.

What it gives, `Looked`, travels between processes: `isolated` has a stranger's file looked at in one that may crash.
"""

import dataclasses
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.scoring.unsure import rate_doubts
from tfdeepfake.verdict.clock import Clock, TimeUp

VIDEO_FACTS = ("width", "height", "frame_count", "fps", "duration_s", "codec", "is_image", "missing", "stream", "notes")
STRIPES_IN = 8  # frames of a video in which stripes are looked for
STRIPED = "looks interlaced although the file does not say so: deinterlace it first (`ffmpeg -i IN -vf bwdif OUT`)"


@dataclass(frozen=True)
class LookPlan:
    """What is looked at, the same for each file.

    Args:
      data: DataRecipe with as many samples as are wanted.
      input_type: of the network: "frame", "flow" or "clip"; network: its name, for errors.
      stream, frame_rate, time_limit_s, debug: see `JudgeSettings`.
    """

    data: DataRecipe
    input_type: str
    network: str
    stream: int | None = None
    frame_rate: float | None = None
    time_limit_s: float = 300.0
    debug: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a file has no score: the status, reason, remedy, searched and traceback of a `Verdict`."""

    status: str
    reason: str
    remedy: str
    searched: dict | None = None
    traceback: str = ""


@dataclass(frozen=True, eq=False)
class Looked:
    """What a file shows.

    Args:
      info: `video.VideoInfo`; facts: of it, as `Verdict.video` has them, {} where the file cannot be read.
      examples: list of `examples.Example`; [] with a failure.
      searched: see `Verdict`.
      seconds: {step: seconds}, see `Clock`.
      failure: `Failure`, or None.
      doubts: about the whole video, see `scoring.unsure`.
    """

    info: object = None
    facts: dict = field(default_factory=dict)
    examples: list = field(default_factory=list)
    searched: dict | None = None
    seconds: dict = field(default_factory=dict)
    failure: Failure | None = None
    doubts: list = field(default_factory=list)


def look(path: Path | str, plan: LookPlan, detect: Callable, clock: Clock | None = None) -> Looked:
    """Reads a file and cuts out its faces.

    Args:
      path: video or image, or folder of the frames of one video.
      detect: `faces.make_detector(...)`.
      clock: counts the seconds and watches the limit; a new one when not given.
    Returns:
      Looked. Whatever is wrong with the file is its `failure`.
    """
    from tfdeepfake.data import video
    from tfdeepfake.data.video.check import TOO_SLOW
    from tfdeepfake.data.video.combing import LEAST_STRIPED, striped

    path, clock, facts, info = Path(path), clock or Clock(plan.time_limit_s), {}, None
    stripes = []

    def detect_and_look(frames):
        if not info.is_image and not stripes:
            stripes.extend(striped(frames[:: -(-len(frames) // STRIPES_IN)]))
        return detect(frames)

    try:
        with clock.alarm():
            info = video.probe(path, stream=plan.stream, frame_rate=plan.frame_rate)
            facts = {name: getattr(info, name) for name in VIDEO_FACTS} | {"notes": list(info.notes)}
            facts["other_streams"] = [dataclasses.asdict(s) for s in info.streams if s.number != info.stream]
            with clock.step("decode"):
                examples, searched = _examples(path, info, plan, detect_and_look, clock)
            facts["notes"] += [STRIPED] if stripes and max(stripes) > LEAST_STRIPED else []
            doubts = _slow(examples, plan.data)
        return Looked(info, facts, examples, searched, clock.seconds, doubts=doubts)
    except (Exception, TimeUp) as error:
        failure = failure_of(error, plan.time_limit_s, plan.debug)
        if isinstance(error, TimeUp) and not (info and info.is_image):
            failure = dataclasses.replace(failure, remedy=TOO_SLOW)
        return Looked(info, facts, seconds=clock.seconds, failure=failure)


def _slow(examples, data):
    """[the doubt about a video that shows fewer frames/s than the network's training videos did], or []."""
    from tfdeepfake.data.video.rate import least_clip_fps

    least = least_clip_fps(data)
    if least is None:
        return []
    steps_s = [float(np.median(np.diff(e.timestamps_s))) for e in examples if len(e.timestamps_s) > 1]
    return rate_doubts([1 / step_s for step_s in steps_s if step_s > 0], least, data.stride_frames)


def failure_of(error: BaseException, time_limit_s: float, debug: bool = False) -> Failure:
    """The `Failure` that an exception means; one bad file must not end a batch: it is counted and named.

    Args:
      error: being handled; time_limit_s: of the file; debug: whether an unexpected error's traceback is kept.
    """
    from tfdeepfake.data import examples, video

    if isinstance(error, examples.NoFace):
        return Failure("no_face", error.problem, error.remedy, getattr(error, "searched", None))
    if isinstance(error, video.VideoError):
        return Failure("unreadable", error.problem, error.remedy)
    if isinstance(error, InputError):
        return Failure("error", error.problem, error.remedy)
    if isinstance(error, TimeUp):
        reason = f"took longer than the limit of {time_limit_s:g} s."
        return Failure("error", reason, "Raise the time limit or cut the video.")
    return Failure(
        "error",
        f"unexpected {type(error).__name__}: {error}",
        "This is a fault of the program: run this file with --debug and report what it prints.",
        traceback=traceback.format_exc() if debug else "",
    )


def _examples(path, info, plan, detect, clock):
    """Examples of the file as the recipe makes them; where they show no face, those around faces that a search finds.

    Returns:
      (list of Example, what was searched as in `Verdict` or None).
    Raises:
      NoFace: there is no face; of a video, also not where a search looked for one.
      InputError: it is a still image that shows a face, and the network takes clips; and see `data.examples.extract`.
    """
    from tfdeepfake.data import examples, search

    def watched(frames):
        with clock.step("detect"):
            return detect(frames)

    try:
        return _sampled(path, info, plan, watched), None
    except examples.NoFace:
        if info.is_image:
            raise
        looks = search.find_faces(path, watched, info.stream, plan.frame_rate)
    searched = {name: getattr(looks, name) for name in ("length_s", "every_s", "num_frames", "num_with_face")}
    try:
        if len(looks.places):
            return _sampled(path, info, plan, watched, looks.places), searched
        problem = f"no face was found ({looks.text})."
        raise examples.NoFace(path, problem, examples.FROM_THE_FRONT)
    except examples.NoFace as error:
        error.searched = searched
        raise


def _sampled(path, info, plan, detect, places=None):
    """Examples of the file, or of places in it."""
    from tfdeepfake.data import examples

    still = info.is_image and plan.input_type == "clip"
    if (still or plan.data.detector == "none") and places is None:
        _check_for_a_face(path, info, detect)
    if still:
        # Behind the look for a face: an image without one is `no_face` whatever the network takes.
        raise InputError(
            path,
            f"is a still image; {plan.network} takes clips of {plan.data.num_frames} frames.",
            "Give a video, or use a network for single frames.",
        )
    detect = None if plan.data.detector == "none" else detect
    where = {"places": places, "stream": info.stream, "frame_rate": plan.frame_rate}
    return examples.extract(path, plan.data, detect=detect, **where)


def _check_for_a_face(path, info, detect):
    """For networks that take whole frames or only clips: a file without a face is none of their business.

    Raises:
      NoFace: none was found in five frames spread over the video.
    """
    from tfdeepfake.data import examples, video

    where = {"stream": info.stream, "frame_rate": info.fps or None}
    frames = video.read_frames(path, video.spaced_indices(info.frame_count, 5), **where).frames
    if not any(len(detections.boxes_px) for detections in detect(frames)):
        where = f"{len(frames)} frames spread over the video" if len(frames) > 1 else "the image"
        raise examples.NoFace(path, f"no face was found in {where}.", examples.FROM_THE_FRONT)
