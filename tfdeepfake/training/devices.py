"""Which devices a run uses."""

import json
import os

import keras
import tensorflow as tf

from tfdeepfake.errors import InputError

SUPPORTED = "Training runs on one device or on several GPUs of one machine, for now."


def strategy(devices: int) -> tf.distribute.Strategy:
    """tf.distribute strategy for a run.

    Args:
      devices: 1: one device (the first GPU, else the CPU). 0: every GPU (the CPU when there is none). N > 1:
        the first N GPUs, or N logical CPU devices (for tests).
    Returns:
      The default strategy for one device, else MirroredStrategy.
    Raises:
      InputError: fewer devices than asked for, TPU, several hosts, or another backend than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise InputError("KERAS_BACKEND", f"is {keras.backend.backend()}; training needs tensorflow.", SUPPORTED)
    try:
        workers = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {}).get("worker", [])
    except (ValueError, AttributeError):
        raise InputError("TF_CONFIG", "is not a JSON object.", "Unset it: " + SUPPORTED) from None
    if len(workers) > 1:
        # Keras 3 does not train right under MultiWorkerMirroredStrategy (keras#20585).
        raise InputError("TF_CONFIG", f"names {len(workers)} hosts.", SUPPORTED)
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


def one_gpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether the strategy is a single GPU."""
    return strategy.num_replicas_in_sync == 1 and bool(tf.config.list_logical_devices("GPU"))
