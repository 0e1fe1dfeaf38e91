"""Which devices a run uses."""

import json
import os
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from tfdeepfake.errors import InputError

if TYPE_CHECKING:
    from tfdeepfake.training.jax_devices import JaxDevices

SUPPORTED = (
    "TensorFlow trains on one device or on several GPUs of one machine; --backend jax on TPUs and several hosts."
)


def strategy(devices: int, backend: str = "tensorflow") -> "tf.distribute.Strategy | JaxDevices":
    """tf.distribute strategy for a run, or what stands in its place on the JAX backend.

    Args:
      backend: that the run is on; Keras must be on it already.
      devices: 1: one device (the first GPU, else the CPU). 0: every GPU (the CPU when there is none). N > 1:
        the first N GPUs, or N logical CPU devices (for tests).
    Returns:
      The default strategy for one device, else MirroredStrategy.
    Raises:
      InputError: fewer devices than asked for, Keras on another backend; with TensorFlow a TPU or several hosts.
    """
    if keras.backend.backend() != backend:
        problem = f"is {backend}, but Keras runs on {keras.backend.backend()}."
        remedy = f"Set KERAS_BACKEND={backend} before Python starts, or use tfdeepfake train --backend {backend}."
        raise InputError("backend", problem, remedy)
    if backend == "jax":
        from tfdeepfake.training.jax_devices import jax_devices

        return jax_devices(devices)
    try:
        workers = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {}).get("worker", [])
    except (ValueError, AttributeError):
        raise InputError("TF_CONFIG", "is not a JSON object.", "Unset it: " + SUPPORTED) from None
    if len(workers) > 1:
        # Keras 3 does not train right under MultiWorkerMirroredStrategy (keras#20585).
        raise InputError("TF_CONFIG", f"names {len(workers)} hosts.", SUPPORTED)
    if (processes := os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", "")) not in ("", "1"):
        # Each would train by itself and write the same run folder.
        raise InputError("KERAS_DISTRIBUTION_NUM_PROCESSES", f"is {processes}, of the JAX backend.", SUPPORTED)
    gpus = [d.name for d in tf.config.list_logical_devices("GPU")]
    cpus = [d.name for d in tf.config.list_logical_devices("CPU")]
    if not gpus and (tf.config.list_logical_devices("TPU") or os.environ.get("TPU_NAME")):
        raise InputError("TPU", "this machine has a TPU, which training cannot use.", SUPPORTED)
    count = devices or max(1, len(gpus))
    if count == 1:
        return tf.distribute.get_strategy()
    if count <= len(gpus):
        return tf.distribute.MirroredStrategy(gpus[:count])
    if not gpus and count <= len(cpus):
        # The ring of collectives does not survive a second strategy in one process on CPU.
        return tf.distribute.MirroredStrategy(cpus[:count], cross_device_ops=tf.distribute.ReductionToOneDevice())
    raise InputError(
        "devices", f"asks for {count}, but there are {len(gpus)} GPUs and {len(cpus)} CPU devices.", SUPPORTED
    )


def process_number(backend: str) -> int:
    """Which of the processes that train together this is, by the variables that `jax_devices` reads; 0 is the first."""
    number = os.environ.get("KERAS_DISTRIBUTION_PROCESS_ID", "") if backend == "jax" else ""
    return int(number) if number.isdigit() else 0


def is_first(strategy: object) -> bool:
    """Whether this is the only process of the run, or the first one, which writes."""
    return getattr(strategy, "process", 0) == 0


def wait_for_all(strategy: object) -> None:
    """Returns when every process of the run has come here; at once where there is one."""
    if getattr(strategy, "processes", 1) > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("tfdeepfake")


def one_gpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether the strategy is a single GPU of TensorFlow's."""
    return strategy.num_replicas_in_sync == 1 and bool(tf.config.list_logical_devices("GPU"))
