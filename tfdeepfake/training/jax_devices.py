"""Devices of a run on Keras's JAX backend: one, several of a host, and those of several hosts; TPUs are among them.

The whole training step is one program over all devices: a batch lies in equal parts on them, weights are on each. So
the loss, F1's sums, batch statistics and gradients are those of the whole batch, and a run on several devices has the
curve of one.

Several hosts start the same command with Keras's variables KERAS_DISTRIBUTION_JOB_ADDRESSES (`host:port` of the first),
KERAS_DISTRIBUTION_NUM_PROCESSES and KERAS_DISTRIBUTION_PROCESS_ID. All read the prepared data and the run folder at the
same paths; the first one writes.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfdeepfake.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

NUMBER, ADDRESS = "KERAS_DISTRIBUTION_NUM_PROCESSES", "KERAS_DISTRIBUTION_JOB_ADDRESSES"


@dataclass(frozen=True)
class JaxDevices:
    """What stands in the place of a tf.distribute strategy.

    Args:
      distribution: keras.distribution.DataParallel; None for one device.
      num_replicas_in_sync: devices of all processes together.
      processes, process: how many processes train together, and the number of this one.
    """

    distribution: object | None
    num_replicas_in_sync: int = 1
    processes: int = 1
    process: int = 0

    def scope(self) -> contextlib.AbstractContextManager:
        """Networks and optimizers made inside lie on all devices."""
        return self.distribution.scope() if self.distribution else contextlib.nullcontext()


def jax_devices(devices: int) -> JaxDevices:
    """The devices of a run; joins the other processes first where there are some.

    Args:
      devices: of each process: 1, N, or 0 for all.
    Raises:
      InputError: a process has fewer, or the variables of several processes are incomplete.
    """
    _join()
    import jax
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # it reads the data, and would take the memory
    count = devices or jax.local_device_count()
    if count > jax.local_device_count():
        platform = jax.default_backend().upper()
        raise InputError("devices", f"asks for {count}, but JAX has {jax.local_device_count()} ({platform}).")
    if count == jax.process_count() == 1:
        return JaxDevices(None)
    chosen = [d for process in range(jax.process_count()) for d in _of_process(process)[:count]]
    names = [f"{d.platform}:{d.id}" for d in chosen]
    # Each process reads its own part of each batch: Keras must not divide it again.
    distribution = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
    return JaxDevices(distribution, len(chosen), jax.process_count(), jax.process_index())


def _of_process(number):
    import jax

    return [device for device in jax.devices() if device.process_index == number]


def _join():
    """Connects the processes that the variables name, once."""
    import jax

    try:
        several = int(os.environ.get(NUMBER, "1")) > 1
    except ValueError:
        raise InputError(NUMBER, f"needs a number of processes, got {os.environ[NUMBER]!r}.") from None
    if not several or jax.distributed.is_initialized():
        return
    for name in (ADDRESS, "KERAS_DISTRIBUTION_PROCESS_ID"):
        if not os.environ.get(name):
            raise InputError(name, f"is not set, but {NUMBER} is {os.environ[NUMBER]}.", "docs/scale.md has examples.")
    keras.distribution.initialize()


def predictor(model: keras.Model, devices: JaxDevices) -> Callable[["tf.data.Dataset"], np.ndarray]:
    """A function of a data set of equal batches that returns outputs [N, K] of all processes, in every process.

    Args:
      model: its weights are those of the moment at which the function is called.
      devices: JaxDevices; each process is given its part of every batch.
    """
    import jax

    layout, every = None, None
    if devices.distribution:
        mesh = devices.distribution.device_mesh.backend_mesh
        every = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        layout = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(mesh.axis_names[0]))

    def outputs(weights, fixed, inputs):
        return model.stateless_call(weights, fixed, inputs, training=False)[0]

    step = jax.jit(outputs, out_shardings=every)

    def predict(dataset):
        weights = [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]
        batches = []
        for inputs in dataset.as_numpy_iterator():
            if layout is not None:
                inputs = {n: jax.make_array_from_process_local_data(layout, x) for n, x in inputs.items()}
            batches.append(np.asarray(step(*weights, inputs)))
        return np.concatenate(batches)

    return predict
