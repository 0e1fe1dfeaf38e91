"""Weights from the HDF5 files of Keras 1 and 2: arrays only, every name and shape accounted for.

Such files are read with h5py and nothing in them is run: a model definition inside them is ignored.
"""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.weights import check

if TYPE_CHECKING:
    import h5py


def variables(layers: Iterable) -> dict:
    """Variables of layers by name: {"conv1_conv/kernel": Variable, ...}."""
    return {f"{layer.name}/{v.path.rsplit('/', 1)[-1]}": v for layer in layers for v in layer.weights}


def load(
    path: str | Path, wanted: dict, rename: Callable = lambda names: {name: name for name in names}, ignore: tuple = ()
) -> None:
    """Assigns every array of a file to a variable, or nothing at all.

    Args:
      path: a file of `save_weights` (or `save`) of Keras 1 or 2, or of `save` to .h5 of Keras 3.
      wanted: dict name -> Variable, see `variables`.
      rename: function (names in the file, "layer/weight") -> dict of those names to names in `wanted`.
      ignore: layers of the file that the network lacks on purpose.
    Raises:
      InputError: not such a file, a variable without array, an array without variable, another shape, not finite.
    """
    import h5py

    check.check_weight_file(path)
    remedy = "Give the file exactly as its authors publish it."
    try:
        with h5py.File(path, "r") as file:
            datasets = _datasets(_inside(file, "model_weights"))
            datasets = {name: data for name, data in datasets.items() if name.split("/")[0] not in ignore}
            names = rename(list(datasets))
            datasets = {names.get(name, name): data for name, data in datasets.items()}
            problems = _differences(datasets, wanted)
            if problems:
                raise InputError(path, f"does not fit the network: {'; '.join(problems)}.", remedy)
            arrays = {name: np.asarray(datasets[name], np.float32) for name in wanted}
    except FileNotFoundError:
        raise InputError(path, "this file is missing.", remedy) from None
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError) as error:  # h5py has many errors for damaged files
        raise InputError(path, f"is not a readable HDF5 file ({error}).", remedy) from None
    if broken := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise InputError(path, f"holds NaN or infinite weights in {', '.join(broken)}.", remedy)
    for name, array in arrays.items():
        wanted[name].assign(array)


def _inside(file, name):
    """The group of that name where the file itself has it, else the file: a link might lead to another file."""
    import h5py

    link = file.get(name, getlink=True)
    return file[name] if isinstance(link, h5py.HardLink) else file


def own_datasets(group: "h5py.Group") -> "dict[str, h5py.Dataset]":
    """{path: dataset} of all arrays of numbers that lie in the file itself.

    Links to other files are not followed; a cycle of groups is walked once.

    Raises:
      ValueError: an array lies in other files (a virtual or an external one), is of no numbers, or is packed so that
        reading it would take far more memory than the array.
    """
    import h5py

    arrays = {}

    def visit(path, item):
        if not isinstance(item, h5py.Dataset):
            return
        if item.is_virtual or item.external:
            raise ValueError(f"{path} lies in other files")
        if item.dtype.kind not in "fiu":
            raise ValueError(f"{path} holds {item.dtype}, no numbers")
        most = max(1 << 20, 4 * math.prod(item.shape or (1,)) * item.dtype.itemsize)
        if item.shape is None or (item.chunks and math.prod(item.chunks) * item.dtype.itemsize > most):
            raise ValueError(f"{path} is packed in an odd way")
        arrays[path] = item

    group.visititems(visit)
    return arrays


def _datasets(group):
    """{"layer/weight": dataset} of a file."""
    by_name = {}
    for path, item in own_datasets(group).items():
        layer, weight = path.split("/")[0], path.split("/")[-1]
        by_name[f"{layer}/{weight.removesuffix(':0')}"] = item
    return by_name


def _differences(datasets, wanted):
    """Differences between the arrays and the network's weights, in words."""
    problems = []
    if missing := sorted(set(wanted) - set(datasets)):
        problems.append(f"missing {', '.join(missing)}")
    if extra := sorted(set(datasets) - set(wanted)):
        problems.append(f"left over {', '.join(extra)}")
    problems += [
        f"{name} has shape {datasets[name].shape}, the network {tuple(wanted[name].shape)}"
        for name in sorted(set(wanted) & set(datasets))
        if datasets[name].shape != tuple(wanted[name].shape)
    ]
    return problems
