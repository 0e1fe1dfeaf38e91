"""What a user may choose about explanations."""

from dataclasses import dataclass

from tfdeepfake.errors import InputError
from tfdeepfake.settings import check_choices, setting


@dataclass(frozen=True)
class ExplainSettings:
    """How a video is explained; each field's meaning is in its `setting`, and in `tfdeepfake explain --help`.

    Raises:
      InputError: a field's value is not allowed; names the field.
    """

    layer: str | None = setting(None, "layer that the map is made of (default: the last map before pooling)")
    target: str | None = setting(
        None, "what is explained: `fake`, `real`, or number or name of one of K classes (default: fake)"
    )
    num_copies: int = setting(1, "smoothed Grad-CAM: mean over so many noisy copies of the input; 1 for the plain form")
    noise: float = setting(0.1, "standard deviation of that noise, as a fraction of the pixels' range")
    sheet_frames: int = setting(5, "frames of a face on the contact sheet")
    sheet_every: int | None = setting(
        None, "distance of these frames in the video, such as 24 (default: spread over all frames that were looked at)"
    )
    num_random: int = setting(
        10, "random orders that a map's deletion and insertion curves are compared with; 0 leaves all scores out"
    )

    def __post_init__(self):
        check_choices(self, InputError)
        for name, least in (("num_copies", 1), ("sheet_frames", 1), ("num_random", 0), ("sheet_every", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise InputError(name, f"needs a whole number from {least} on, got {value!r}.")
        if not 0 <= self.noise <= 1:
            raise InputError("noise", f"needs a number 0..1, got {self.noise}.")

    @property
    def explained(self) -> int | str | None:
        """`target`, a number of a class as one."""
        return int(self.target) if self.target is not None and self.target.isdigit() else self.target
