"""What a user may choose about judging files; all else is the recipe's."""

import dataclasses
import math
from dataclasses import dataclass

from tfdeepfake.errors import InputError
from tfdeepfake.recipe import MOST
from tfdeepfake.settings import check_choices, setting
from tfdeepfake.vocabulary import FACES_RULES, TTA, VIDEO_RULES

MOST_SECONDS = 10_000_000  # four months; clocks of systems overflow much later
_BOUNDS = {  # least, most: beyond these they mean nothing, or overflow
    "num_samples": (1, MOST), "max_faces": (1, MOST), "batch_size": (1, MOST), "workers": (0, 1024),
    "memory_mb": (1, 1 << 24),
}  # fmt: skip


@dataclass(frozen=True)
class JudgeSettings:
    """How files are judged; each field's meaning is in its `setting`, and in `tfdeepfake predict --help`.

    Raises:
      InputError: a field's value is not allowed; names the field.
    """

    num_samples: int | None = setting(
        None, "frames or clips of the video that are looked at (default: the recipe's, and at least eight clips)"
    )
    max_faces: int | None = setting(
        None, "faces that are judged, of a video those seen longest, of a still image the largest (default: all)"
    )
    tta: str = setting(
        "none",
        "`flip`: mean over an input and its mirror image, `p1`: over it and views that P1 lists, `none`: it alone",
        TTA,
    )
    video_rule: str | None = setting(
        None,
        "what of a face's samples is its probability: `mean`; `mean_logit`, the probability of their mean logit; "
        "`confident`, the rule of the DFDC's winner; `peak`, the mean of their most suspicious window (default: the "
        "recipe's)",
        (*VIDEO_RULES, None),
    )
    faces_rule: str | None = setting(
        None,
        "what of its faces is a video's probability: `max`, the highest, or `all`, that of the samples of all faces "
        "together (default: the recipe's)",
        (*FACES_RULES, None),
    )
    stream: int | None = setting(
        None, "number of the video, from 0, where a file holds several (default: the one that players show)"
    )
    time_limit_s: float = setting(300.0, "seconds after which a file is given up with status `error`")
    frame_rate: float | None = setting(
        None, "frames/s of folders that hold the frames of a video as images (default: 25)"
    )
    batch_size: int | None = setting(None, "inputs for each call of the network (default: 32 frames or 4 clips)")
    workers: int | None = setting(
        None,
        "processes that read files and find faces ahead of the network; 0: none (default: as many as it pays for, by "
        "files, cores and memory, at most 4)",
    )
    isolate: bool = setting(
        False, "files are read in a process with limits of memory, time, files and network: for those of strangers"
    )
    memory_mb: int = setting(4096, "memory of a process of isolate, beyond what its libraries take")
    debug: bool = setting(False, "keep and show the traceback of unexpected errors")

    def __post_init__(self):
        check_choices(self, InputError)
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or not least <= value <= most):
                raise InputError(name, f"needs a whole number from {least} on, at most {most}, got {value!r}.")
        if self.frame_rate is not None and not 0 < self.frame_rate < math.inf:
            raise InputError("frame_rate", f"needs frames/s above 0, got {self.frame_rate}.")
        if self.stream is not None and (not isinstance(self.stream, int) or self.stream < 0):
            raise InputError("stream", f"needs a whole number from 0 on, got {self.stream!r}.")
        if not 0 < self.time_limit_s <= MOST_SECONDS:
            raise InputError("time_limit_s", f"needs seconds above 0, at most {MOST_SECONDS}, got {self.time_limit_s}.")

    def that_change_scores(self) -> dict:
        """The fields by which a verdict's figures differ: a stopped run with others is not resumed."""
        values = dataclasses.asdict(self)
        names = ("num_samples", "max_faces", "tta", "video_rule", "faces_rule", "stream", "frame_rate")
        return {name: values[name] for name in names}
