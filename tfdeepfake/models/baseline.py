"""`baseline`: one frame network, one linear layer (P2 Table 2)."""

from keras import Model, layers

from tfdeepfake.layers import contract
from tfdeepfake.models import backbones


def baseline(
    input_size: tuple = (108, 192),
    backbone: str = "resnet50",
    weights: str | None = None,
    width: int = 16,
    dropout: float = 0.5,
    num_classes: int = 1,
) -> Model:
    """Scores single frames; a video's score is the mean over its frames (P2 4.1).

    Args:
      input_size: (height, width) of a frame in px.
      backbone: "resnet50" or "small"; `width` is the latter's.
      weights: None, "imagenet" or a path, see `backbones.load`.
      dropout: before the last layer; the paper names dropout without a rate.
      num_classes: 1 for the logit of FAKE, K for K classes.
    Returns:
      keras.Model {"frames": [B, H, W, 3]} -> float32 [B, num_classes].
    """
    frames = contract.frames_input(input_size)
    x = backbones.frame_map(frames, backbone, width)
    x = layers.GlobalAveragePooling2D(name="embedding")(x)
    x = layers.Dropout(dropout)(x)
    model = Model({"frames": frames}, contract.logits(x, num_classes), name="baseline")
    return backbones.load(model, backbone, weights)
