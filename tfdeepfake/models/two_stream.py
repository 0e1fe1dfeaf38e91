"""`two_stream_frame` and `two_stream_video`: a frame stream and a flow stream, concatenated (P2 Tables 3, 4)."""

from typing import TYPE_CHECKING

from keras import Model, layers

from tfdeepfake.layers import contract
from tfdeepfake.layers.exact import ExactBatchNormalization
from tfdeepfake.models import backbones

if TYPE_CHECKING:
    import keras


def two_stream_frame(
    input_size: tuple = (108, 192),
    backbone: str = "resnet50",
    weights: str | None = None,
    width: int = 16,
    flow_widths: tuple = (32, 64),
    batch_norm: bool = False,
    frame_units: int = 128,
    units: int = 512,
    dropout: float = 0.5,
    num_classes: int = 1,
) -> Model:
    """Scores one frame together with the flow map that leads to it.

    The text of P2's Table 3 gives no sizes; both streams have those of Table 4 without its stacking over time, as
    the paper kept "the type and dimensions of the added hidden layers" alike.

    Args:
      input_size: (height, width) in px, of frames and flow.
      backbone, weights, width: of the frame stream, see `baseline`.
      flow_widths: channels of the flow stream's convolutions, each followed by a 2 x 2 max-pool.
      batch_norm: batch normalisation behind the flow stream's convolutions; not in the paper, trains faster.
      frame_units, units: widths of the two linear layers of each stream.
      dropout: before the last layer; the paper names dropout without a rate.
      num_classes: 1 for the logit of FAKE, K for K classes.
    Returns:
      keras.Model {"frames": [B, H, W, 3], "flow": [B, H, W, 2]} -> float32 [B, num_classes].
    """
    frames, flow = contract.frames_input(input_size), contract.flow_input(input_size)
    x = layers.GlobalAveragePooling2D(name="spatial_pool")(backbones.frame_map(frames, backbone, width))
    x = layers.Dense(frame_units, "relu", name="spatial_frame")(x)
    x = layers.Dense(units, "relu", name="spatial")(x)
    y = flow_features(flow, flow_widths, batch_norm)
    y = layers.Dense(frame_units, "relu", name="flow_frame")(y)
    y = layers.Dense(units, "relu", name="temporal")(y)
    outputs = _fuse(x, y, dropout, num_classes)
    model = Model({"frames": frames, "flow": flow}, outputs, name="two_stream_frame")
    return backbones.load(model, backbone, weights)


def two_stream_video(
    input_size: tuple = (108, 192),
    num_frames: int = 16,
    backbone: str = "resnet50",
    weights: str | None = None,
    width: int = 16,
    flow_widths: tuple = (32, 64),
    batch_norm: bool = False,
    frame_units: int = 128,
    units: int = 512,
    dropout: float = 0.5,
    num_classes: int = 1,
) -> Model:
    """Scores a clip: features of all its frames side by side, and those of its flow maps (P2 Table 4).

    Sizes at the defaults: frames (16, 2048) -> (16, 128) -> 2048 -> 512; flow (16, 25, 46, 64) -> (16, 73600) ->
    (16, 128) -> 2048 -> 512; together 1024 -> 1.

    Args:
      num_frames: T, frames of a clip.
      input_size, backbone, weights, width, flow_widths, frame_units, units, dropout, batch_norm, num_classes: as of
        `two_stream_frame`.
    Returns:
      keras.Model {"frames": [B, T, H, W, 3], "flow": [B, T, H, W, 2]} -> float32 [B, num_classes]. The layer
      `features` is [B*T, h, w, C], clip by clip.
    """
    clip, flow = contract.frames_input(input_size, num_frames), contract.flow_input(input_size, num_frames)
    x = backbones.frame_map(contract.fold_time(clip), backbone, width)
    x = layers.GlobalAveragePooling2D(name="spatial_pool")(x)
    x = layers.Dense(frame_units, "relu", name="spatial_frame")(x)
    x = layers.Dense(units, "relu", name="spatial")(contract.stack_time(x, num_frames))
    y = flow_features(contract.fold_time(flow), flow_widths, batch_norm)
    y = layers.Dense(frame_units, "relu", name="flow_frame")(y)
    y = layers.Dense(units, "relu", name="temporal")(contract.stack_time(y, num_frames))
    outputs = _fuse(x, y, dropout, num_classes)
    model = Model({"frames": clip, "flow": flow}, outputs, name="two_stream_video")
    return backbones.load(model, backbone, weights)


def flow_features(x: "keras.KerasTensor", widths: tuple, batch_norm: bool = False) -> "keras.KerasTensor":
    """The flow stream's convolutions: 3 x 3 without padding, then a 2 x 2 max-pool, for each width (P2 Table 4).

    Args:
      x: float32 [B, H, W, 2] px/frame, divided by `contract.FLOW_UNIT_PX` here.
    Returns:
      [B, features]: (108, 192, 2) -> (25, 46, 64) -> 73600 at widths (32, 64).
    Raises:
      ValueError: nothing is left of a map that small.
    """
    _, height, width, _ = x.shape
    x = layers.Rescaling(1 / contract.FLOW_UNIT_PX, dtype="float32", name="flow_normalize")(x)
    for number, filters in enumerate(widths, start=1):
        if min(x.shape[1:3]) < 4:
            raise ValueError(f"input_size ({height}, {width}) is too small for flow_widths of {len(widths)} stages.")
        x = layers.Conv2D(filters, 3, use_bias=not batch_norm, name=f"flow_conv{number}")(x)
        if batch_norm:
            x = ExactBatchNormalization(momentum=0.9, name=f"flow_bn{number}")(x)
        x = layers.ReLU(name=f"flow_relu{number}")(x)
        x = layers.MaxPooling2D(2, name=f"flow_pool{number}")(x)
    return layers.Flatten(name="flow_flatten")(x)


def _fuse(x, y, dropout, num_classes):
    x = layers.Concatenate(name="embedding")([x, y])
    return contract.logits(layers.Dropout(dropout)(x), num_classes)
