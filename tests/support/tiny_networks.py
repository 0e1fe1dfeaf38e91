"""Networks small enough to train in a test; `register` adds them to MODELS for the time of a test process."""

import keras
from keras import layers, ops

from tfdeepfake import model_inputs, models


def _heads(x, dropout, num_classes=1):
    x = layers.Dropout(dropout)(x)
    x = layers.Dense(8, activation="relu", name="embedding")(x)
    return layers.Dense(num_classes, name="logits", dtype="float32")(x)


def tiny_frame(input_size=(32, 40), width=4, batch_norm=True, dropout=0.2, num_classes=1):
    """Frame network: [B, H, W, 3] -> [B, 1] or [B, K]."""
    frames = keras.Input((*input_size, 3), name="frames")
    x = ops.cast(frames, "float32") / 64.0 - 2.0
    x = layers.Conv2D(width, 3, strides=4, name="features")(x)
    x = layers.BatchNormalization(name="norm")(x) if batch_norm else x
    x = layers.GlobalAveragePooling2D()(ops.relu(x))
    return keras.Model({"frames": frames}, _heads(x, dropout, num_classes), name="tiny_frame")


def tiny_clip(input_size=(32, 40), num_frames=4, width=4, batch_norm=True, dropout=0.2):
    """Clip network with flow, batch statistics and dropout: [B, T, H, W, 3], [B, T, H, W, 2] -> [B, 1]."""
    images = keras.Input((num_frames, *input_size, 3), name="frames")
    flow = keras.Input((num_frames, *input_size, 2), name="flow")
    x = ops.concatenate([ops.cast(images, "float32") / 64.0 - 2.0, flow], axis=-1)
    x = layers.Conv3D(width, (1, 4, 4), strides=(1, 4, 4), name="features")(x)
    x = layers.BatchNormalization(name="norm")(x) if batch_norm else x
    x = layers.GlobalAveragePooling3D()(ops.relu(x))
    return keras.Model({"frames": images, "flow": flow}, _heads(x, dropout), name="tiny_clip")


def register():
    models.MODELS.update(tiny_frame=tiny_frame, tiny_clip=tiny_clip)
    model_inputs.READS["tiny_clip"] = ("clip", True)
