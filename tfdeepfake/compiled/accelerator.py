"""Whether this machine has a GPU or TPU that Keras can use, told without loading anything heavy."""

import os
import sys
from pathlib import Path


def has_accelerator() -> bool:
    """Whether there is a GPU or TPU and an installed backend for it, told without loading either."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    tensorflow = os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"
    if sys.platform == "darwin":
        return tensorflow and _installed("tensorflow-metal")
    if not any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/kfd", "/dev/accel0")):
        return False
    # tensorflow-cpu has another name.
    return not tensorflow or _installed("tensorflow") or _installed("tensorflow-rocm")


def _installed(name):
    from importlib import metadata  # here: it takes longer than all else that is loaded for this

    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False
