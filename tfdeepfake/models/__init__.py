"""The networks by name. Each is a function that returns a flat functional keras.Model.

Inputs are named `frames` (RGB 0..255, uint8 or float, normalised inside) and `flow` (px/frame). Every network has
layers named `features` (last map before pooling), `embedding` and `logits`; its output is the raw logit of FAKE,
[B, 1], or [B, K] when num_classes=K.
"""

# With the networks, so that Keras knows the losses too where a compiled network is read.
from tfdeepfake import losses as losses
from tfdeepfake.model_inputs import input_type, wants_flow
from tfdeepfake.models.by_name import MODELS, build, check_any_length, reads

__all__ = ["MODELS", "build", "check_any_length", "input_type", "reads", "wants_flow"]
