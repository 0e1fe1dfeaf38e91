"""Trains on JAX, on logical CPU devices: python jax_train_process.py DEVICES JSON...

Each JSON is {"run_dir": ..., "config": fields of TrainConfig}, one run after the other; "stop_at": [epoch, step] ends
the run there by an exception, and trains again. With the variables of several processes it is one of them.
"""

import json
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
# Nearly the whole time is spent compiling, see `jax_process.py`.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={sys.argv[1]} --xla_cpu_use_fusion_emitters=false"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
# What connects the processes writes to file descriptor 1 from several threads, into one another's lines. It goes to the
# errors, and what Python says goes where descriptor 1 went.
sys.stdout = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
sys.path[:0] = [str(Path(__file__).parents[n]) for n in (1, 2)]

from support import tiny_networks  # noqa: E402

from tfdeepfake.training import train as loop  # noqa: E402
from tfdeepfake.training import within_epoch  # noqa: E402
from tfdeepfake.training.config import TrainConfig  # noqa: E402


class Stopped(Exception):
    pass


def stopping(epoch, step):
    """A `within_epoch.keeper` that stops the run after this step of this epoch."""
    real = within_epoch.keeper

    def keeper(run):
        keep = real(run)

        def kept():
            keep()
            if (run.epoch, run.batches) == (epoch, step):
                raise Stopped

        return kept

    return keeper


def main(*tasks):
    tiny_networks.register()
    for task in map(json.loads, tasks):
        config = TrainConfig(**task["config"])
        if stop := task.get("stop_at"):
            real, within_epoch.keeper = within_epoch.keeper, stopping(*stop)
            try:
                loop.train(config, task["run_dir"])
                raise AssertionError("it was not stopped")
            except Stopped:
                within_epoch.keeper = real
        loop.train(config, task["run_dir"])


if __name__ == "__main__":
    main(*sys.argv[2:])
