"""The single networks by name, one plain dict; what each reads; and building one of a dict."""

import difflib
import inspect
from typing import Any

import keras
import numpy as np

from tfdeepfake.models.baseline import baseline
from tfdeepfake.models.cnn3d import cnn3d
from tfdeepfake.models.cnn_rnn import cnn_rnn
from tfdeepfake.models.efficientnet import (
    attention2d,
    efficientnet_b0,
    efficientnet_b1,
    efficientnet_b2,
    efficientnet_b3,
    efficientnet_b4,
    efficientnet_b4_att,
    efficientnet_b4_att_st,
    efficientnet_b4_st,
    efficientnet_b5,
    efficientnet_b6,
    efficientnet_b7,
)
from tfdeepfake.models.i3d import i3d
from tfdeepfake.models.light3d import light3d
from tfdeepfake.models.mesonet import meso4, meso_inception4
from tfdeepfake.models.resnet3d import (
    r2plus1d_34,
    r2plus1d_50,
    r2plus1d_101,
    r2plus1d_hara_18,
    resnet3d_18,
    resnet3d_34,
    resnet3d_50,
    resnet3d_101,
    resnet3d_152,
    resnet3d_200,
    resnext3d_50,
    resnext3d_101,
)
from tfdeepfake.models.swin import swin_b
from tfdeepfake.models.tall import tall_efficientnet_b4, tall_plus_plus, tall_resnet50, tall_swin, tall_vit
from tfdeepfake.models.two_stream import two_stream_frame, two_stream_video
from tfdeepfake.models.video_resnets import mc3_18, r2plus1d_18, r3d_18
from tfdeepfake.models.vit import clip_vit_l14, vit_b
from tfdeepfake.models.xception import xception, xception_st

NETWORKS = {
    "baseline": baseline,
    "two_stream_frame": two_stream_frame,
    "two_stream_video": two_stream_video,
    "cnn_rnn": cnn_rnn,
    "meso4": meso4,
    "meso_inception4": meso_inception4,
    "cnn3d": cnn3d,
    "i3d": i3d,
    "resnet3d_18": resnet3d_18,
    "resnet3d_34": resnet3d_34,
    "resnet3d_50": resnet3d_50,
    "resnet3d_101": resnet3d_101,
    "resnet3d_152": resnet3d_152,
    "resnet3d_200": resnet3d_200,
    "resnext3d_50": resnext3d_50,
    "resnext3d_101": resnext3d_101,
    "r2plus1d_hara_18": r2plus1d_hara_18,
    "r2plus1d_34": r2plus1d_34,
    "r2plus1d_50": r2plus1d_50,
    "r2plus1d_101": r2plus1d_101,
    "r3d_18": r3d_18,
    "mc3_18": mc3_18,
    "r2plus1d_18": r2plus1d_18,
    "light3d": light3d,
    "xception": xception,
    "xception_st": xception_st,
    "efficientnet_b0": efficientnet_b0,
    "efficientnet_b1": efficientnet_b1,
    "efficientnet_b2": efficientnet_b2,
    "efficientnet_b3": efficientnet_b3,
    "efficientnet_b4": efficientnet_b4,
    "efficientnet_b5": efficientnet_b5,
    "efficientnet_b6": efficientnet_b6,
    "efficientnet_b7": efficientnet_b7,
    "efficientnet_b4_att": efficientnet_b4_att,
    "efficientnet_b4_st": efficientnet_b4_st,
    "efficientnet_b4_att_st": efficientnet_b4_att_st,
    "attention2d": attention2d,
    "swin_b": swin_b,
    "vit_b": vit_b,
    "clip_vit_l14": clip_vit_l14,
    "tall_swin": tall_swin,
    "tall_vit": tall_vit,
    "tall_resnet50": tall_resnet50,
    "tall_efficientnet_b4": tall_efficientnet_b4,
    "tall_plus_plus": tall_plus_plus,
}

# Clip networks whose weights do not know how many frames a clip has: trained on 64, they score 250 (P3 Sec. 5). A test
# holds this against every network.
ANY_LENGTH = (
    "cnn_rnn", "cnn3d", "i3d", "light3d", "r3d_18", "mc3_18", "r2plus1d_18", "resnet3d_18", "resnet3d_34",
    "resnet3d_50", "resnet3d_101", "resnet3d_152", "resnet3d_200", "resnext3d_50", "resnext3d_101",
    "r2plus1d_hara_18", "r2plus1d_34", "r2plus1d_50", "r2plus1d_101",
)  # fmt: skip


def build_from(table: dict, name: str, **kwargs: Any) -> keras.Model:
    """Builds a network of a dict; see `models.build`."""
    if name not in table:
        near = difflib.get_close_matches(name, table, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(sorted(table))}."
        raise ValueError(f"no network is called {name!r}: {hint}")
    known = inspect.signature(table[name]).parameters
    if unknown := sorted(set(kwargs) - set(known)):
        raise ValueError(f"{name} has no argument {', '.join(unknown)}; it has {', '.join(known)}.")
    model = table[name](**{argument: _plain(value) for argument, value in kwargs.items()})
    # Keras's own lets an axis of 1 pass for one of any length: grey frames would be taken as RGB, or fail far inside.
    shapes = {tensor.name: (None, *tensor.shape[1:]) for tensor in model.inputs}
    model.input_spec = [keras.InputSpec(shape=shapes[name], name=name) for name in sorted(shapes)]
    return model


def _plain(value):
    """Numbers of numpy, such as the size of an array's labels, as those of Python."""
    if isinstance(value, tuple | list):
        return type(value)(_plain(one) for one in value)
    return value.item() if isinstance(value, np.generic) else value
