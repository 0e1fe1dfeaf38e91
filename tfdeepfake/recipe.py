"""How a video becomes a network's input (`DataRecipe`), and what inference needs to know of a network (`Recipe`).

A score is only right when detector, margin, crop size and sampling are those of training. `DataRecipe` is
that list; it travels from the data set's metadata into the run and into the saved model folder, and
prediction reads it from there.
"""

import dataclasses
from dataclasses import dataclass, field

from tfdeepfake.settings import check_choices, from_dict, setting
from tfdeepfake.vocabulary import (
    ALIGNMENTS,
    BOX_SMOOTHINGS,
    CROPS,
    DETECTORS,
    FACE_SELECTIONS,
    FACES_RULES,
    FLOW_METHODS,
    INPUT_TYPES,
    MEASURES_WITH_LEAST,
    MEASURES_WITH_MOST,
    SAMPLINGS,
    VIDEO_RULES,
)

# Bounds that no network of the field comes near, against recipes that would fill the memory.
MOST, MOST_PIXELS = 100_000, 1 << 29


@dataclass(frozen=True)
class DataRecipe:
    """How a video becomes examples; each field's meaning is in its `setting`, and in `tfdeepfake prepare --help`.

    Raises:
      ValueError: a field's value is not allowed, or two fields contradict each other.
    """

    input_type: str = setting(
        "clip",
        "`frame` (one face crop), `flow` (a crop and its flow map) or `clip` (`num_frames` crops, and their flow maps "
        'when `flow` is not "none")',
        INPUT_TYPES,
    )
    sampling: str = setting(
        "spaced",
        "`spaced` takes `num_frames` equally spaced frames of the whole video; `consecutive` takes `num_clips` runs of "
        "`num_frames` frames, `stride_frames` apart inside a run, the runs equally spaced; `chunks` takes all frames, "
        "`num_frames` by `num_frames` (P3 Sec. 5 tests on 250), of which the last ones end with the video and overlap "
        "those before; a video whose crops would take more than 1 GiB gives as many chunks as do not, spaced over it",
        SAMPLINGS,
    )
    num_frames: int = setting(16, "frames per video (`spaced`) or per clip (`consecutive`, `chunks`)")
    num_clips: int = setting(1, "runs per video (`consecutive`), otherwise 1")
    stride_frames: int = setting(1, "distance of neighbouring frames inside a run")
    detector: str = setting(
        "mtcnn",
        "`mtcnn`, `blazeface`, `mtcnn_half` (MTCNN as the DFDC's winner runs it: frames of half size, thresholds 0.7, "
        "0.8, 0.8) or `none` (the whole frame is the input, as in P2)",
        (*DETECTORS, "none"),
    )
    select: str = setting(
        "largest",
        "which face: `largest`, `most_confident` or `all` (each face track gives its own examples)",
        FACE_SELECTIONS,
    )
    margin_frac: float = setting(
        0.3,
        "what is added to the face box on each side, as a part of the box: 0.15 is P3's 1.3x box, 0.30 is P4's, 0.25 "
        "to 0.35 is P1's margin of 0.5 to 0.7; with `alignment` it is added to the template: 0.15 is its authors' 1.3",
    )
    crop: str = setting(
        "square",
        "`square` (around the longer side of the box; past the frame its edge is repeated), or `fit` (the box keeps "
        "its shape, is cut at the frame's edge and centred on black, as the DFDC's winner crops)",
        CROPS,
    )
    height_px: int = setting(224, "height of the crop")
    width_px: int = setting(224, "width of the crop")
    box_smoothing: str = setting(
        "clip",
        "`clip` (one box per clip), `smooth` (boxes smoothed over time) or `frame` (each its own); with `alignment` "
        "transforms take the place of boxes, and the templates' authors make them for each frame",
        BOX_SMOOTHINGS,
    )
    alignment: str = setting(
        "none",
        "`none` (upright squares around boxes), or the template that a face's landmarks are turned and scaled onto: "
        "`gend` or `deepfakebench`, after the authors; with `mtcnn` only",
        (*ALIGNMENTS, "none"),
    )
    runs_fps: float | None = setting(
        None,
        "frames/s of the training videos: runs (`consecutive`) of a video that shows new frames faster are taken by "
        "time, without frames that repeat the one before; when not given runs are as they lie in the file, and "
        "`prepare` notes the median rate of the videos for what is trained on them",
    )
    flow: str = setting(
        "none",
        "`dis`, `farneback` or `none`: optical flow stored beside the frames (input types flow and clip)",
        (*FLOW_METHODS, "none"),
    )

    def __post_init__(self):
        check_choices(self)
        for name in ("num_frames", "num_clips", "stride_frames", "height_px", "width_px"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= MOST:
                raise ValueError(f"{name} needs a whole number of 1 to {MOST}, got {value!r}.")
        if self.num_frames * self.height_px * self.width_px > MOST_PIXELS:
            raise ValueError(
                f"num_frames, height_px and width_px need at most {MOST_PIXELS} px of one example, got "
                f"{self.num_frames} x {self.height_px} x {self.width_px}."
            )
        if self.runs_fps is not None and not 0 < self.runs_fps < 1000:
            raise ValueError(f"runs_fps needs frames/s above 0, or None, got {self.runs_fps}.")
        if not 0 <= self.margin_frac <= 3:
            raise ValueError(f"margin_frac needs 0..3 (part of the box, each side), got {self.margin_frac}.")
        if self.sampling == "spaced" and self.num_clips != 1:
            raise ValueError(
                f"sampling 'spaced' takes one set of frames per video: num_clips needs 1, got {self.num_clips}."
            )
        if self.sampling == "chunks":
            if self.input_type != "clip":
                raise ValueError(f"sampling 'chunks' is of input_type 'clip', got {self.input_type!r}.")
            for name, only in (("num_clips", 1), ("stride_frames", 1), ("runs_fps", None)):
                if (value := getattr(self, name)) != only:
                    raise ValueError(f"sampling 'chunks' takes all frames: {name} needs {only}, got {value}.")
        if self.alignment != "none" and self.detector != "mtcnn":
            raise ValueError(
                f"alignment {self.alignment!r} needs both corners of the mouth, which only the detector 'mtcnn' finds, "
                f"got detector {self.detector!r}."
            )
        if self.crop != "square" and (self.alignment != "none" or self.detector == "none"):
            raise ValueError(
                f"crop {self.crop!r} is of upright boxes: it needs a detector and alignment 'none', got detector "
                f"{self.detector!r} and alignment {self.alignment!r}."
            )
        if self.input_type == "flow" and self.flow == "none":
            raise ValueError("input_type 'flow' needs flow='dis' or flow='farneback', got 'none'.")

    @property
    def clip_span_frames(self) -> int:
        """Frames of video that one clip covers; a shorter video has no clip."""
        return (self.num_frames - 1) * self.stride_frames + 1

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict, subject: str = "data recipe") -> "DataRecipe":
        return from_dict(cls, values, subject)


# A timeline of one or two clips shows nothing; decoding eight short runs costs about as much as two.
LEAST_CLIPS = 8
# Least mean confidence of the detector in a face that decides beside others.
LEAST_CONFIDENCE = {"mtcnn": 0.97, "blazeface": 0.7, "mtcnn_half": 0.97, "none": 0.0}


@dataclass(frozen=True)
class VerdictRecipe:
    """How a verdict looks at a video, beside what `DataRecipe` says of crops; `stated` fills in what is None.

    Args:
      num_samples: of a video: frames where `data` takes spaced ones, runs where it takes runs; None, for networks that
        take frames spaced over the whole video as one input: these.
      select: faces that are judged, as `DataRecipe.select`.
      brief_fraction: a face in a smaller fraction of eight or more samples does not decide.
      least_side_px: nor does a smaller face beside others (square root of the box's area, in px of the full frame).
      least_confidence: nor one that the detector is less sure of, on average.
    """

    num_samples: int | None = None
    select: str = "all"
    brief_fraction: float = 0.1
    least_side_px: float = 48
    least_confidence: float | None = None

    def __post_init__(self):
        if self.select not in FACE_SELECTIONS:
            raise ValueError(f"select needs one of {FACE_SELECTIONS}, got {self.select!r}.")
        if self.num_samples is not None and (type(self.num_samples) is not int or not 1 <= self.num_samples <= MOST):
            raise ValueError(f"num_samples needs a whole number of 1 to {MOST}, or null, got {self.num_samples!r}.")
        if not 0 <= self.brief_fraction <= 1:
            raise ValueError(f"brief_fraction needs 0..1, got {self.brief_fraction!r}.")
        if not 0 <= self.least_side_px <= MOST or not 0 <= (self.least_confidence or 0) <= 1:
            raise ValueError(
                f"least_side_px needs 0..{MOST} and least_confidence 0..1, or null, got {self.least_side_px!r} and "
                f"{self.least_confidence!r}."
            )

    def stated(self, data: DataRecipe) -> "VerdictRecipe":
        """What holds where nothing is said: the recipe's frames, or its runs and at least eight."""
        samples, confidence = self.num_samples, self.least_confidence
        if samples is None and data.sampling == "consecutive":
            samples = max(data.num_clips, LEAST_CLIPS)
        elif samples is None and data.input_type == "frame":
            samples = data.num_frames
        confidence = LEAST_CONFIDENCE[data.detector] if confidence is None else confidence
        return dataclasses.replace(self, num_samples=samples, least_confidence=confidence)


def check_limits(limits: dict) -> None:
    """Raises ValueError unless it is {measure of a face: number from 0 on}, see `Recipe.limits`."""
    known = (*MEASURES_WITH_LEAST, *MEASURES_WITH_MOST)
    if not isinstance(limits, dict) or not all(
        name in known and isinstance(value, int | float) and value >= 0 for name, value in limits.items()
    ):
        raise ValueError(f"limits needs numbers from 0 on, of {known}, got {limits!r}.")


@dataclass(frozen=True)
class Recipe:
    """Everything inference needs beside the weights; `recipe.json` of a saved model folder.

    Args:
      network: name in `tfdeepfake.models.MODELS`.
      network_args: keyword arguments of that network.
      data: the `DataRecipe` of the training data.
      verdict: how a verdict looks at a video; written whole, whatever was said.
      members: names of saved model folders in the folder's `members/`, networks that each vote; None for one network.
      threshold: probability from which a video is called FAKE, chosen on validation data.
      fraction_threshold: fraction of frames from which a video is called FAKE under the fraction-of-frames rule
        (P2 4.2.2), or None when it was not chosen.
      video_rule: what of a face's samples makes its probability: "mean", "mean_logit", "confident" or "peak", see
        `scoring.rules`; the threshold belongs to the rule it was chosen by.
      faces_rule: what of its faces makes a video's probability: "max", the highest, or "all", the rule applied to the
        samples of all of them together.
      limits: {measure of a face: limit beyond which its network errs too often}, by which a verdict is UNSURE, see
        `scoring.unsure`; limits_measured: on what the limits were measured, for the report. None are assumed.
      temperature: the logit is divided by it before the sigmoid; 1 when it was not fitted.
      calibration: how threshold and temperature came about, for the report.
      classes: names of the K classes in the order of the outputs; None for one logit, or when they are not known.
      positive: what a logit above zero means. Only "fake" is accepted.
      data_version: data sets and versions the weights were trained on.
      parent: checkpoint the weights started from, or None.
      licence: licence of the weights.
      data_terms: terms of the data that they, or the weights they started from, were trained on.
      accuracy: of published weights: on data they were not trained on, and who states it; "" when nobody does.
      gmacs: 10^9 multiply-accumulates for one face, or one clip of a face; None when they were not counted.
      versions: of the software that wrote the folder.
      weights_sha256: of `model.weights.h5`.
    """

    network: str
    network_args: dict = field(default_factory=dict)
    data: DataRecipe = field(default_factory=DataRecipe)
    verdict: VerdictRecipe = field(default_factory=VerdictRecipe)
    members: list | None = None
    threshold: float = 0.5
    fraction_threshold: float | None = None
    video_rule: str = "mean"
    faces_rule: str = "max"
    limits: dict = field(default_factory=dict)
    limits_measured: str = ""
    temperature: float = 1.0
    calibration: str = "not calibrated"
    classes: list | None = None
    positive: str = "fake"
    data_version: str = "unknown"
    parent: str | None = None
    licence: str = "unknown"
    data_terms: str = "unknown"
    accuracy: str = ""
    gmacs: float | None = None
    versions: dict = field(default_factory=dict)
    weights_sha256: str | None = None

    def __post_init__(self):
        if self.positive != "fake":
            raise ValueError(f"positive needs 'fake' (label 1 = fake everywhere), got {self.positive!r}.")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold needs a probability between 0 and 1, got {self.threshold}.")
        if self.video_rule not in VIDEO_RULES:
            raise ValueError(f"video_rule needs one of {VIDEO_RULES}, got {self.video_rule!r}.")
        if self.faces_rule not in FACES_RULES:
            raise ValueError(f"faces_rule needs one of {FACES_RULES}, got {self.faces_rule!r}.")
        check_limits(self.limits)
        if not 1e-6 <= self.temperature <= 1e6:
            raise ValueError(f"temperature needs a number above 0, of 1e-6 to 1e6, got {self.temperature}.")
        if self.members is not None and (
            not isinstance(self.members, list)
            or len(self.members) < 2
            or not all(isinstance(name, str) and name and "/" not in name and name != ".." for name in self.members)
        ):
            raise ValueError(f"members needs a list of names of folders, or null, got {self.members!r}.")
        names = self.classes
        if names is not None and (
            not isinstance(names, list)
            or not all(isinstance(name, str) for name in names)
            or len(set(names)) < len(names)
        ):
            raise ValueError(f"classes needs a list of different names, or null, got {names!r}.")

    def with_detector(self, detector: str) -> "Recipe":
        """With another face detector, and the confidence that is asked of that one.

        Raises:
          ValueError: it does not fit the recipe.
        """
        if detector == self.data.detector:
            return self
        data = dataclasses.replace(self.data, detector=detector)
        return dataclasses.replace(self, data=data, verdict=dataclasses.replace(self.verdict, least_confidence=None))

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict, subject: str = "recipe") -> "Recipe":
        values = dict(values)
        if "data" in values:
            values["data"] = DataRecipe.from_dict(values["data"], subject)
        if "verdict" in values:
            values["verdict"] = from_dict(VerdictRecipe, values["verdict"], subject)
        return from_dict(cls, values, subject)
