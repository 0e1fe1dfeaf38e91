"""What a protocol that trains has still to do, and about how long that takes on this machine."""

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from tfdeepfake import models
from tfdeepfake.data.batches import pipeline
from tfdeepfake.data.batches.selection import select
from tfdeepfake.protocols import runs
from tfdeepfake.protocols.plan import duration
from tfdeepfake.protocols.training_plan import Plan
from tfdeepfake.training.apart import measure_apart
from tfdeepfake.training.config import TrainConfig

# Settings that change how many steps there are, and not how long one takes.
_FREE = (
    "methods", "sources", "max_videos_per_method", "epochs", "seed", "learning_rate", "schedule", "warmup_epochs",
    "start_from", "new_layers", "checkpoint_minutes", "early_stopping_epochs",
)  # fmt: skip


def plan_lines(plan: Plan, log: Callable[[str], None] = lambda line: None) -> list[str]:
    """A line for each run, and what it all takes; nothing is written.

    A step takes as long as it did in the epochs of a run of the same network and settings that are there; where there
    is none, the first steps are measured, in a process of its own. Early stopping may end runs sooner.

    Args:
      plan: of `trained.plan_of`.
      log: called before something is measured.
    """
    known, lines, total, unknown = {}, [], 0.0, 0
    configs = runs.all_runs(plan.rows)
    for name, config in configs.items():
        folder = runs.folder_of(plan.run_dir, name)
        steps = _steps(config, plan.data)
        seconds = _epoch_seconds(folder)
        if steps and seconds is not None:
            known.setdefault(_kind(config), ("as in epochs that are there", seconds / steps, 0.0, 0.0))
    for name, config in configs.items():
        folder = runs.folder_of(plan.run_dir, name)
        if runs.is_finished(folder, config):
            lines.append(f"done   {name}")
            continue
        if _kind(config) not in known:
            log(f"measuring {name}")
            measured = measure_apart(config)
            known[_kind(config)] = (
                measured
                if isinstance(measured, str)
                else ("measured on the first steps", measured["step_s"], measured["begin_s"], measured["forward_s"])
            )
        begun, facts = runs.epochs_done(folder), known[_kind(config)]
        after = f", {begun} done" if begun else ""
        if isinstance(facts, str):
            unknown += 1
            lines.append(f"train  {name}: {config.epochs} epochs{after}; cannot be trained: {facts}")
            continue
        how, step_s, begin_s, forward_s = facts
        steps, batches = _steps(config, plan.data), _steps(config, plan.data, "validation", rest=1)
        scored = _steps(dataclasses.replace(config, methods=[], sources=[]), plan.data, plan.split, rest=1)
        left = config.epochs - (begun or 0)
        seconds = begin_s + left * (steps * step_s + batches * forward_s) + scored * (forward_s or step_s / 3)
        total += seconds
        lines.append(
            f"train  {name}: {config.epochs} epochs of {steps} steps{after}, then scored; about {duration(seconds)} "
            f"({step_s:.2f} s a step, {how})"
        )
    count = sum(not line.startswith("done") for line in lines)
    summary = f"{count} of {len(lines)} runs are to be trained"
    summary += f", in about {duration(total)}" if count > unknown else ""
    return [*lines, summary + (f"; of {unknown} it is not known how long." if unknown else ".")]


def _kind(config: TrainConfig) -> str:
    return json.dumps({key: value for key, value in config.to_dict().items() if key not in _FREE}, sort_keys=True)


def _steps(config, data, split="train", rest=0):
    """Batches of a split that a run reads in an epoch; `rest` 1 counts what is left over as one more."""
    if split not in data.builder.info.splits:
        return 0
    reads, _ = models.reads(config.network, config.network_args)
    if split in ("train", "validation"):
        most = config.most_per_method()
        if config.methods or config.sources or most:
            data = select(data, config.methods, config.sources, most, splits=(split,))
    return pipeline.example_count(data, split, reads) // config.batch_size + rest


def _epoch_seconds(folder: Path) -> float | None:
    """Mean seconds of a run's epochs that are there, without the first where there are more."""
    try:
        with open(folder / "metrics.csv", encoding="utf-8", newline="") as stream:
            seconds = [float(row["seconds"]) for row in csv.DictReader(stream)]
    except FileNotFoundError:
        return None
    seconds = seconds[1:] or seconds
    return sum(seconds) / len(seconds) if seconds else None
