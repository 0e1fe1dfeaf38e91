"""Published checkpoints to saved model folders: a table of where they are, and a strict map of their weights.

A file is taken whole or not at all: its checksum must be the published one, every array in it is used once, and every
shape is equal. Only arrays are read, never a model definition.
"""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.files import sha256
from tfdeepfake.model_folder import save_model
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.weights import check, keras_h5

_MESONET = "https://raw.githubusercontent.com/DariusAf/MesoNet/master/weights/"
# The authors' crop is a square of 2.86 times the larger of eye distance and eye-mouth distance, turned upright. As a
# margin around MTCNN's box it is 0.07: the mean over the four faces published with the weights (0.01 on the genuine
# two, 0.13 on the faked two, which says how loosely they kept to it). Faces are not turned here.
_MESONET_DATA = DataRecipe(
    input_type="frame",
    num_frames=16,
    detector="mtcnn",
    margin_frac=0.07,
    height_px=256,
    width_px=256,
    box_smoothing="frame",
)


@dataclass(frozen=True)
class Checkpoint:
    """A published file.

    Args:
      network: name in `tfdeepfake.models.MODELS`.
      address: where its authors offer it.
      sha256: of the file.
      licence: of the weights.
      data: how its authors cut faces, as near as a `DataRecipe` comes to it.
      data_version: what it was trained on.
    """

    network: str
    address: str
    sha256: str
    licence: str
    data: DataRecipe
    data_version: str


def _mesonet(network, file, data_version, digest):
    return Checkpoint(network, _MESONET + file, digest, "Apache-2.0", _MESONET_DATA, data_version)


_DF, _F2F = "the MesoNet authors' Deepfake set", "FaceForensics Face2Face, as the MesoNet authors cut it"
# fmt: off
CHECKPOINTS = {
    "meso4_df": _mesonet("meso4", "Meso4_DF.h5", _DF,
        "036ed30d04ffd9c7506f825b97c86aa64915f5818931da96817b169aad790af5"),
    "meso4_f2f": _mesonet("meso4", "Meso4_F2F.h5", _F2F,
        "bcfda015d217b9f8d6557693edbdf9f4e79cfd22672541968dd0e2954462b5d7"),
    "meso_inception4_df": _mesonet("meso_inception4", "MesoInception_DF.h5", _DF,
        "234586d40058e76ef8b6f27ca4b63c06e31c2a5a69c0d8ba6f30b1468ab7bafa"),
    "meso_inception4_f2f": _mesonet("meso_inception4", "MesoInception_F2F.h5", _F2F,
        "d4533ac8a3197dc35c47405d23d99e888c1d0135e267e03540c7451feaccff3f"),
}
# fmt: on


def convert(source, file, out_dir, fresh_head=False, any_file=False):
    """Writes a saved model folder with the weights of a published checkpoint.

    Args:
      source: a key of `CHECKPOINTS` (Keras files) or of `published.SOURCES` (PyTorch files).
      file: the checkpoint, fetched from its address by the user.
      out_dir: the folder to write, see `recipe.save_model`.
      fresh_head: PyTorch files only, see `published.convert_published`.
      any_file: takes a file with another checksum too, for weights someone trained further in the same layout. Its
        names and shapes must still fit; the recipe then calls its data and licence unknown.
    Returns:
      Path of the folder.
    Raises:
      InputError: unknown source; the file is missing, is not the published one, or does not fit the network.
    """
    from tfdeepfake.published.convert import SOURCES, convert_published

    if source in SOURCES:
        return convert_published(source, file, out_dir, fresh_head, any_file)
    if source not in CHECKPOINTS:
        known = [*CHECKPOINTS, *SOURCES]
        near = difflib.get_close_matches(source, known, 3)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise InputError(source, "is no known checkpoint.", f"{hint}Known are {', '.join(known)}.")
    if fresh_head:
        raise InputError(source, "is a detector already: its head is used as it is.", "Leave --fresh-head out.")
    known = CHECKPOINTS[source]
    check.check_weight_file(file)
    try:
        digest = sha256(file)
    except OSError as error:
        raise InputError(file, f"cannot be read ({error.strerror}).", f"Download {known.address} first.") from None
    published = digest == known.sha256
    if not published and not any_file:
        raise InputError(
            file,
            f"is not the published file of {source}: its sha256 is {digest}, expected {known.sha256}.",
            f"Download {known.address} again; give any_file=True if these are other weights of the same layout.",
        )
    from tfdeepfake import models

    model = models.build(known.network)
    _load_mesonet(model, file)
    recipe = Recipe(
        network=known.network,
        data=known.data,
        calibration=f"threshold 0.5 as published with {source}",
        data_version=known.data_version if published else "unknown",
        parent=f"{known.address if published else Path(file).name} sha256:{digest}",
        licence=known.licence if published else "unknown",
    )
    save_model(out_dir, model, recipe)
    return Path(out_dir)


def _load_mesonet(model, file):
    """Loads the authors' Keras 2 file and turns its polarity round.

    Their layers are named by counters of the session that made them (conv2d_5 is the first of a file that starts at
    5), so the n-th convolution, normalisation and dense layer of the file is the n-th of the network. They trained 1 =
    real; sigmoid(-z) = 1 - sigmoid(z), so negating the last layer gives the logit of FAKE.
    """
    from keras import layers

    kinds = {"conv2d": layers.Conv2D, "batch_normalization": layers.BatchNormalization, "dense": layers.Dense}
    weighted = [layer for layer in model.layers if layer.weights]
    order = {name: [layer.name for layer in weighted if isinstance(layer, kind)] for name, kind in kinds.items()}
    # model.layers is ordered by depth; the file counts branch by branch, as the names sort.
    order["conv2d"].sort()

    def rename(names):
        numbered = {}
        for name in names:
            layer, weight = name.split("/")
            if match := re.fullmatch(r"(conv2d|batch_normalization|dense)_(\d+)", layer):
                numbered.setdefault(match[1], {}).setdefault(int(match[2]), []).append((name, weight))
        return {
            name: f"{ours}/{weight}"
            for kind, by_number in numbered.items()
            for (_, entries), ours in zip(sorted(by_number.items()), order[kind], strict=False)
            for name, weight in entries
        }

    keras_h5.load(file, keras_h5.variables(weighted), rename)
    logits = model.get_layer("logits")
    for variable in (logits.kernel, logits.bias):
        variable.assign(-variable)
