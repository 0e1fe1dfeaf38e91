"""config -> strategy, compile, fit, resume.

A run is one `fit` over a data set that is a function of (seed, epoch), and one state file written at every
epoch's end. Everything else in the run folder is made from that state, so a run that is killed at any moment
and started again with the same command ends with the same weights as one left alone.

    run_dir/
      config.json            TrainConfig
      versions.json          software, data version, network arguments, examples of each class
      metrics.csv            one row per finished epoch
      tensorboard/           the same, for TensorBoard
      checkpoint/state.npz   weights, optimizer, dropout seeds, progress
      best/ last/            saved model folders; best by validation AUC
      scores_validation.csv  raw logits of best/ on the validation split
      result.json            written last: the run is finished
"""

import dataclasses
import inspect
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from tfdeepfake import checkpoint, devices, evaluation, losses, models, run_folder, scoring
from tfdeepfake.config import TrainConfig
from tfdeepfake.data import pipeline
from tfdeepfake.files import InputError, read_json, write_json
from tfdeepfake.recipe import RECIPE_FILE, Recipe, load_model, save_model


def train(config, run_dir, progress=True):
    """Trains a network, or goes on with a run that was stopped.

    Args:
      config: TrainConfig.
      run_dir: folder of the run; made when absent.
      progress: one line per epoch on stdout, and a bar on stderr where that is a terminal.
    Returns:
      Path of the run folder.
    Raises:
      InputError: the data is not prepared or cannot feed the network, the folder holds another run, another
        process trains in it, the disk is full (the last epoch's state is kept), or the loss is not finite.
    """
    run_dir = Path(run_dir)
    # Flushed, so that a log file follows the run.
    say = partial(print, flush=True) if progress else lambda *_: None
    with run_folder.only_one(run_dir):
        run_folder.check_config(config, run_dir)
        if (run_dir / "result.json").exists():
            say(f"{run_dir}: this run is finished; nothing to do.")
            return run_dir
        with _precision(config.precision):
            run = _build(config, run_dir)
            _fit(run, say, progress)
        _finish(run, say)
    return run_dir


def resume(run_dir, progress=True):
    """`train` with the config that the folder holds."""
    path = Path(run_dir) / "config.json"
    return train(TrainConfig.from_dict(read_json(path, "Give the folder of a run."), path), run_dir, progress)


@contextmanager
def _precision(precision):
    """Sets the mixed precision policy for the networks built inside."""
    before = keras.config.dtype_policy()
    if precision != "float32":
        if precision == "float16" and not tf.config.list_logical_devices("GPU"):
            print("precision float16 is about 50 times slower than float32 on a CPU; try bfloat16.", file=sys.stderr)
        keras.config.set_dtype_policy(f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@dataclasses.dataclass
class _Run:
    """What the steps of one run share."""

    config: TrainConfig
    run_dir: Path
    strategy: object
    prepared: pipeline.PreparedData
    model: keras.Model
    kind: str
    with_flow: bool
    network_args: dict
    steps: int
    class_weight: dict | None
    has_validation: bool
    rows: list
    best_epoch: int

    @property
    def epoch(self):
        """Finished epochs."""
        return len(self.rows)

    @property
    def done(self):
        patience = self.config.early_stopping_epochs
        stale = patience and self.epoch - self.best_epoch >= patience
        return self.epoch >= self.config.epochs or bool(stale)


def _parameters(network):
    """Names of a network's arguments."""
    if network not in models.MODELS:
        try:
            models.build(network)
        except ValueError as error:  # names the networks nearest to it
            raise InputError("network", str(error)) from None
    return inspect.signature(models.MODELS[network]).parameters


def _network_args(config, recipe):
    """The config's arguments; the input size (and the frames of a clip network) are those of the data."""
    parameters = _parameters(config.network)
    size = {"input_size": [recipe.height_px, recipe.width_px], "frames": recipe.frames}
    size = {name: value for name, value in size.items() if name in parameters}
    for name, value in size.items():
        given = config.network_args.get(name, value)
        if list(given) != value if name == "input_size" else given != value:
            raise InputError(
                "network_args",
                f"{name} is {given}, but the data set has {value}.",
                "Leave it out: it comes from the data.",
            )
    return {**config.network_args, **size}


def _build(config, run_dir):
    """Opens the data, builds and compiles the network, and restores the state when there is one."""
    strategy = devices.strategy(config.devices)
    if config.batch_size % strategy.num_replicas_in_sync:
        raise InputError(
            "batch_size", f"needs a multiple of {strategy.num_replicas_in_sync} (devices), got {config.batch_size}."
        )
    keras.utils.set_random_seed(config.seed)
    # A network's kind shows once it is built, which takes the data's size; but only clip networks have `frames`.
    guess = "clip" if "frames" in _parameters(config.network) else None
    prepared = pipeline.open_data(run_folder.data_version(config, run_dir), config.data_dir, guess)
    network_args = _network_args(config, prepared.recipe)
    with strategy.scope():
        try:
            model = models.build(config.network, **network_args)
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(config.network, f"cannot be built with {network_args}: {error}") from error
    kind, with_flow = models.input_kind(model), models.wants_flow(model)
    # Asked again with what the network really reads: says which command prepares such data.
    prepared = pipeline.open_data(prepared.version, config.data_dir, kind, with_flow)

    steps = pipeline.steps_per_epoch(prepared, "train", kind, config.batch_size)
    if not steps:
        count = pipeline.example_count(prepared, "train", kind)
        raise InputError("batch_size", f"is {config.batch_size}, but the training split has only {count} examples.")

    def found():
        real, fake = pipeline.label_counts(prepared, "train", kind)
        if not real or not fake:
            raise InputError(prepared.version, f"needs real and fake training examples, has {real} and {fake}.")
        return {
            "network": config.network,
            "network_args": network_args,
            "kind": kind,
            "examples": {"real": real, "fake": fake},
        }

    versions = run_folder.begin(config, run_dir, prepared.version, found)
    class_weight = None
    if config.class_weights == "balanced":
        class_weight = pipeline.balanced_weights(versions["examples"]["real"], versions["examples"]["fake"])
    loss = config.loss
    if loss == "auto":
        loss = "bce_f1" if kind == "clip" else "bce"
    with strategy.scope():
        model.compile(
            optimizer=keras.optimizers.Adam(_learning_rate(config, steps)),
            loss=losses.get(loss, config.alpha, config.beta),
            metrics=[
                keras.metrics.AUC(from_logits=True, name="auc"),
                keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy"),
            ],
            # XLA crashes on CPU replicas and is slower there (oneDNN's convolutions are not used).
            jit_compile="auto" if devices.one_gpu(strategy) else False,
        )
        model.optimizer.build(model.trainable_variables)
        state = run_folder.state_path(run_dir)
        saved = checkpoint.load_state(state, model) if state.exists() else {"rows": [], "best_epoch": 0}
    return _Run(
        config=config,
        run_dir=run_dir,
        strategy=strategy,
        prepared=prepared,
        model=model,
        kind=kind,
        with_flow=with_flow,
        network_args=network_args,
        steps=steps,
        class_weight=class_weight,
        has_validation="validation" in prepared.builder.info.splits,
        rows=saved["rows"],
        best_epoch=saved["best_epoch"],
    )


def _learning_rate(config, steps):
    """Linear warm-up to `learning_rate`, then constant or a cosine to zero at the last step."""
    total, warmup = config.epochs * steps, round(config.warmup_epochs * steps)
    if config.schedule == "constant" and not warmup:
        return config.learning_rate
    rest = {"decay_steps": max(1, total - warmup), "alpha": 1.0 if config.schedule == "constant" else 0.0}
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(config.learning_rate, **rest)
    # The first step is not wasted on a rate of zero.
    return keras.optimizers.schedules.CosineDecay(
        config.learning_rate / warmup, warmup_target=config.learning_rate, warmup_steps=warmup, **rest
    )


def _recipe(run, calibration="not calibrated"):
    """The recipe of a saved model folder. Inference extracts what this network reads, not what the data holds."""
    flow = run.prepared.recipe.flow if run.with_flow else "none"
    return Recipe(
        network=run.config.network,
        network_args=run.network_args,
        data=dataclasses.replace(run.prepared.recipe, kind=run.kind, flow=flow),
        calibration=calibration,
        data_version=run.prepared.version,
    )


def _fit(run, say, progress):
    """Trains the epochs that are left."""
    config, model = run.config, run.model
    if run.epoch:
        say(f"{run.run_dir}: goes on after epoch {run.epoch}.")
        run_folder.write_curves(run.run_dir, run.rows, everything=True)
        _save_best(run)
    if run.done:
        return
    if not run.has_validation:
        say(f"{run.prepared.version} has no validation split: the last epoch counts as the best.")
    dataset = pipeline.batches(
        run.prepared,
        "train",
        run.kind,
        config.batch_size,
        training=True,
        seed=config.seed,
        first_epoch=run.epoch,
        epochs=config.epochs - run.epoch,
        augment=config.augment,
        class_weight=run.class_weight,
        with_flow=run.with_flow,
    )
    validate = _validation(run) if run.has_validation else lambda: {}
    started, bar = 0.0, None

    def epoch_begin(epoch, logs=None):
        nonlocal started, bar
        started = time.monotonic()
        # `disable=None` is silent where stderr is no terminal.
        bar = tqdm(total=run.steps, desc=f"epoch {epoch + 1}/{config.epochs}", leave=False,
                   disable=None if progress else True)  # fmt: skip

    def epoch_end(epoch, logs):
        bar.close()
        if not np.isfinite(logs["loss"]):
            raise InputError(
                "learning_rate",
                f"the loss is {logs['loss']} in epoch {epoch + 1}, with learning_rate {config.learning_rate}.",
                f"Try a smaller one in another folder; {run.run_dir} keeps epoch {epoch}.",
            )
        row = {"epoch": epoch + 1} | {name: float(logs[name]) for name in ("loss", "auc", "accuracy")}
        row |= validate()
        row |= {"learning_rate": float(model.optimizer.learning_rate), "seconds": time.monotonic() - started}
        run.rows.append(row)
        best = run.rows[run.best_epoch - 1] if run.best_epoch else None
        if best is None or _quality(row) > _quality(best) or not run.has_validation:
            run.best_epoch = epoch + 1
        # The order matters: what is derived comes after the state, so a kill in between is mended from the state.
        state = {"rows": run.rows, "best_epoch": run.best_epoch}
        checkpoint.save_state(run_folder.state_path(run.run_dir), model, state)
        run_folder.write_curves(run.run_dir, run.rows, everything=epoch == 0)
        _save_best(run)
        say(_line(row, config.epochs))
        if run.done and epoch + 1 < config.epochs:
            say(f"no better validation AUC for {config.early_stopping_epochs} epochs: stopped.")
            model.stop_training = True

    callback = keras.callbacks.LambdaCallback(
        on_epoch_begin=epoch_begin, on_epoch_end=epoch_end, on_train_batch_end=lambda batch, logs: bar.update()
    )
    with run.strategy.scope(), pipeline.reading(run.prepared, "train", "validation"):
        model.fit(
            dataset,
            initial_epoch=run.epoch,
            epochs=config.epochs,
            steps_per_epoch=run.steps,
            callbacks=[callback],
            shuffle=False,  # the data set is shuffled already, and Keras warns otherwise
            verbose=0,
        )


def _quality(row):
    """Sorts epochs: higher validation AUC, then lower validation loss. AUC is None with one class only."""
    auc = row.get("val_auc")
    return (-1.0 if auc is None else auc, -row.get("val_loss", 0.0))


def _validation(run):
    """Function that scores the whole validation split: {"val_loss", "val_auc", "val_accuracy"}.

    The metrics are over all examples: `fit`'s own validation is wrong under several replicas when the last
    batch is uneven, and its AUC is read off 200 thresholds. The last batch is padded and the padding dropped.
    """
    size = run.config.batch_size
    dataset = pipeline.batches(
        run.prepared, "validation", run.kind, size, training=False, with_flow=run.with_flow,
        cache_bytes=pipeline.CACHE_BYTES // 4,
    )  # fmt: skip

    def pad(inputs, label):
        missing = size - tf.shape(label)[0]
        return {n: tf.ensure_shape(tf.pad(x, [[0, missing]] + [[0, 0]] * (x.shape.rank - 1)), [size, *x.shape[1:]])
                for n, x in inputs.items()}  # fmt: skip

    padded = dataset.map(pad)
    labels = None

    def validate():
        nonlocal labels
        if labels is None:
            labels = np.concatenate(list(dataset.map(lambda _, label: label).as_numpy_iterator()))
        logits = np.asarray(run.model.predict(padded, verbose=0), np.float32)[: len(labels)]
        total = 0.0
        for start in range(0, len(labels), size):
            part = slice(start, start + size)
            values = run.model.loss(tf.constant(labels[part]), tf.constant(logits[part]))
            total += float(np.mean(values)) * len(labels[part])
        both = 0 < labels.sum() < len(labels)
        return {
            "val_loss": total / len(labels),
            "val_auc": float(roc_auc_score(labels[:, 0], logits[:, 0])) if both else None,
            "val_accuracy": float(np.mean((logits > 0) == (labels > 0.5))),
        }

    return validate


def _save_best(run):
    """Writes best/ when the epoch that has just ended is the best; an earlier one's was complete before it began."""
    if run.best_epoch == run.epoch:
        save_model(run.run_dir / "best", run.model, _recipe(run))


def _line(row, epochs):
    names = ("loss", "auc", "accuracy", "val_loss", "val_auc", "val_accuracy")
    shown = [f"{name} {row[name]:.4f}" for name in names if row.get(name) is not None]
    return f"epoch {row['epoch']}/{epochs}  {'  '.join(shown)}  {row['seconds']:.0f} s"


def _finish(run, say):
    """Writes last/, scores the validation split with best/, and puts threshold and temperature into its recipe."""
    save_model(run.run_dir / "last", run.model, _recipe(run))
    model, recipe = load_model(run.run_dir / "best")
    result = {"epochs": run.epoch, "best_epoch": run.best_epoch, "best": run.rows[run.best_epoch - 1]}
    if run.has_validation:
        rows = scoring.score_data(model, run.prepared, "validation", run.config.batch_size)
        scoring.write_scores(run.run_dir / "scores_validation.csv", rows)
        found = evaluation.calibrate(rows)
        chosen = {name: found[name] for name in ("threshold", "share_threshold", "temperature", "calibration")}
        recipe = dataclasses.replace(recipe, **chosen)
    else:
        chosen = {"calibration": "not calibrated: the data set has no validation split"}
        recipe = dataclasses.replace(recipe, **chosen)
    write_json(run.run_dir / "best" / RECIPE_FILE, recipe.to_dict())
    write_json(run.run_dir / "result.json", result | chosen)
    best = result["best"]
    auc = f", validation AUC {best['val_auc']:.4f}" if best.get("val_auc") is not None else ""
    say(f"{run.run_dir / 'best'}: epoch {run.best_epoch}{auc}, threshold {recipe.threshold:.3f}.")
