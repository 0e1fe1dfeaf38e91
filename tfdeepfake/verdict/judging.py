"""One video to one verdict: extract every face as in training, score it, say what that means.

A verdict has a status. Only `scored` has a probability and a label; a file without a face, a file that cannot be
read and a file that failed are results of their own, never 0.5 and never REAL or FAKE.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tfdeepfake.memory import give_back_memory
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.scoring.interval import interval
from tfdeepfake.scoring.unsure import label_of, video_doubts
from tfdeepfake.verdict import methods
from tfdeepfake.verdict.clock import Clock, TimeUp
from tfdeepfake.verdict.inference import check_model, class_logits, of_fake, sampling
from tfdeepfake.verdict.looking import Looked, LookPlan, failure_of, look
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
from tfdeepfake.vocabulary import STATUSES

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Verdict:
    """What one file was judged to be.

    Args:
      file: path as it was given.
      status: one of STATUSES.
      probability: 0..1, calibrated probability of FAKE by `video_rule` and `faces_rule`; None unless scored.
      label: "FAKE" from the recipe's threshold on, else "REAL", or "UNSURE" where there are doubts; None unless scored.
      doubts: why it is UNSURE, see `scoring.unsure`; empty otherwise.
      caveat: what makes every verdict of this network worth little, see `remarks.caveat`; empty for most.
      deciding_face: number of the face whose probability and label these are; None where several decide together.
      video_rule, faces_rule: see `scoring.rules`; mean: the highest mean of a deciding face; peak: the highest window
        of a deciding face (`windows.peak`, and "face"), None for a still image. Both are there to be seen, whatever
        the rule takes.
      interval: (low, high), 95 % bootstrap over the samples of the video; None when there is only one.
      interval_reason: why there is no interval.
      classes: probability of `real` and of each method, of the faces that decide (`methods.probabilities`); None of a
        network that does not tell methods apart.
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
    classes: dict | None = None
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
    progress: Callable[[int, int, float | None], None] | None = None,
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
      progress: see `inference.score`.
    Returns:
      Verdict. Whatever is wrong with the file ends in its status.
    Raises:
      InputError: model and recipe do not belong together, `num_samples` does not fit the network, or the detector's
        file is missing.
    """
    from tfdeepfake.data import faces

    settings = settings or JudgeSettings()
    plan = look_plan(model, recipe, settings)
    detect = detect or faces.make_detector("mtcnn" if plan.data.detector == "none" else plan.data.detector)
    clock = Clock(settings.time_limit_s)
    verdict = judge_looked(path, look(path, plan, detect, clock), model, recipe, settings, keep, clock, progress)
    give_back_memory()
    return verdict


def look_plan(model: "keras.Model", recipe: Recipe, settings: JudgeSettings) -> LookPlan:
    """What `looking.look` has to show a network.

    Raises:
      InputError: model and recipe do not belong together, or `num_samples` does not fit the network.
    """
    input_type = check_model(model, recipe)
    verdict = recipe.verdict.stated(recipe.data)
    num_samples = settings.num_samples or verdict.num_samples
    data = sampling(recipe.data, input_type, num_samples, verdict.select)
    chosen = {name: getattr(settings, name) for name in ("stream", "frame_rate", "time_limit_s", "debug")}
    return LookPlan(data, input_type, recipe.network, **chosen)


def judge_looked(
    path: Path | str,
    looked: Looked,
    model: "keras.Model",
    recipe: Recipe,
    settings: JudgeSettings,
    keep: Callable[[list], None] | None = None,
    clock: Clock | None = None,
    progress: Callable[[int, int, float | None], None] | None = None,
) -> Verdict:
    """The second half of `judge`: what the network says of what a file shows.

    Args:
      path: of the file; looked: of it.
      model, recipe, settings, keep, progress: as for `judge`.
      clock: that of the first half, where it ran in this process.
    """
    seen = look_plan(model, recipe, settings)
    plan = _Plan(model, recipe, seen.data, seen.input_type, settings)
    clock, failure = clock or Clock(settings.time_limit_s, looked.seconds), looked.failure
    if failure is None:
        try:
            with clock.alarm():
                scored = _scored(path, looked, plan, clock, keep, progress)
                return dataclasses.replace(scored, video=looked.facts, timings=clock.seconds)
        except (Exception, TimeUp) as error:
            failure = failure_of(error, settings.time_limit_s, settings.debug)
    return Verdict(str(path), **vars(failure), video=looked.facts, timings=clock.seconds)


def _scored(path, looked, plan, clock, keep, progress):
    """The verdict of a file whose faces can be judged, without what `judge_looked` adds."""
    info, examples = looked.info, looked.examples
    faces = ranked_faces(examples, info.is_image)
    judged = faces[: plan.settings.max_faces]
    numbers = {face: 1 + rank for rank, face in enumerate(judged)}
    rows = [row for row in network_inputs(examples, plan.input_type) if row[0].face in numbers]
    inputs = [(e.frames[at], None if e.flow is None else e.flow[at]) for e, at in rows]
    with clock.step("network"):
        outputs = class_logits(plan.model, inputs, plan.batch_size, clock.check, plan.settings.tta, progress)
    logits = of_fake(plan.model, outputs)
    points = [point(e, at, logit, plan.recipe.temperature) for (e, at), logit in zip(rows, logits, strict=True)]
    methods.add_class_logits(points, outputs, plan.recipe.classes)
    if keep:
        keep([Shown(numbers[e.face], e, at, p["logit"]) for (e, at), p in zip(rows, points, strict=True)])
    timelines = {}
    for (example, _), of_sample in zip(rows, points, strict=True):
        timelines.setdefault(numbers[example.face], []).append(of_sample)
    num_samples = _num_samples(timelines, info, plan, looked.searched)
    looks = {numbers[face]: look_of([row for row in rows if row[0].face == face]) for face in judged}
    threshold, temperature = plan.recipe.threshold, plan.recipe.temperature
    least = plan.recipe.verdict.stated(plan.recipe.data)
    rules = (plan.video_rule, temperature, plan.recipe.limits, least, plan.data.detector != "none")
    of_faces = faces_of(timelines, looks, num_samples, threshold, *rules)
    for face in of_faces:
        face["classes"] = methods.probabilities([face["timeline"]], temperature)
    deciding = [face for face in of_faces if not (face["brief"] or face["weak"])]
    highest = max(deciding, key=lambda face: face["peak"]["probability"])
    value, decides = deciding[0]["probability"], deciding[0]["face"]
    if plan.faces_rule == "all" and len(deciding) > 1:
        value, decides = sampled([face["timeline"] for face in deciding], plan.video_rule, temperature), None
    of_video = [face["timeline"] for face in deciding if decides in (None, face["face"])]
    spread, no_spread = None, "the peak is of one window, which is not drawn again"
    if plan.video_rule != "peak":
        tables = [table_of(face["timeline"]) for face in deciding]
        spread = interval(tables, plan.video_rule, plan.faces_rule, temperature)
        no_spread = f"only one {'clip' if plan.input_type == 'clip' else 'frame'} was scored"
    not_judged = max(examples[0].face_count, len(faces)) - len(judged)
    doubts = video_doubts(value, spread, threshold, not_judged, of_faces) + looked.doubts
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
        classes=methods.probabilities(of_video, temperature),
        faces=of_faces,
        faces_not_judged=not_judged,
        num_samples=num_samples,
        whole_frame=plan.data.detector == "none",
        threshold=threshold,
        searched=looked.searched,
    )


def _num_samples(timelines, info, plan, searched):
    """Frames or clips of the video that were looked at, those without a face included."""
    with_a_face = {p["frame"] for timeline in timelines.values() for p in timeline}
    if plan.data.sampling == "chunks":
        from tfdeepfake.data import runs

        # Where faces were searched for, chunks are of the places around them.
        return max(len(with_a_face), 0 if searched else runs.chunk_count(info.frame_count, plan.data))
    asked_for = plan.data.num_clips * (1 if plan.input_type == "clip" else plan.data.num_frames)
    return max(len(with_a_face), min(asked_for, info.frame_count or asked_for))
