"""diffusion_gan_bedroom: images of bedrooms, photographed and generated."""

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow_datasets as tfds

from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe
from tfds_builders.core.building import VideoBuilder, examples_of
from tfds_builders.core.configs import VideoConfig
from tfds_builders.core.manual import manual_generators
from tfds_builders.diffusion_gan_bedroom.listing import GET, LAYOUT, list_videos, places, read_group, read_image

if TYPE_CHECKING:
    from tfds_builders.core.listing import VideoRecord


class Builder(VideoBuilder):
    """Turns the images into examples, 200 to a pseudo-video: each a frame, or a clip of the same image.

    A config's `options`: generators, those to take; all when empty. `num_frames` of the recipe, and num_frames_real and
    num_frames_fake, are images of a pseudo-video; of input type clip `num_clips` is.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    HOMEPAGE = "https://doi.org/10.5281/zenodo.7528112"
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"The manual dir is the folder of the images. {LAYOUT} {GET}"
    BUILDER_CONFIGS = [
        VideoConfig(
            name="frame",
            description="Whole images.",
            # The images' own size: resizing blurs what generators leave in the finest detail.
            recipe=DataRecipe(input_type="frame", num_frames=200, detector="none", height_px=256, width_px=256),
        ),
        VideoConfig(
            name="clip",
            description="Clips of four times the same image, for networks that read a thumbnail of frames.",
            recipe=DataRecipe(
                input_type="clip",
                sampling="consecutive",
                num_frames=4,
                num_clips=200,
                detector="none",
                height_px=112,
                width_px=112,
            ),
        ),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "frame"
    OPTIONS = {"generators": ()}
    LIST = staticmethod(list_videos)

    def _split_generators(self, dl_manager):
        recipe = self.builder_config.recipe
        if recipe.input_type != "clip" and recipe.sampling != "spaced":
            raise InputError("sampling", "needs 'spaced': images do not follow each other.")
        if recipe.flow != "none":
            raise InputError("flow", "needs 'none': an image that is repeated does not move.")
        return manual_generators(self, dl_manager)

    def read_of(self, listed: "VideoRecord") -> Callable:
        """What reads a pseudo-video."""
        return functools.partial(read_group, listed.images)

    def _generate_examples(self, outcomes, counted):
        yield from examples_of(_count_bad(outcomes, counted), counted)
        if bad := counted.get("bad_images"):
            shown = "; ".join(f"{one['image']}: {one['reason']}" for one in bad[:3])
            more = f"; and {len(bad) - 3} more, see metadata.json" if len(bad) > 3 else ""
            print(f"{self.name}: {len(bad)} images could not be read: {shown}{more}", file=sys.stderr)


def _count_bad(outcomes, counted):
    """Passes outcomes on, and names in counted["bad_images"] the images that gave no example."""
    for video, outcome in outcomes:
        if isinstance(outcome, tuple) and outcome[0] == "scored":
            images = video.read.args[0]
            indices = {int(values["frame_indices"][0]) for _, values in outcome[1]}
            for place in places(images, video.recipe):
                if int(place) not in indices:
                    facts = {"image": str(images[place]), "video": video.video}
                    counted.setdefault("bad_images", []).append(facts | {"reason": _why(images[place], video.recipe)})
        yield video, outcome


def _why(path, recipe):
    """Why an image gave no example; it is read again, because only this process can count."""
    try:
        read_image(path, recipe)
    except InputError as error:
        return error.problem
    return "it could be read again later"
