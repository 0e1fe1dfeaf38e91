"""One video to one verdict: extract every face as in training, score it, say what that means.

A verdict has a status. Only `scored` has a probability and a label; a file without a face, a file that cannot be
read and a file that failed are results of their own, never 0.5 and never REAL or FAKE.
"""

import dataclasses
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.verdict.clock import Clock, TimeUp
from tfdeepfake.verdict.inference import check_model, interval, sampling, score
from tfdeepfake.verdict.remarks import caveat
from tfdeepfake.verdict.settings import JudgeSettings
from tfdeepfake.verdict.timelines import (
    Shown,
    faces_of,
    look_of,
    network_inputs,
    point,
    ranked_faces,
    sampled,
    table_of,
)
from tfdeepfake.verdict.unsure import label_of, video_doubts
from tfdeepfake.vocabulary import STATUSES

if TYPE_CHECKING:
    import keras


VIDEO_FACTS = ("width", "height", "frame_count", "fps", "duration_s", "codec", "is_image", "missing", "stream", "notes")


@dataclass(frozen=True)
class Verdict:
    """What one file was judged to be.

    Args:
      file: path as it was given.
      status: one of STATUSES.
      probability: 0..1, calibrated probability of FAKE by `video_rule` and `faces_rule`; None unless scored.
      label: "FAKE" from the recipe's threshold on, else "REAL", or "UNSURE" where there are doubts; None unless scored.
      doubts: why it is UNSURE, see `verdict.unsure`; empty otherwise.
      caveat: what makes every verdict of this network worth little, see `remarks.caveat`; empty for most.
      deciding_face: number of the face whose probability and label these are; None where several decide together.
      video_rule, faces_rule: see `scoring.rules`; mean: the highest mean of a deciding face; peak: the highest window
        of a deciding face (`windows.peak`, and "face"), None for a still image. Both are there to be seen, whatever
        the rule takes.
      interval: (low, high), 95 % bootstrap over the samples of the video; None when there is only one.
      interval_reason: why there is no interval.
      reason, remedy: what went wrong and the user's next step, when not scored.
      faces: one dict per judged face, most suspicious first (docs/predictions.md).
      faces_not_judged: faces found beyond the limit, or not long enough in any clip to fill it.
      num_samples: frames or clips of the video that were looked at.
      whole_frame: the network looked at whole frames; the one entry of `faces` is the frame.
      searched: where the usual samples show no face, what the search over the whole video was: length_s, every_s,
        num_frames, num_with_face; None where there was none.
      video: width, height, fps, duration_s, frame_count, codec, is_image, missing (frames cut off the end of the
        file), stream, other_streams, notes; empty when it could not be read.
      threshold: probability from which a face is FAKE; None unless scored. Not in JSON, where the run has it.
      timings: seconds for decode (reading, tracking, cropping), detect, network.
      traceback: of an unexpected error, when asked for.
    """

    file: str
    status: str
    probability: float | None = None
    label: str | None = None
    doubts: list = field(default_factory=list)
    caveat: str = ""
    deciding_face: int | None = None
    video_rule: str | None = None
    faces_rule: str | None = None
    mean: float | None = None
    peak: dict | None = None
    interval: tuple | None = None
    interval_reason: str = ""
    reason: str = ""
    remedy: str = ""
    faces: list = field(default_factory=list)
    faces_not_judged: int = 0
    num_samples: int = 0
    whole_frame: bool = False
    searched: dict | None = None
    video: dict = field(default_factory=dict)
    threshold: float | None = None
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

    def to_dict(self) -> dict:
        """JSON-able dict; `interval` as a list."""
        values = dataclasses.asdict(self)
        values["interval"] = None if self.interval is None else list(self.interval)
        del values["threshold"]
        if not self.traceback:
            del values["traceback"]
        return values

    def _repr_html_(self) -> str:
        """What a notebook shows: the line, the faces, each one's probability over time."""
        from tfdeepfake.verdict.card import card

        return card(self.to_dict(), self.threshold)


@dataclass(frozen=True)
class _Plan:
    """How files are judged, the same for each: the network, what it is shown of a video, and what the user chose."""

    model: object
    recipe: Recipe
    data: DataRecipe
    input_type: str
    detect: Callable
    settings: JudgeSettings

    @property
    def video_rule(self):
        return self.settings.video_rule or self.recipe.video_rule

    @property
    def faces_rule(self):
        return self.settings.faces_rule or self.recipe.faces_rule

    @property
    def batch_size(self):
        return self.settings.batch_size or (4 if self.input_type == "clip" else 32)


def judge(
    path: Path | str,
    model: "keras.Model",
    recipe: Recipe,
    detect: Callable | None = None,
    settings: JudgeSettings | None = None,
    keep: Callable[[list], None] | None = None,
) -> Verdict:
    """Judges one video or still image.

    The video's probability comes from the sampled frames or clips by the rules of the recipe, or of the settings, see
    `scoring.rules`: unless they say otherwise it is the maximum over its faces of the face's mean, because one faked
    face makes the video a fake. Faces seen only briefly, small ones and those the detector is unsure of are listed and
    do not decide.

    Args:
      path: video or image, or folder of the frames of one video.
      model: keras.Model; recipe: both as from `model_folder.load_model`.
      detect: `faces.make_detector(...)`; the recipe's own when not given.
      settings: `JudgeSettings()` when not given.
      keep: called with the list of `Shown` of a file that is scored, for explanations.
    Returns:
      Verdict. Whatever is wrong with the file ends in its status.
    Raises:
      InputError: model and recipe do not belong together, `num_samples` does not fit the network, or the detector's
        file is missing.
    """
    from tfdeepfake.data import examples, faces, video

    settings = settings or JudgeSettings()
    input_type = check_model(model, recipe)
    data = sampling(recipe.data, input_type, settings.num_samples)
    detect = detect or faces.make_detector("mtcnn" if data.detector == "none" else data.detector)
    plan = _Plan(model, recipe, data, input_type, detect, settings)
    path, clock, facts, trace, searched = Path(path), Clock(settings.time_limit_s), {}, "", None
    try:
        with clock.alarm():
            info = video.probe(path, stream=settings.stream, frame_rate=settings.frame_rate)
            facts = {name: getattr(info, name) for name in VIDEO_FACTS} | {"notes": list(info.notes)}
            facts["other_streams"] = [dataclasses.asdict(s) for s in info.streams if s.number != info.stream]
            scored = _scored(path, info, plan, clock, keep)
            return dataclasses.replace(scored, video=facts, timings=clock.seconds)
    except examples.NoFace as error:
        status, reason, remedy = "no_face", error.problem, error.remedy
        searched = getattr(error, "searched", None)
    except video.VideoError as error:
        status, reason, remedy = "unreadable", error.problem, error.remedy
    except InputError as error:
        status, reason, remedy = "error", error.problem, error.remedy
    except TimeUp:
        status, reason = "error", f"took longer than the limit of {settings.time_limit_s:g} s."
        remedy = "Raise the time limit or cut the video."
    except Exception as error:  # one bad file must not end a batch; it is counted and named
        status, reason = "error", f"unexpected {type(error).__name__}: {error}"
        remedy = "This is a fault of the program: run this file with --debug and report what it prints."
        trace = traceback.format_exc() if settings.debug else ""
    return Verdict(
        str(path),
        status,
        reason=reason,
        remedy=remedy,
        searched=searched,
        video=facts,
        timings=clock.seconds,
        traceback=trace,
    )


def _scored(path, info, plan, clock, keep):
    """The verdict of a file whose faces can be judged, without what `judge` adds."""
    with clock.step("decode"):
        examples, searched = _examples(path, info, plan, clock)
    faces = ranked_faces(examples, info.is_image)
    judged = faces[: plan.settings.max_faces]
    numbers = {face: 1 + rank for rank, face in enumerate(judged)}
    rows = [row for row in network_inputs(examples, plan.input_type) if row[0].face in numbers]
    inputs = [(e.frames[at], None if e.flow is None else e.flow[at]) for e, at in rows]
    with clock.step("network"):
        logits = score(plan.model, inputs, plan.batch_size, clock.check, plan.settings.tta)
    points = [point(e, at, logit, plan.recipe.temperature) for (e, at), logit in zip(rows, logits, strict=True)]
    if keep:
        keep([Shown(numbers[e.face], e, at, p["logit"]) for (e, at), p in zip(rows, points, strict=True)])
    timelines = {}
    for (example, _), of_sample in zip(rows, points, strict=True):
        timelines.setdefault(numbers[example.face], []).append(of_sample)
    num_samples = _num_samples(timelines, info, plan)
    looks = {numbers[face]: look_of([e for e in examples if e.face == face], plan.data) for face in judged}
    threshold, temperature = plan.recipe.threshold, plan.recipe.temperature
    of_faces = faces_of(timelines, looks, num_samples, threshold, plan.video_rule, temperature, plan.recipe.limits)
    deciding = [face for face in of_faces if not (face["brief"] or face["weak"])]
    highest = max(deciding, key=lambda face: face["peak"]["probability"])
    value, decides = deciding[0]["probability"], deciding[0]["face"]
    if plan.faces_rule == "all" and len(deciding) > 1:
        value, decides = sampled([face["timeline"] for face in deciding], plan.video_rule, temperature), None
    spread, no_spread = None, "the peak is of one window, which is not drawn again"
    if plan.video_rule != "peak":
        tables = [table_of(face["timeline"]) for face in deciding]
        spread = interval(tables, plan.video_rule, plan.faces_rule, temperature)
        no_spread = f"only one {'clip' if plan.input_type == 'clip' else 'frame'} was scored"
    not_judged = max(examples[0].face_count, len(faces)) - len(judged)
    doubts = video_doubts(value, spread, threshold, not_judged, of_faces)
    return Verdict(
        file=str(path),
        status="scored",
        probability=value,
        label=label_of(value, threshold, doubts),
        doubts=doubts,
        caveat=caveat(plan.recipe.data_version, plan.recipe.parent),
        deciding_face=decides,
        video_rule=plan.video_rule,
        faces_rule=plan.faces_rule,
        mean=max(face["mean"] for face in deciding),
        peak=None if info.is_image else {**highest["peak"], "face": highest["face"]},
        interval=spread,
        interval_reason="" if spread else no_spread,
        faces=of_faces,
        faces_not_judged=not_judged,
        num_samples=num_samples,
        whole_frame=plan.data.detector == "none",
        threshold=threshold,
        searched=searched,
    )


def _examples(path, info, plan, clock):
    """Examples of the file as the recipe makes them; where they show no face, those around faces that a search finds.

    Returns:
      (list of Example, what was searched as in `Verdict` or None).
    Raises:
      NoFace: there is no face; of a video, also not where a search looked for one.
      InputError: it is a still image that shows a face, and the network takes clips; and see `data.examples.extract`.
    """
    from tfdeepfake.data import examples, search

    def detect(frames):
        with clock.step("detect"):
            return plan.detect(frames)

    try:
        return _sampled(path, info, plan, detect), None
    except examples.NoFace:
        if info.is_image:
            raise
        looks = search.find_faces(path, detect, info.stream, plan.settings.frame_rate)
    searched = {name: getattr(looks, name) for name in ("length_s", "every_s", "num_frames", "num_with_face")}
    try:
        if len(looks.places):
            return _sampled(path, info, plan, detect, looks.places), searched
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
            f"is a still image; {plan.recipe.network} takes clips of {plan.data.num_frames} frames.",
            "Give a video, or use a network for single frames.",
        )
    detect = None if plan.data.detector == "none" else detect
    where = {"places": places, "stream": info.stream, "frame_rate": plan.settings.frame_rate}
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


def _num_samples(timelines, info, plan):
    """Frames or clips of the video that were looked at, those without a face included."""
    with_a_face = {p["frame"] for timeline in timelines.values() for p in timeline}
    asked_for = plan.data.num_clips * (1 if plan.input_type == "clip" else plan.data.num_frames)
    return max(len(with_a_face), min(asked_for, info.frame_count or asked_for))
