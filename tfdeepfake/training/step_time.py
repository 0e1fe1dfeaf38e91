"""How long a training step and a forward pass take: measured on the first batches, in a folder that is thrown away."""

import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np

from tfdeepfake.data.batches import pipeline
from tfdeepfake.training import network, run_setup
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.train import training_batches

STEPS = 3


def step_time(config: TrainConfig, steps: int = STEPS) -> dict:
    """Seconds of a run's parts. The first step, which builds the graph, is one of them and no typical step.

    Args:
      config: of the run; the weights that it starts from are not loaded.
      steps: that are measured.
    Returns:
      {"begin_s": until the first step has ended, "step_s": median, "forward_s": of a batch without training}.
    Raises:
      InputError: see `train.train`.
    """
    config = dataclasses.replace(config, start_from=None, new_layers=[])
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, network.mixed_precision(config.precision):
        run = run_setup.build(config, Path(folder) / "run")
        seconds, inputs = [], None
        with run.strategy.scope(), pipeline.reading(run.prepared, "train"):
            for inputs, labels, *weights in training_batches(run, 1).take(1 + steps):
                run.trained.train_on_batch(inputs, labels, *weights)
                now = time.perf_counter()
                seconds.append(now - start)
                start = now
            run.trained.predict_on_batch(inputs)
            start = time.perf_counter()
            run.trained.predict_on_batch(inputs)
            forward_s = time.perf_counter() - start
    return {"begin_s": seconds[0], "step_s": float(np.median(seconds[1:] or seconds)), "forward_s": forward_s}
