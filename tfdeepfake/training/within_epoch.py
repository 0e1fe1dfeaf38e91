"""State inside an epoch: a run that is killed in a long one goes on there, with its metrics and place in the data."""

import time
from collections.abc import Callable

from tfdeepfake.training import checkpoint, run_folder
from tfdeepfake.training.run_setup import Run

# Writing a large state must not take more than a twentieth of the time.
_LEAST_PART = 20


def keeper(run: Run) -> Callable[[], None]:
    """A function to call after every step; it writes the state when `checkpoint_minutes` have passed.

    The last step of an epoch is left to the epoch's end. A run that is resumed from such a state ends with the weights
    and the metrics of one that was not stopped.
    """
    wait_s, saved_s = 60 * run.config.checkpoint_minutes, time.monotonic()

    def keep():
        nonlocal wait_s, saved_s
        begun_s = time.monotonic()
        if not run.first or not run.config.checkpoint_minutes or run.batches >= run.steps or begun_s - saved_s < wait_s:
            return
        progress = {"rows": run.rows, "best_epoch": run.best_epoch, "batches": run.batches, "seconds": run.seconds}
        if run.config.backend == "jax":
            run.trained.jax_state_sync()  # `fit` holds the values outside of the variables there
        metrics = run.trained.metrics_variables
        checkpoint.save_state(run_folder.state_path(run.run_dir), run.model, progress, metrics)
        saved_s = time.monotonic()
        wait_s = max(wait_s, _LEAST_PART * (saved_s - begun_s))

    return keep
