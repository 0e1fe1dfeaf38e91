"""The training runs of a protocol: RUN_DIR/runs/ROW, each in a process of its own, one or several at once."""

import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json
from tfdeepfake.protocols.rows import Row
from tfdeepfake.training.apart import train_apart
from tfdeepfake.training.config import TrainConfig

RUNS = "runs"


def folder_of(run_dir: Path, name: str) -> Path:
    """The run folder of a row, or of a stage before it."""
    return run_dir / RUNS / name.replace("/", "-").replace(" ", "_")


def all_runs(rows: Sequence[Row]) -> dict[str, TrainConfig]:
    """{name: config} of everything that is trained, stages before the rows that start from them."""
    runs = {}
    for row in rows:
        runs |= {**dict(row.stages), row.name: row.config}
    return runs


def epochs_done(folder: Path) -> int | None:
    """Epochs of a run that are finished; None where it is finished itself."""
    if (folder / "result.json").is_file():
        return None
    try:
        with open(folder / "metrics.csv", encoding="utf-8") as lines:
            return max(0, sum(1 for _ in lines) - 1)
    except FileNotFoundError:
        return 0


def differing(folder: Path, config: TrainConfig) -> list[str]:
    """Settings in which the run in a folder is another, as text; nothing where none was begun."""
    if not (folder / "config.json").is_file():
        return []
    # Fields that are newer than the run have their defaults.
    there = TrainConfig().to_dict() | read_json(folder / "config.json", "Delete the run's folder.")
    mine = json.loads(json.dumps(config.to_dict()))
    return [
        f"{name} ({there.get(name)!r} there, {mine[name]!r} now)"
        for name in mine
        if name != "checkpoint_minutes" and there.get(name) != mine[name]
    ]


def is_finished(folder: Path, config: TrainConfig) -> bool:
    """Whether a run is finished with these settings; one of more epochs goes on."""
    return epochs_done(folder) is None and not differing(folder, config)


def check_begun(rows: Sequence[Row], run_dir: Path) -> None:
    """Raises InputError where a run was begun with other settings; whether more epochs will do, training judges."""
    for name, config in all_runs(rows).items():
        differ = differing(folder_of(run_dir, name), config)
        if any(not text.startswith("epochs ") for text in differ):
            raise InputError(
                folder_of(run_dir, name),
                f"holds a run of other settings: {', '.join(differ)}.",
                "Give another --run-dir.",
            )


def train_all(rows: Sequence[Row], run_dir: Path, jobs: int = 1, log: Callable[[str], None] = print) -> dict[str, str]:
    """Trains what is not finished; a run that fails costs itself, and the rows that start from it.

    Args:
      rows: of the table.
      run_dir: the protocol's folder.
      jobs: runs at once; the cores are shared among them.
      log: called with a line when a run begins, ends or fails.
    Returns:
      {row: why it failed} of those that failed.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None
    runs, failed = all_runs(rows), {}
    locks = {name: threading.Lock() for name in runs}

    def one(name):
        with locks[name]:  # two rows may start from one stage
            folder = folder_of(run_dir, name)
            if name in failed:
                return failed[name]
            if is_finished(folder, runs[name]):
                log(f"kept     {name}")
                return ""
            begun = epochs_done(folder)
            log(f"training {name}" + (f", resumed after epoch {begun}" if begun else ""))
            why = train_apart(runs[name], folder, threads)
            if why:
                failed[name] = why
                log(f"FAILED   {name}: {why}")
            else:
                log(f"trained  {name}")
            return why

    def whole(row):
        for stage, _ in row.stages:
            if why := one(stage):
                return f"{stage}, which it starts from: {why}"
        return one(row.name)

    with ThreadPoolExecutor(jobs) as pool:
        why = dict(zip((row.name for row in rows), pool.map(whole, rows), strict=True))
    return {name: reason for name, reason in why.items() if reason}


def check_names(rows: Sequence[Row]) -> None:
    """Raises InputError where two rows have one name."""
    names = [row.name for row in rows]
    for name in names:
        if names.count(name) > 1:
            raise InputError("--presets", f"{name} stands there twice.", "Give each once.")
