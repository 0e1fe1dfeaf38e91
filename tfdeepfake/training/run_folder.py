"""The files of a run folder: its lock, its config, what it began with, and its curves."""

import csv
import io
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import tensorflow as tf

from tfdeepfake.errors import InputError
from tfdeepfake.files import exclusive_lock, read_json, write_json, write_text
from tfdeepfake.model_folder import software_versions
from tfdeepfake.training import checkpoint, start_from
from tfdeepfake.training.config import TrainConfig

COLUMNS = ("epoch", "loss", "auc", "accuracy", "val_loss", "val_auc", "val_accuracy", "learning_rate", "seconds")


@contextmanager
def hold(run_dir: Path) -> Iterator[None]:
    """Holds the folder for this process, and clears what a killed one left half written.

    A folder that is made for this and in which nothing comes about, because the data is missing, is removed again.

    Raises:
      InputError: another process trains here.
    """
    busy = InputError(run_dir, "another process trains in this folder.", "Wait for it, or stop it.")
    # Without locks, as on some network drives, training is still worth more than the guard.
    is_new = not run_dir.exists()
    with exclusive_lock(run_dir / ".lock", busy, log=partial(print, file=sys.stderr)):
        checkpoint.remove_leftovers(run_dir)
        try:
            yield
        finally:
            if is_new and [path.name for path in run_dir.iterdir()] == [".lock"]:
                shutil.rmtree(run_dir)


def state_path(run_dir: str | Path) -> Path:
    """The file of a run's state; as long as there is none, the run has not begun."""
    return Path(run_dir) / "checkpoint" / "state.npz"


def check_config(config: TrainConfig, run_dir: Path) -> None:
    """Compares the config with that of the run that was begun here, if one was; more epochs let it go on.

    Raises:
      InputError: lists the fields that differ.
    """
    if not state_path(run_dir).exists():
        return
    there = read_json(run_dir / "config.json")
    differ = config.differing(there)
    if not differ:
        return
    # A cosine ends at a rate of zero: with more epochs every step would have had another.
    if len(differ) == 1 and config.schedule == "constant" and there["epochs"] < config.epochs:
        # In this order: a kill in between leaves a run that has not ended, and the same command goes on with it.
        (run_dir / "result.json").unlink(missing_ok=True)
        write_json(run_dir / "config.json", config.to_dict())
        return
    remedy = "Choose another folder."
    if (run_dir / "best").is_dir():
        remedy = f"Choose another folder; to go on from these weights there: --start-from {run_dir / 'best'}"
    raise InputError(run_dir, f"holds a run of another config: {', '.join(differ)}.", remedy)


def begin(config: TrainConfig, run_dir: Path, data: str, facts: Callable[[], dict]) -> dict:
    """Writes config.json and versions.json of a new run, or reads what an old one began with.

    Args:
      config: TrainConfig.
      run_dir: Path.
      data: version of the data set in use.
      facts: function without arguments giving what else the run has to remember; called for a new run only.
    Returns:
      The content of versions.json: {"software": ..., "data": data, "seed": ..., ...}.
    """
    software = software_versions()
    if not state_path(run_dir).exists():
        versions = {"software": software, "data": data, "seed": config.seed} | facts()
        write_json(run_dir / "config.json", config.to_dict())
        write_json(run_dir / "versions.json", versions)
        return versions
    versions = read_json(run_dir / "versions.json")
    if versions["software"] != software:
        print(f"{run_dir}: begun with {versions['software']}, resumed with {software}.", file=sys.stderr)
    return versions


def begun_with(run_dir: Path) -> dict:
    """The content of versions.json of a run that was begun."""
    return read_json(run_dir / "versions.json")


def data_version(config: TrainConfig, run_dir: Path) -> str:
    """The data a run reads: what the config names; once begun, the very version that it was then."""
    return begun_with(run_dir)["data"] if state_path(run_dir).exists() else config.data


def started_from(config: TrainConfig, run_dir: Path, log: Callable[[str], None] = lambda line: None) -> dict | None:
    """What `start_from.read` tells of the weights a run starts from, as it was when the run began; None without any."""
    if state_path(run_dir).exists():
        return begun_with(run_dir).get("start_from")
    return start_from.read(config.start_from, config.network, config.network_args, log) if config.start_from else None


def write_curves(run_dir: Path, rows: list[dict], everything: bool) -> None:
    """Writes metrics.csv and TensorBoard's files.

    Args:
      run_dir: Path.
      rows: one dict of `COLUMNS` per finished epoch.
      everything: write TensorBoard's files anew, not only the last epoch: a kill between state and log would
        leave a gap or a double point.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(run_dir / "metrics.csv", text.getvalue())
    folder = run_dir / "tensorboard"
    if everything:
        shutil.rmtree(folder, ignore_errors=True)
    for part, prefix in (("train", ""), ("validation", "val_")):
        names = [n for n in ("loss", "auc", "accuracy", "learning_rate") if prefix + n in COLUMNS]
        with tf.summary.create_file_writer(str(folder / part)).as_default():
            for row in rows if everything else rows[-1:]:
                for name in names:
                    if row.get(prefix + name) is not None:
                        tf.summary.scalar(name, row[prefix + name], step=row["epoch"])
