"""What a run is made of: config -> devices, data, compiled network, restored state."""

import dataclasses
import inspect
import sys
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

from tfdeepfake import losses, models
from tfdeepfake.data.batches import pipeline
from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import load_recipe, load_weights
from tfdeepfake.training import checkpoint, devices, run_folder
from tfdeepfake.training.config import TrainConfig


@contextmanager
def mixed_precision(precision):
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
class Run:
    """What the steps of one run share."""

    config: TrainConfig
    run_dir: Path
    strategy: object
    prepared: pipeline.PreparedData
    model: keras.Model
    input_type: str
    with_flow: bool
    network_args: dict
    started: dict | None
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


def build(config, run_dir):
    """Opens the data, builds and compiles the network, and restores the state when there is one."""
    strategy = devices.strategy(config.devices)
    if config.batch_size % strategy.num_replicas_in_sync:
        raise InputError(
            "batch_size", f"needs a multiple of {strategy.num_replicas_in_sync} (devices), got {config.batch_size}."
        )
    keras.utils.set_random_seed(config.seed)
    # Its input type shows once it is built, which takes the data's size; but only clip networks have `num_frames`.
    guess = "clip" if "num_frames" in _parameters(config.network) else None
    prepared = pipeline.open_data(run_folder.data_version(config, run_dir), config.data_dir, guess)
    begun = run_folder.state_path(run_dir).exists()
    started = run_folder.started_from(config, run_dir)
    network_args = _network_args(config, prepared.recipe, started)
    with strategy.scope():
        try:
            # The state has every weight: published ones need not be fetched again to go on.
            model = models.build(config.network, **(without_weights(network_args) if begun else network_args))
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(config.network, f"cannot be built with {network_args}: {error}") from error
        if started and not begun:
            load_weights(model, config.start_from, load_recipe(config.start_from))
    input_type, with_flow = models.input_type(model), models.wants_flow(model)
    # Asked again with what the network really reads: says which command prepares such data.
    prepared = pipeline.open_data(prepared.version, config.data_dir, input_type, with_flow)

    steps = pipeline.steps_per_epoch(prepared, "train", input_type, config.batch_size)
    if not steps:
        count = pipeline.example_count(prepared, "train", input_type)
        raise InputError("batch_size", f"is {config.batch_size}, but the training split has only {count} examples.")

    def found():
        real, fake = pipeline.label_counts(prepared, "train", input_type)
        if not real or not fake:
            raise InputError(prepared.version, f"needs real and fake training examples, has {real} and {fake}.")
        return {
            "network": config.network,
            "network_args": network_args,
            "input_type": input_type,
            "examples": {"real": real, "fake": fake},
            "start_from": started,
        }

    versions = run_folder.begin(config, run_dir, prepared.version, found)
    class_weight = None
    if config.class_weights == "balanced":
        class_weight = pipeline.balanced_weights(versions["examples"]["real"], versions["examples"]["fake"])
    loss = config.loss
    if loss == "auto":
        loss = "bce_f1" if input_type == "clip" and config.mix == "none" else "bce"
    with strategy.scope():
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate(config, steps)),
            loss=losses.get(loss, config.alpha, config.beta),
            metrics=[
                keras.metrics.AUC(from_logits=True, name="auc"),
                keras.metrics.MeanMetricWrapper(_right, name="accuracy"),
            ],
            # XLA crashes on CPU replicas and is slower there (oneDNN's convolutions are not used).
            jit_compile="auto" if devices.one_gpu(strategy) else False,
        )
        model.optimizer.build(model.trainable_variables)
        saved = {"rows": [], "best_epoch": 0}
        if begun:
            saved = checkpoint.load_state(run_folder.state_path(run_dir), model)
    return Run(
        config=config,
        run_dir=run_dir,
        strategy=strategy,
        prepared=prepared,
        model=model,
        input_type=input_type,
        with_flow=with_flow,
        network_args=network_args,
        started=started,
        steps=steps,
        class_weight=class_weight,
        has_validation="validation" in prepared.builder.info.splits,
        rows=saved["rows"],
        best_epoch=saved["best_epoch"],
    )


def _right(labels, logits):
    """Whether each example is on its label's side; a mixed one has the label of its larger part."""
    return keras.ops.cast(keras.ops.equal(labels > 0.5, logits > 0), "float32")


def _parameters(network):
    """Names of a network's arguments."""
    if network not in models.MODELS:
        try:
            models.build(network)
        except ValueError as error:  # names the networks nearest to it
            raise InputError("network", str(error)) from None
    return inspect.signature(models.MODELS[network]).parameters


def _network_args(config, recipe, started):
    """The config's arguments over those of the folder it starts from; the input size (and the frames of a clip
    network) are those of the data.
    """
    parameters = _parameters(config.network)
    size = {"input_size": [recipe.height_px, recipe.width_px], "num_frames": recipe.num_frames}
    size = {name: value for name, value in size.items() if name in parameters}
    for name, value in size.items():
        given = config.network_args.get(name, value)
        if list(given) != value if name == "input_size" else given != value:
            raise InputError(
                "network_args",
                f"{name} is {given}, but the data set has {value}.",
                "Leave it out: it comes from the data.",
            )
    return {**(started["network_args"] if started else {}), **config.network_args, **size}


def without_weights(network_args):
    """Arguments that build the same network without published weights, whose place its own have taken."""
    return {name: value for name, value in network_args.items() if name != "weights"}


def learning_rate(config, steps):
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
