"""Saved model folder -> SavedModel for TensorFlow Serving, with the recipe beside it."""

import errno
import shutil
import tempfile
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.files import raise_if_full, raise_if_unwritable
from tfdeepfake.model_folder import RECIPE_FILE, find_model_folder, load_model
from tfdeepfake.verdict.inference import check_model

REMEDY = "Choose another version number, or remove this folder."


def export(model_folder: str | Path, out_dir: str | Path, version: int = 1) -> Path:
    """Writes out_dir/<version>/, a SavedModel whose scores are those of `model.predict`.

    Its signature `serving_default` takes `frames` uint8 [B, (T,) H, W, 3] (RGB crops as the recipe makes them) and,
    for networks with a flow stream, `flow` float32 [B, (T,) H, W, 2] (px/frame). It returns `logit` float32 [B] and
    `probability` float32 [B] = sigmoid(logit / temperature) of FAKE; a network of K classes `logits` float32 [B, K]
    and `probabilities` float32 [B, K] = softmax(logits / temperature). The batch size is free. `recipe.json` lies
    beside the version folder and inside it (assets.extra): detector, margin, sampling and the names of the classes are
    not part of the graph.

    Args:
      model_folder: as written by `model_folder.save_model`, or a run folder, whose best/ is used.
      out_dir: folder of the served model; created when absent.
      version: a positive integer; servers take the highest.
    Returns:
      Path of the version folder.
    Raises:
      InputError: the model folder cannot be used, the version exists, Keras does not run on TensorFlow, or the disk
        is full.
    """
    import keras

    if not isinstance(version, int) or version < 1:
        raise InputError("version", f"needs a positive integer, got {version!r}.")
    target = Path(out_dir) / str(version)
    if target.exists():
        raise InputError(target, "exists already; a server may be reading it.", REMEDY)
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            "KERAS_BACKEND",
            f"is {keras.backend.backend()!r}; a SavedModel needs TensorFlow.",
            "Set KERAS_BACKEND=tensorflow.",
        )
    model_folder = find_model_folder(model_folder)
    model, recipe = load_model(model_folder)
    check_model(model, recipe, one_logit=False)
    import tensorflow as tf

    # The network normalises inside its own graph and takes any dtype: uint8 is a quarter of the bytes on the wire.
    dtypes = {"frames": tf.uint8, "flow": tf.float32}
    signature = {i.name: tf.TensorSpec((None, *i.shape[1:]), dtypes[i.name], i.name) for i in model.inputs}

    def serve(**inputs):
        logits = tf.cast(model(_cast(inputs), training=False), tf.float32)
        if logits.shape[-1] > 1:
            return {"logits": logits, "probabilities": tf.nn.softmax(logits / recipe.temperature)}
        # The logit is [B, 1]; a server's answer reads better flat.
        logit = tf.reshape(logits, (-1,))
        return {"logit": logit, "probability": tf.sigmoid(logit / recipe.temperature)}

    def _cast(inputs):
        return {i.name: tf.cast(inputs[i.name], i.dtype) for i in model.inputs}

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed, so that a server never loads half a model.
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=target.parent) as temporary:
            folder = Path(temporary) / "model"
            archive = keras.export.ExportArchive()
            archive.track(model)
            archive.add_endpoint("serve", _named(serve, signature), input_signature=list(signature.values()))
            archive.write_out(folder, verbose=False)
            (folder / "assets.extra").mkdir()
            shutil.copy(model_folder / RECIPE_FILE, folder / "assets.extra" / RECIPE_FILE)
            folder.chmod(0o755)
            folder.rename(target)
        shutil.copy(model_folder / RECIPE_FILE, target.parent / RECIPE_FILE)
    except OSError as error:
        raise_if_unwritable(error, target)
    except tf.errors.ResourceExhaustedError as error:
        # TensorFlow writes the variables itself and has its own word for a full disk.
        raise_if_full(OSError(errno.ENOSPC, error.message), target)
    return target


def _named(serve, signature):
    """A function of positional tensors in the order of the signature."""

    def call(*tensors):
        return serve(**dict(zip(signature, tensors, strict=True)))

    return call
