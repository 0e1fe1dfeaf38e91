"""Published checkpoints by source name: facts alone, which are listed without Keras.

Each file that is read here lists the checkpoints of one family of networks; how their tensors are named stands with the
family in `models`.
"""

import difflib
from typing import TYPE_CHECKING

from tfdeepfake.errors import InputError
from tfdeepfake.published import efficientnet, i3d, mesonet, resnet3d, swin, tall, video_resnets, vit, xception

if TYPE_CHECKING:
    from tfdeepfake.published.entry import Published


SOURCES = {
    **resnet3d.PUBLISHED,
    **video_resnets.PUBLISHED,
    **i3d.PUBLISHED,
    **efficientnet.PUBLISHED,
    **xception.PUBLISHED,
    **swin.PUBLISHED,
    **vit.PUBLISHED,
    **tall.PUBLISHED,
    **mesonet.PUBLISHED,
}


def find_published(source: str) -> "Published":
    """The `Published` of a name.

    Raises:
      InputError: there is none; names the nearest and all.
    """
    if source in SOURCES:
        return SOURCES[source]
    near = difflib.get_close_matches(source, SOURCES, 3)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    detectors = [name for name, known in SOURCES.items() if known.is_detector]
    others = [name for name in SOURCES if name not in detectors]
    text = f"{hint}Detectors are {', '.join(detectors)}. To train from there are {', '.join(others)}."
    raise InputError(source, "is no known checkpoint.", text)
