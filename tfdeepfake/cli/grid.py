"""`tfdeepfake grid`: a preset at every combination of batch sizes and learning rates."""

import argparse
import dataclasses

from tfdeepfake.cli.flags import need_above_zero, need_whole
from tfdeepfake.cli.presets import load_trained
from tfdeepfake.files import check_output_folder


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("grid", help="train a preset at several batch sizes and learning rates (P2 4.2.2)")
    p.add_argument("preset")
    p.add_argument("run_dir", help="a run folder per cell and grid.csv are written into it; started again, it resumes")
    p.add_argument("--batch-sizes", type=int, nargs="+", default=[4, 16, 32], help="[4 16 32]")
    p.add_argument("--learning-rates", type=float, nargs="+", default=[10e-3, 10e-6], help="[0.01 1e-05]")
    p.add_argument("--data", help="another prepared data set than the preset's")
    p.add_argument("--data-dir", help="where prepared data sets are kept")
    p.add_argument("--epochs", type=int)
    return p


def run(args: argparse.Namespace) -> int:
    need_whole(args, batch_sizes=(1, None), epochs=(1, None))
    need_above_zero(args, "learning_rates")
    check_output_folder(args.run_dir)
    from tfdeepfake.training.grid import best_cell, grid

    changes = {name: getattr(args, name) for name in ("data", "data_dir", "epochs") if getattr(args, name)}
    config = dataclasses.replace(load_trained(args.preset).config, **changes)
    rows = grid(config, args.batch_sizes, args.learning_rates, args.run_dir)
    if best := best_cell(rows):
        print(f"best: batch size {best['batch_size']}, learning rate {best['learning_rate']:g}")
    return int(any(row["status"] != "finished" for row in rows))
