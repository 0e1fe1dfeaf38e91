"""Configs of the builders: a data recipe and a few more choices, under a name that tells them all."""

import dataclasses
import re
from collections.abc import Sequence

import tensorflow_datasets as tfds

from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe
from tfds_builders.core.features import IMAGE_FORMAT


@dataclasses.dataclass(eq=False, kw_only=True)
class VideoConfig(tfds.core.BuilderConfig):
    """One way to prepare a data set.

    Args:
      recipe: DataRecipe.
      num_frames_real, num_frames_fake: frames per video of that class instead of the recipe's, for balance (P1 2.2.2
        takes 8 of a fake and 40 of a real video); input types frame and flow.
      num_clips_real, num_clips_fake: runs per video of that class, where sampling is consecutive.
      options: what the builder itself lets choose, where it differs from the default.
      image_format: of the stored frames: "png", or "jpeg" with a quality of 1 to 100, as "jpeg95" or "jpeg:95".
    """

    recipe: DataRecipe = dataclasses.field(default_factory=DataRecipe)
    num_frames_real: int | None = None
    num_frames_fake: int | None = None
    num_clips_real: int | None = None
    num_clips_fake: int | None = None
    options: dict = dataclasses.field(default_factory=dict)
    image_format: str = IMAGE_FORMAT

    def __post_init__(self):
        self.image_format = read_image_format(self.image_format)
        # `tfds build --config '{"name": ..., "recipe": {...}}'` gives plain dicts and lists.
        if isinstance(self.recipe, dict):
            self.recipe = DataRecipe.from_dict(self.recipe)
        self.options = {key: tuple(v) if isinstance(v, list) else v for key, v in self.options.items()}

    def recipe_of(self, label: int) -> DataRecipe:
        """The recipe for a video of label 0 (real) or 1 (fake)."""
        frames = self.num_frames_fake if label else self.num_frames_real
        clips = self.num_clips_fake if label else self.num_clips_real
        numbers = {"num_frames": frames, "num_clips": clips}
        return dataclasses.replace(self.recipe, **{name: n for name, n in numbers.items() if n is not None})


def recipe_name(recipe: DataRecipe) -> str:
    """A name that no other recipe has: input type, sampling, detector, alignment, margin, crop, size, flow; defaults
    are left out.

    `clip_16x2_mtcnn_m0.3_64x64_dis`: two runs of 16 consecutive frames, margin 0.3, crops of 64 x 64 px (height x
    width), DIS flow. `frame_8spaced_...`: eight spaced frames. `s3`: every third frame. `25.0fps`: runs by
    time.
    """
    frames = recipe.num_frames
    sampling = f"{frames}x{recipe.num_clips}" if recipe.sampling == "consecutive" else f"{frames}{recipe.sampling}"
    parts = [
        recipe.input_type,
        sampling + (f"s{recipe.stride_frames}" if recipe.stride_frames != 1 else ""),
        "" if recipe.runs_fps is None else f"{float(recipe.runs_fps)!r}fps",
        "wholeframe" if recipe.detector == "none" else recipe.detector,
        {"largest": "", "most_confident": "confident", "all": "all"}[recipe.select],
        "" if recipe.alignment == "none" else recipe.alignment,
        f"m{float(recipe.margin_frac)!r}",
        "" if recipe.crop == "square" else recipe.crop,
        f"{recipe.height_px}x{recipe.width_px}",
        {"clip": "", "smooth": "smooth", "frame": "unsteady"}[recipe.box_smoothing],
        "" if recipe.flow == "none" else recipe.flow,
    ]
    return "_".join(part for part in parts if part)


def read_image_format(text: str) -> str:
    """The format that a text means: "png", or "jpeg90" for "jpeg90" and "jpeg:90".

    Raises:
      InputError: neither.
    """
    jpeg = re.fullmatch(r"jpeg:?([1-9]\d?|100)", str(text).lower())
    if not jpeg and str(text).lower() != "png":
        raise InputError("image_format", f"needs png, or jpeg and a quality such as jpeg95, got {text!r}.")
    return f"jpeg{jpeg[1]}" if jpeg else "png"


def find_config(
    configs: Sequence[VideoConfig],
    input_type: str,
    recipe: dict | None = None,
    num_frames_real: int | None = None,
    num_frames_fake: int | None = None,
    options: dict | None = None,
    image_format: str = IMAGE_FORMAT,
    num_clips_real: int | None = None,
    num_clips_fake: int | None = None,
) -> VideoConfig:
    """The config of an input type with some fields changed: one of `configs` when nothing differs from it.

    Args:
      configs: BUILDER_CONFIGS of a builder, one per input type, named as it.
      input_type: "frame", "flow" or "clip".
      recipe: {field of DataRecipe: value} that differ.
      num_frames_real, num_frames_fake, num_clips_real, num_clips_fake: see VideoConfig.
      options: {name: value} of the builder's own choices.
      image_format: see VideoConfig.
    Returns:
      VideoConfig.
    Raises:
      InputError: no such recipe, or frames by class for clips.
    """
    named = {config.name: config for config in configs}
    if input_type not in named:
        raise InputError(
            "input_type", f"needs one of {sorted(named)}, got {input_type!r}.", f"Give --input-type {configs[0].name}."
        )
    default = named[input_type]
    changes = dict(recipe or {})
    if changes.get("sampling", "consecutive") != "consecutive":
        changes.setdefault("num_clips", 1)
    try:
        changed = dataclasses.replace(default.recipe, **changes)
    except (TypeError, ValueError) as error:
        raise InputError("recipe", str(error)) from None
    for name, frames in (("num_frames_real", num_frames_real), ("num_frames_fake", num_frames_fake)):
        if frames is not None and input_type == "clip":
            raise InputError(
                name,
                "is for input types frame and flow: all clips of a data set have one length.",
                f"For more clips of one class: --{name.replace('frames', 'clips').replace('_', '-')}",
            )
        if frames is not None and frames < 1:
            raise InputError(name, f"needs at least 1, got {frames}.")
    for name, clips in (("num_clips_real", num_clips_real), ("num_clips_fake", num_clips_fake)):
        if clips is not None and (clips < 1 or changed.sampling != "consecutive"):
            raise InputError(name, f"needs at least 1, and sampling consecutive; got {clips}, {changed.sampling}.")
    image_format = read_image_format(image_format)
    by_class = {
        "real": num_frames_real,
        "fake": num_frames_fake,
        "clipsreal": num_clips_real,
        "clipsfake": num_clips_fake,
    }
    usual = not any(by_class.values()) and image_format == IMAGE_FORMAT
    if changed == default.recipe and usual and not options:
        return default
    name = recipe_name(changed)
    name += "".join(f"_{of}{number}" for of, number in by_class.items() if number is not None)
    name += f"_{image_format}" if image_format != IMAGE_FORMAT else ""
    for option, value in sorted((options or {}).items()):
        text = "-".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
        name += f"_{option.replace('_', '')}{text}"
    return VideoConfig(
        name=name,
        recipe=changed,
        num_frames_real=num_frames_real,
        num_frames_fake=num_frames_fake,
        num_clips_real=num_clips_real,
        num_clips_fake=num_clips_fake,
        options=dict(options or {}),
        image_format=image_format,
    )


# Of every data set of videos with faces; a set differs by `tfdeepfake prepare`'s flags.
FACE_CONFIGS = [
    VideoConfig(
        name="clip",
        description="Four runs of 16 consecutive face crops per video with their optical flow.",
        recipe=DataRecipe(input_type="clip", sampling="consecutive", num_frames=16, num_clips=4, flow="dis"),
    ),
    VideoConfig(
        name="frame",
        description="Sixteen face crops, equally spaced over the video.",
        recipe=DataRecipe(input_type="frame", sampling="spaced", num_frames=16),
    ),
    VideoConfig(
        name="flow",
        description="Four runs of 4 consecutive face crops per video, each crop with its optical flow.",
        recipe=DataRecipe(input_type="flow", sampling="consecutive", num_frames=4, num_clips=4, flow="dis"),
    ),
]
