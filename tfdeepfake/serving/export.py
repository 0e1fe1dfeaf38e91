"""Saved model folder -> SavedModel for TensorFlow Serving, with the recipe and all that a server and a client need."""

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.files import raise_if_full, raise_if_unwritable
from tfdeepfake.model_folder import RECIPE_FILE, find_model_folder
from tfdeepfake.serving.beside import write_beside
from tfdeepfake.serving.folded import folded
from tfdeepfake.serving.servable import SAVED_MODEL_FILE
from tfdeepfake.serving.settings import check_served_name
from tfdeepfake.serving.signatures import ATTENTION, EMBEDDING, signatures
from tfdeepfake.serving.voting import load_exported
from tfdeepfake.serving.warmup import write_warmup
from tfdeepfake.verdict.inference import check_model

REMEDY = "Choose another version number, or remove this folder."


def export(
    model_folder: str | Path,
    out_dir: str | Path,
    version: int = 1,
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Writes out_dir/<version>/, a SavedModel whose scores are those of `model.predict`, faster (see `folded`).

    Its signatures are those of `signatures.signatures`, `serving_default` among them; the batch size is free.
    `recipe.json` lies beside the version folder and inside it (assets.extra): detector, margin, sampling and the names
    of the classes are not part of the graph. assets.extra also holds warm-up requests; beside the version folders lie
    TF Serving's files for batching and for its list of models, a README and a client. Networks that vote are one graph,
    whose `votes` are summed up over a video by the recipe's rules, as the client and `tfdeepfake serve` do.

    Args:
      model_folder: as written by `model_folder.save_model`, or a run folder, whose best/ is used.
      out_dir: folder of the served model; created when absent. Its name is the name the model is served under.
      version: a positive integer; servers take the highest.
      log: called with lines for the user.
    Returns:
      Path of the version folder.
    Raises:
      InputError: the model folder cannot be used, the folder's name cannot be a model's, the version exists, Keras
        does not run on TensorFlow, or the disk is full.
    """
    import keras

    if not isinstance(version, int) or version < 1:
        raise InputError("version", f"needs a positive integer, got {version!r}.")
    target = Path(out_dir) / str(version)
    folder = target.parent.resolve()
    check_served_name(folder, folder.name, "The model is served under the folder's name: choose another.")
    if target.exists():
        raise InputError(target, "exists already; a server may be reading it.", REMEDY)
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            "KERAS_BACKEND",
            f"is {keras.backend.backend()!r}; a SavedModel needs TensorFlow.",
            "Set KERAS_BACKEND=tensorflow.",
        )
    model_folder = find_model_folder(model_folder)
    model, recipe = load_exported(model_folder)
    check_model(model, recipe, one_logit=False)
    import tensorflow as tf

    named = signatures(model, recipe)
    size_mb = 4e-6 * model.count_params()
    log(f"{recipe.network}: tracing {', '.join(named)}, then writing {size_mb:.0f} MB ...")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed, so that a server never loads half a model.
        with (
            tempfile.TemporaryDirectory(prefix=".tmp-", dir=target.parent) as temporary,
            contextlib.ExitStack() as fold,
        ):
            folder = Path(temporary) / "model"
            for network in getattr(model, "models", [model]):
                fold.enter_context(folded(network, kept=(EMBEDDING, ATTENTION)))
            # The archive finds the variables that the signatures use.
            archive = keras.export.ExportArchive()
            for name, (function, inputs) in named.items():
                archive.add_endpoint(name, _of_positions(function, inputs), input_signature=list(inputs.values()))
            # A server scores: gradients of the activations would only be traced for each of them, in a time that grows
            # with the square of their number.
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            archive.write_out(folder, options=options, verbose=False)
            (folder / "assets.extra").mkdir()
            shutil.copy(model_folder / RECIPE_FILE, folder / "assets.extra" / RECIPE_FILE)
            specs = {name: inputs for name, (_, inputs) in named.items()}
            write_warmup(folder / "assets.extra", target.parent.resolve().name, specs, recipe)
            write_beside(target.parent, specs, _outputs(folder, specs), recipe)
            folder.chmod(0o755)
            folder.rename(target)
        shutil.copy(model_folder / RECIPE_FILE, target.parent / RECIPE_FILE)
    except OSError as error:
        raise_if_unwritable(error, target)
    except tf.errors.ResourceExhaustedError as error:
        # TensorFlow writes the variables itself and has its own word for a full disk.
        raise_if_full(OSError(errno.ENOSPC, error.message), target)
    return target


def _of_positions(function, inputs):
    """The function, of positional tensors in the order of `inputs`."""

    def call(*tensors):
        return function(**dict(zip(inputs, tensors, strict=True)))

    return call


def _outputs(folder, names):
    """{signature: {output: tf.TensorSpec}} of signatures of a SavedModel."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    described = saved_model_pb2.SavedModel.FromString((folder / SAVED_MODEL_FILE).read_bytes())
    known = described.meta_graphs[0].signature_def
    return {
        name: {
            key: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype))
            for key, info in sorted(known[name].outputs.items())
        }
        for name in names
    }
