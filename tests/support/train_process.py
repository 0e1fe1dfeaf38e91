"""Training processes for tests to kill, forked from one that has imported TensorFlow: `start(config, run_dir)`."""

import multiprocessing
import os
import sys
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from support import tiny_networks

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.ensemble import ensemble
from tfdeepfake.training.train import train

# Importing takes longer than what is killed. Nothing of TensorFlow but its modules is there before the fork.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def start(config, run_dir, cpus=1):
    """Trains in a process of its own.

    Args:
      config: TrainConfig; its network may be a tiny one.
      run_dir: folder of the run.
      cpus: logical CPU devices.
    Returns:
      (process, text stream of the lines it prints).
    """
    return _forked(_train, config.to_dict(), str(run_dir), cpus)


def start_ensemble(folders, out):
    """As `start`, of runs that are made an ensemble."""
    return _forked(_ensemble, [str(folder) for folder in folders], str(out))


def _forked(function, *args):
    reader, writer = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=function, args=(*args, writer))
    # The server that forks is started by the first of them. Python 3.11 does not tell it where modules lie.
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        process.start()
    writer.close()
    with reader:
        return process, open(os.dup(reader.fileno()))


def _ensemble(folders, out, writer):
    os.dup2(writer.fileno(), 1)
    tiny_networks.register()
    ensemble(folders, out, log=lambda line: print(line, flush=True))


def _train(config, run_dir, cpus, writer):
    os.dup2(writer.fileno(), 1)
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * cpus)
    tiny_networks.register()
    train(TrainConfig.from_dict(config), run_dir)
