"""config -> strategy, compile, fit, resume.

A run is one `fit` over a data set that is a function of (seed, epoch), and one state file written at every
epoch's end and every few minutes (`within_epoch`). Everything else in the run folder follows from that state, so a run
that is killed at any moment and started again with the same command ends with the same weights as one that was not. On
a CPU that holds bit by bit; on a GPU as far as its kernels repeat themselves (TF_DETERMINISTIC_OPS=1 makes them, and
slower; not tried here).

    run_dir/
      config.json            TrainConfig
      versions.json          software, data version, network arguments, examples of each class, what it started from
      selection.json         the videos that are read, where the config asks for some
      metrics.csv            one row per finished epoch
      tensorboard/           the same, for TensorBoard
      checkpoint/state.npz   weights, optimizer, dropout seeds, progress
      best/ last/            saved model folders; best by validation AUC, or loss (`watch`)
      scores_validation.csv  raw logits of best/ on the validation split
      result.json            written last: the run is finished
"""

import contextlib
import dataclasses
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
from tqdm import tqdm

from tfdeepfake.data.batches import pipeline
from tfdeepfake.data.batches.window import whole
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.calibration import calibrate
from tfdeepfake.files import read_json, write_json
from tfdeepfake.layers import siamese
from tfdeepfake.model_folder import load_model, load_recipe, save_model, write_recipe
from tfdeepfake.profiling import macs
from tfdeepfake.recipe import Recipe
from tfdeepfake.scoring.score import score_data
from tfdeepfake.scoring.table_file import write_scores
from tfdeepfake.training import (
    checkpoint,
    devices,
    network,
    run_folder,
    run_setup,
    start_from,
    validation,
    within_epoch,
)
from tfdeepfake.training.config import TrainConfig

if TYPE_CHECKING:
    import tensorflow as tf


def train(config: TrainConfig, run_dir: str | Path, progress: bool = True) -> Path:
    """Trains a network, or resumes a run that was stopped.

    Args:
      config: TrainConfig.
      run_dir: folder of the run, created when absent.
      progress: one line per epoch on stdout, and a bar on stderr where that is a terminal.
    Returns:
      Path of the run folder.
    Raises:
      InputError: the data is not prepared or cannot feed the network, the folder holds another run, another
        process trains in it, the disk is full (the state of the epoch before stays), or the loss is not finite.
    """
    run_dir, first = Path(run_dir), devices.process_number(config.backend) == 0
    progress = progress and first
    # Flushed, so that a log file follows the run.
    log = partial(print, flush=True) if progress else lambda *_: None
    with run_folder.hold(run_dir) if first else contextlib.nullcontext():
        run_folder.check_config(config, run_dir)
        if (run_dir / "result.json").exists():
            log(f"{run_dir}: this run is finished; nothing to do.")
            return run_dir
        with network.mixed_precision(config.precision):
            run = run_setup.build(config, run_dir, log)
            _fit(run, log, progress)
        if run.first:
            _finish(run, log)
        devices.wait_for_all(run.strategy)
    return run_dir


def resume(run_dir: str | Path, progress: bool = True) -> Path:
    """`train` with the config that the folder holds."""
    path = Path(run_dir) / "config.json"
    return train(TrainConfig.from_dict(read_json(path, "Give the folder of a run."), path), run_dir, progress)


def _parent(run):
    """What the run started from: a saved model folder, "imagenet", or the name of a file."""
    if run.start:
        return start_from.parent(run.start)
    weights = run.network_args.get("weights")
    return Path(weights).name if isinstance(weights, str) else None


def _recipe(run):
    """The recipe of a saved model folder. Inference extracts what this network reads, not what the data holds."""
    data, network_args = run.saved
    flow = data.flow if run.with_flow else "none"
    return Recipe(
        network=run.config.network,
        network_args=network.without_weights(network_args),
        classes=run.classes,
        parent=_parent(run),
        licence=run.start["licence"] if run.start else "unknown",
        data_terms=run.start.get("data_terms", "unknown") if run.start else "unknown",
        data=dataclasses.replace(data, input_type=run.input_type, flow=flow),
        data_version=run.prepared.version,
        limits=run.config.limits,
        limits_measured=run.config.limits_measured,
    )


def _fit(run, log, progress):
    """Trains the epochs that are left."""
    config = run.config
    if run.epoch or run.batches:
        inside = f", and {run.batches} of {run.steps} steps of the next" if run.batches else ""
        log(f"{run.run_dir}: resumed after epoch {run.epoch}{inside}.")
        if run.first:
            run_folder.write_curves(run.run_dir, run.rows, everything=True)
        if not run.batches:  # else the best was complete before the epoch began, and the weights are no longer its
            _save_best(run)
    if run.done:
        return
    if not run.has_validation:
        log(f"{run.prepared.version} has no validation split: the last epoch counts as the best.")
    validate = validation.validation(run) if run.has_validation else lambda: {}
    with run.strategy.scope(), pipeline.reading(run.prepared, "train", "validation"):
        while not run.done:
            # An epoch that was begun is ended first, on its own.
            last = run.epoch + 1 if run.batches else config.epochs
            run.trained.fit(
                training_batches(run, last),
                initial_epoch=run.epoch,
                epochs=last,
                steps_per_epoch=run.steps - run.batches,
                callbacks=[_epochs(run, validate, log, progress)],
                shuffle=False,  # the data set is shuffled already, and Keras warns otherwise
                verbose=0,
            )


def training_batches(run: run_setup.Run, last_epoch: int) -> "tf.data.Dataset":
    """Training batches from where the run stands up to an epoch."""
    config = run.config
    return pipeline.training_batches(
        run.prepared,
        "train",
        run.input_type,
        config.batch_size,
        pipeline.BatchSettings(
            config.seed,
            config.augment,
            config.mix,
            class_weight=run.class_weight,
            mix_probability=config.mix_probability,
            classes=run.label_classes,
            triplets=config.loss == "triplet",
            parts=getattr(run.strategy, "processes", 1),
            part=getattr(run.strategy, "process", 0),
        ),
        first_epoch=run.epoch,
        epochs=last_epoch - run.epoch,
        with_flow=run.with_flow,
        skip_batches=run.batches,
    )


def _epochs(run, validate, log, progress):
    """The callback that shows an epoch's progress, and ends it: metrics, state, curves, best/."""
    started_s, bar, keep = 0.0, None, None

    def begin(epoch, logs=None):
        nonlocal started_s, bar, keep
        started_s = time.monotonic() - run.seconds
        if run.batches:
            checkpoint.load_metrics(run_folder.state_path(run.run_dir), run.trained)
        keep = within_epoch.keeper(run)
        name = f"epoch {epoch + 1}/{run.config.epochs}"
        # `disable=None` is silent where stderr is no terminal.
        bar = tqdm(total=run.steps, initial=run.batches, desc=name, leave=False, disable=None if progress else True)

    def step(batch, logs=None):
        bar.update()
        run.batches += 1
        run.seconds = time.monotonic() - started_s
        keep()

    def end(epoch, logs):
        bar.close()
        _agree(run)
        row = _row(run, epoch, logs) | validate()
        # A variable of several replicas is no number by itself.
        rate = keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(run.model.optimizer.learning_rate))
        row |= {"learning_rate": float(rate), "seconds": time.monotonic() - started_s}
        _record(run, row)
        log(_line(row, run.config.epochs))
        if run.done and run.epoch < run.config.epochs:
            watched = "AUC" if run.config.watch == "auc" else "loss"
            log(f"no better validation {watched} for {run.config.early_stopping_epochs} epochs: stopped.")
            run.trained.stop_training = True

    return keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end, on_train_batch_end=step)


def _agree(run):
    """Gives all replicas the batch statistics that the state keeps, their mean: a resumed run is validated by these."""
    if run.config.backend == "tensorflow" and run.strategy.num_replicas_in_sync > 1:
        for variable in run.model.non_trainable_variables:
            variable.assign(np.asarray(variable))


def _row(run, epoch, logs):
    """An epoch's number, which counts from 1, and training metrics.

    Raises:
      InputError: the loss is not finite.
    """
    if not np.isfinite(logs["loss"]):
        rate = run.config.learning_rate
        raise InputError(
            "learning_rate",
            f"the loss is {logs['loss']} in epoch {epoch + 1}, with learning_rate {rate}.",
            f"Try a smaller one in another folder; {run.run_dir} keeps epoch {epoch}.",
        )
    return {"epoch": epoch + 1} | {name: float(logs[name]) for name in ("loss", "auc", "accuracy") if name in logs}


def _record(run, row):
    """Adds a finished epoch to the run and its folder."""
    run.rows.append(row)
    run.batches, run.seconds = 0, 0.0
    best = run.rows[run.best_epoch - 1] if run.best_epoch else None
    watch = run.config.watch
    if best is None or _quality(row, watch) > _quality(best, watch) or not run.has_validation:
        run.best_epoch = run.epoch
    if not run.first:
        return
    # The order matters: what is derived comes after the state, so a kill in between is mended from the state.
    progress = {"rows": run.rows, "best_epoch": run.best_epoch}
    checkpoint.save_state(run_folder.state_path(run.run_dir), run.model, progress)
    run_folder.write_curves(run.run_dir, run.rows, everything=run.epoch == 1)
    _save_best(run)


def _quality(row, watch="auc"):
    """Sorts epochs: higher validation AUC, then lower validation loss; the other way round where loss is watched.

    AUC is None with one class only.
    """
    auc = row.get("val_auc")
    order = (-1.0 if auc is None else auc, -row.get("val_loss", 0.0))
    return order if watch == "auc" else order[::-1]


def _save_best(run):
    """Writes best/ when the epoch that has just ended is the best; an earlier one's was complete before it began."""
    if run.first and run.best_epoch == run.epoch:
        save_model(run.run_dir / "best", run.model, _recipe(run))


def _line(row, epochs):
    names = ("loss", "auc", "accuracy", "val_loss", "val_auc", "val_accuracy")
    shown = [f"{name} {row[name]:.4f}" for name in names if row.get(name) is not None]
    return f"epoch {row['epoch']}/{epochs}  {'  '.join(shown)}  {row['seconds']:.0f} s"


def _finish(run, log):
    """Writes last/, scores the validation split with best/, and puts threshold and temperature into its recipe."""
    save_model(run.run_dir / "last", run.model, _recipe(run))
    model, recipe = load_model(run.run_dir / "best")
    if run.config.loss == "triplet":
        chosen = {"calibration": "not calibrated: only the embedding was trained, by triplets; its logits are random"}
    elif run.has_validation:
        prepared = whole(run.prepared) if recipe.data.sampling == "chunks" else run.prepared
        how = {"classes": run.classes, "verdict": recipe.verdict}
        rows = score_data(model, prepared, "validation", run.config.batch_size, **how)
        write_scores(run.run_dir / "scores_validation.csv", rows)
        unit = "clip" if run.input_type == "clip" else "frame"
        calibrated = calibrate(rows, recipe.video_rule, recipe.faces_rule, unit)
        chosen = {n: calibrated[n] for n in ("threshold", "fraction_threshold", "temperature", "calibration")}
    else:
        chosen = {"calibration": "not calibrated: the data set has no validation split"}
    # Counted last and on this network alone: the one in training is left as it is.
    gmacs = macs.billions(model)
    recipe = dataclasses.replace(recipe, gmacs=gmacs, **chosen)
    write_recipe(run.run_dir / "best", recipe)
    write_recipe(run.run_dir / "last", dataclasses.replace(load_recipe(run.run_dir / "last"), gmacs=gmacs))
    best = run.rows[run.best_epoch - 1]
    summary = {"epochs": run.epoch, "best_epoch": run.best_epoch, "best": best}
    write_json(run.run_dir / "result.json", summary | chosen)
    if run.config.loss == "triplet":
        head = ",".join(layer.name for layer in model.layers if layer.name in siamese.HEAD)
        log(
            f"{run.run_dir / 'best'}: epoch {run.best_epoch}. Only the embedding was trained; next its classifier: "
            f"tfdeepfake train {run.config.network} --start-from {run.run_dir / 'best'} --train-only {head}"
        )
        return
    auc = f", validation AUC {best['val_auc']:.4f}" if best.get("val_auc") is not None else ""
    why = f" ({recipe.calibration})" if recipe.calibration.startswith("not calibrated") else ""
    log(f"{run.run_dir / 'best'}: epoch {run.best_epoch}{auc}, threshold {recipe.threshold:.3f}{why}.")
