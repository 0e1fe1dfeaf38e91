"""Grid search over batch size and learning rate: one run per cell, each in its own process (P2 4.2.2).

    python -m tfdeepfake.training.grid two_stream_video runs/grid --data-dir data

The paper's grid: batch sizes 4, 16, 32; learning rates "10e-3" and "10e-6". Started again, finished cells are kept and
an interrupted one goes on. Hardware, time: those of one run, times the cells; not yet run at the paper's size.
"""

import argparse
import csv
import dataclasses
import io
import os
import subprocess
import sys
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json, write_json, write_text

COLUMNS = ("batch_size", "learning_rate", "status", "best_epoch", "val_auc", "val_loss", "val_accuracy", "run")
CELL = """
import sys
from tfdeepfake.files import InputError
from tfdeepfake.quiet import load_tensorflow
load_tensorflow()
from tfdeepfake import training
try:
    training.resume(sys.argv[1], progress=False)
except InputError as error:
    sys.exit(str(error))
"""


def grid(config, batch_sizes, learning_rates, run_dir, say=print):
    """Trains every combination and tabulates the best epoch of each.

    Args:
      config: TrainConfig; its batch_size and learning_rate are replaced.
      batch_sizes, learning_rates: what to try.
      run_dir: folder; a run folder per cell and grid.csv are written into it.
      say: function that gets a line of progress.
    Returns:
      List of dicts with `COLUMNS`, in the order of the cells; status is "finished" or why the cell failed: the
      others go on.
    """
    run_dir, rows = Path(run_dir), []
    for batch_size in batch_sizes:
        for learning_rate in learning_rates:
            cell = dataclasses.replace(config, batch_size=batch_size, learning_rate=learning_rate)
            row = _run(cell, run_dir / f"batch{batch_size}_rate{learning_rate:g}")
            rows.append(row)
            _write(run_dir / "grid.csv", rows)
            result = f"validation AUC {row['val_auc']}" if row["status"] == "finished" else row["status"]
            say(f"batch size {batch_size}, learning rate {learning_rate:g}: {result}")
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
            said = done.stderr.decode(errors="replace").strip().splitlines()
            return row | {"status": said[-1] if said else f"ended with code {done.returncode}"}
    result = read_json(folder / "result.json")
    best = {name: result["best"].get(name) for name in ("val_auc", "val_loss", "val_accuracy")}
    return row | {"status": "finished", "best_epoch": result["best_epoch"]} | best


def _write(path, rows):
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())


def main(arguments=None):
    from tfdeepfake.training.presets import load_preset

    parser = argparse.ArgumentParser(prog="python -m tfdeepfake.training.grid", description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("run_dir")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[4, 16, 32])
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[10e-3, 10e-6])
    parser.add_argument("--data", help="another prepared data set than the preset's")
    parser.add_argument("--data-dir", help="where prepared data sets are kept")
    parser.add_argument("--epochs", type=int)
    args = parser.parse_args(arguments)
    try:
        changes = {name: getattr(args, name) for name in ("data", "data_dir", "epochs") if getattr(args, name)}
        config = dataclasses.replace(load_preset(args.preset), **changes)
        rows = grid(config, args.batch_sizes, args.learning_rates, args.run_dir)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    scored = [row for row in rows if row.get("val_auc") is not None]
    if scored:
        best = max(scored, key=lambda row: row["val_auc"])
        print(f"best: batch size {best['batch_size']}, learning rate {best['learning_rate']:g}")
    return int(any(row["status"] != "finished" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
