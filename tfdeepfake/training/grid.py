"""Grid search over batch size and learning rate: one run per cell, each in its own process (P2 4.2.2).

    tfdeepfake grid p2_two_stream_video runs/grid --data-dir data

The paper's grid: batch sizes 4, 16, 32; learning rates "10e-3" and "10e-6". Started again, finished cells stay as
they are and an interrupted one is resumed. Hardware, time: those of one run, times the cells; not yet run at the
paper's size.
"""

import csv
import dataclasses
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tfdeepfake.files import read_json, write_json, write_text
from tfdeepfake.training.config import TrainConfig

COLUMNS = ("batch_size", "learning_rate", "status", "best_epoch", "val_auc", "val_loss", "val_accuracy", "run")
CELL = """
import sys
from tfdeepfake.errors import InputError
from tfdeepfake.quiet import load_tensorflow
load_tensorflow()
from tfdeepfake.training.train import resume
try:
    resume(sys.argv[1], progress=False)
except InputError as error:
    sys.exit(str(error))
"""


def grid(
    config: TrainConfig,
    batch_sizes: list[int],
    learning_rates: list[float],
    run_dir: str | Path,
    log: Callable[[str], None] = print,
) -> list[dict]:
    """Trains every combination and tabulates the best epoch of each.

    Args:
      config: TrainConfig; its batch_size and learning_rate are replaced.
      batch_sizes, learning_rates: what to try.
      run_dir: folder; a run folder per cell and grid.csv are written into it.
      log: function that gets a line of progress.
    Returns:
      List of dicts with `COLUMNS`, in the order of the cells; status is "finished" or why the cell failed,
      which does not stop the others.
    """
    run_dir, rows = Path(run_dir), []
    for batch_size in batch_sizes:
        for learning_rate in learning_rates:
            cell = dataclasses.replace(config, batch_size=batch_size, learning_rate=learning_rate)
            row = _run(cell, run_dir / f"batch{batch_size}_rate{learning_rate:g}")
            rows.append(row)
            _write(run_dir / "grid.csv", rows)
            outcome = f"validation AUC {row['val_auc']}" if row["status"] == "finished" else row["status"]
            log(f"batch size {batch_size}, learning rate {learning_rate:g}: {outcome}")
    return rows


def _run(config, folder):
    row = {"batch_size": config.batch_size, "learning_rate": config.learning_rate, "run": folder.name}
    path = folder / "config.json"
    if not path.exists():
        write_json(path, config.to_dict())
    elif type(config).from_dict(read_json(path), path) != config:
        return row | {"status": f"{folder} holds a run of another config; choose another folder"}
    if not (folder / "result.json").exists():
        # A process of its own: what one run leaves behind in TensorFlow cannot reach the next.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run([sys.executable, "-c", CELL, str(folder)], stderr=subprocess.PIPE, env=environment)
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            return row | {"status": lines[-1] if lines else f"ended with code {done.returncode}"}
    summary = read_json(folder / "result.json")
    best = {name: summary["best"].get(name) for name in ("val_auc", "val_loss", "val_accuracy")}
    return row | {"status": "finished", "best_epoch": summary["best_epoch"]} | best


def _write(path, rows):
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())


def best_cell(rows: list[dict]) -> dict | None:
    """The row of `grid` with the best validation AUC; None when none has one."""
    scored = [row for row in rows if row.get("val_auc") is not None]
    return max(scored, key=lambda row: row["val_auc"]) if scored else None
