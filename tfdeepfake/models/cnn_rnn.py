"""`cnn_rnn`: features of each frame, read in order by a recurrent layer (P2 4.1, Table 5)."""

from keras import Model, layers

from tfdeepfake.layers import contract
from tfdeepfake.models import backbones

CELLS = {"lstm": layers.LSTM, "gru": layers.GRU, "simple": layers.SimpleRNN}


def cnn_rnn(
    input_size: tuple = (108, 192),
    num_frames: int = 16,
    backbone: str = "resnet50",
    weights: str | None = None,
    width: int = 16,
    cell: str = "lstm",
    frame_units: int = 128,
    units: int = 512,
    dropout: float = 0.5,
    num_classes: int = 1,
) -> Model:
    """Scores a clip from the last state of a recurrent layer over its frames.

    The text of P2's Table 5 gives no sizes and the paper says "RNN" only. Chosen here: an LSTM, the form of the work
    it builds on (its reference 3), and the widths of Table 4: (16, 2048) -> (16, 128) -> 512 -> 1.

    Args:
      input_size: (height, width) of a frame in px.
      num_frames: T, frames of a clip.
      backbone, weights, width: of the frame network, see `baseline`.
      cell: "lstm", "gru" or "simple".
      frame_units: width of the linear layer between frame network and recurrent layer.
      units: width of the recurrent state, which is the layer `embedding`.
      dropout: before the last layer.
      num_classes: 1 for the logit of FAKE, K for K classes.
    Returns:
      keras.Model {"frames": [B, T, H, W, 3]} -> float32 [B, num_classes]. The layer `features` is [B*T, h, w, C], clip
      by clip.
    """
    if cell not in CELLS:
        raise ValueError(f"cell needs one of {tuple(CELLS)}, got {cell!r}.")
    clip = contract.frames_input(input_size, num_frames)
    x = backbones.frame_map(contract.fold_time(clip), backbone, width)
    x = layers.GlobalAveragePooling2D(name="spatial_pool")(x)
    x = layers.Dense(frame_units, "relu", name="spatial_frame")(x)
    x = CELLS[cell](units, name="embedding")(contract.unfold_time(x, num_frames))
    x = layers.Dropout(dropout)(x)
    model = Model({"frames": clip}, contract.logits(x, num_classes), name="cnn_rnn")
    return backbones.load(model, backbone, weights)
