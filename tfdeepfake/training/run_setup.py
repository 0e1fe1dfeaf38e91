"""What a run is made of: config -> devices, data, compiled network, restored state."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras

from tfdeepfake import models
from tfdeepfake.data.batches import pipeline
from tfdeepfake.data.batches.selection import Selection, select
from tfdeepfake.data.batches.window import whole, windowed
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json, write_json
from tfdeepfake.training import checkpoint, classes, devices, network, objective, optimizer, run_folder, start_from
from tfdeepfake.training.config import TrainConfig


@dataclasses.dataclass
class Run:
    """What the steps of a run have in common.

    Args:
      model: the whole network, which is saved.
      trained: what is trained: the network, or with triplets its part up to `embedding`, of the same layers.
      classes: names of the network's outputs, `real` first; None for one logit of FAKE.
      batches, seconds: trained of the epoch after `rows`.
    """

    config: TrainConfig
    run_dir: Path
    strategy: object
    prepared: pipeline.PreparedData
    model: keras.Model
    trained: keras.Model
    classes: list | None
    input_type: str
    with_flow: bool
    network_args: dict
    start: dict | None
    steps: int
    class_weight: dict | None
    has_validation: bool
    rows: list
    best_epoch: int
    batches: int = 0
    seconds: float = 0.0

    @property
    def first(self) -> bool:
        """Whether this process writes the run folder: the only one, or the first of several."""
        return devices.is_first(self.strategy)

    @property
    def label_classes(self) -> tuple | None:
        """Classes that the labels number, see `records.View`; None for labels 0 and 1."""
        return tuple(self.classes) if self.config.target == "method" else None

    @property
    def saved(self) -> tuple:
        """(data recipe, network_args) of what is saved: trained on windows of chunks, a network scores the chunks."""
        data = self.prepared.recipe
        if data.sampling != "chunks" or self.prepared.stored_frames is None:
            return data, self.network_args
        data = whole(self.prepared).recipe
        return data, self.network_args | {"num_frames": data.num_frames}

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return len(self.rows)

    @property
    def done(self) -> bool:
        """Whether all epochs are finished, or so many of them brought nothing better."""
        patience = self.config.early_stopping_epochs
        stale = patience and self.epoch - self.best_epoch >= patience
        return self.epoch >= self.config.epochs or bool(stale)


def build(config: TrainConfig, run_dir: Path, log: Callable[[str], None] = lambda line: None) -> Run:
    """Opens the data, builds and compiles the network, and restores the state when there is one.

    Args:
      config: TrainConfig.
      run_dir: folder of the run, which the first of several processes writes.
      log: function that gets lines about weights that are fetched and layers that are new.
    Raises:
      InputError: see `train.train`.
    """
    strategy = _strategy(config)
    keras.utils.set_random_seed(config.seed)
    begun = run_folder.state_path(run_dir).exists()
    network.parameters(config.network)
    start = run_folder.started_from(config, run_dir, log)
    network_args = (start["network_args"] if start else {}) | network.own_args(config)
    input_type, with_flow = network.reads(config.network, network_args)
    prepared = pipeline.open_data(run_folder.data_version(config, run_dir), config.data_dir, input_type, with_flow)
    first = devices.is_first(strategy)
    prepared = _selected(config, prepared, run_dir, begun, log, first)
    if config.window_frames:
        if input_type != "clip":
            raise InputError("window_frames", f"is of networks that read clips; {config.network} reads single frames.")
        prepared = windowed(prepared, config.window_frames)
        if prepared.recipe.sampling == "chunks" and prepared.stored_frames > config.window_frames:
            models.check_any_length(config.network, prepared.stored_frames)
    network_args |= network.sizes_of(config, prepared.recipe, input_type)
    steps = _steps(config, prepared, input_type)
    if config.warmup_epochs > config.epochs:
        share = f"{config.epochs / config.warmup_epochs:.0%}"
        log(
            f"{run_dir}: the warm-up is longer than the run: learning_rate gets to {share} of {config.learning_rate:g}."
        )
    examples = run_folder.begun_with(run_dir)["examples"] if begun else None
    examples = examples or classes.count_examples(config, prepared, input_type)
    outputs = classes.names(config, examples, network_args)
    network_args |= {"num_classes": len(outputs)} if outputs else {}
    if config.loss == "triplet":
        classes.check_triplets(config, examples, strategy.num_replicas_in_sync)
    with strategy.scope():
        # The state has every weight: published ones need not be fetched again to resume.
        model = network.build(config.network, network.without_weights(network_args) if begun else network_args)
        if (models.input_type(model), models.wants_flow(model)) != (input_type, with_flow):
            raise ValueError(f"model_inputs.READS is wrong about {config.network}, which reads {model.input_shape}.")
        network.check_precision(config.precision, model)
        if start and not begun:
            start["new_layers"] = start_from.load(model, start, config.new_layers)
            log(f"{run_dir}: {start_from.line(start)}")

    def facts():
        about = {"network": config.network, "network_args": network_args, "input_type": input_type}
        about |= {"selection": prepared.selection.counts} if prepared.selection else {}
        return about | {"examples": examples, "start_from": start}

    if first:
        run_folder.begin(config, run_dir, prepared.version, facts)
    progress = {"rows": [], "best_epoch": 0}
    with strategy.scope():
        trained = _compile(model, config, steps, config.backend == "jax" or devices.one_gpu(strategy))
        if begun:
            progress = checkpoint.load_state(run_folder.state_path(run_dir), model)
    return Run(
        config=config,
        run_dir=run_dir,
        strategy=strategy,
        prepared=prepared,
        model=model,
        trained=trained,
        classes=outputs,
        input_type=input_type,
        with_flow=with_flow,
        network_args=network_args,
        start=start,
        steps=steps,
        class_weight=_class_weight(config, examples) if config.loss != "triplet" else None,
        has_validation="validation" in prepared.builder.info.splits,
        rows=progress["rows"],
        best_epoch=progress["best_epoch"],
        batches=progress.get("batches", 0),
        seconds=progress.get("seconds", 0.0),
    )


def _selected(config, prepared, run_dir, begun, log, first):
    """The data of which only those videos are read that the config asks for; once begun, those of the beginning."""
    path, most = run_dir / "selection.json", config.most_per_method()
    if not (config.methods or config.sources or most):
        return prepared
    if begun:
        return dataclasses.replace(prepared, selection=Selection(**read_json(path)))
    prepared = select(prepared, config.methods, config.sources, most)
    for line in prepared.selection.lines():
        log(f"{run_dir}: {line}")
    if first:
        write_json(path, prepared.selection.to_dict())
    return prepared


def _class_weight(config, examples):
    """{label: weight}, or None where all examples count the same."""
    if config.class_weights == "balanced":
        return pipeline.balanced_weights(*examples.values())
    numbers = config.class_weight_numbers()
    if numbers and len(numbers) != len(examples):
        raise InputError("class_weights", f"has {len(numbers)} numbers, there are {len(examples)} classes.")
    return numbers


def _strategy(config):
    """The run's tf.distribute strategy, whose replicas take equal parts of a batch."""
    strategy = devices.strategy(config.devices, config.backend)
    if config.mix != "none" and getattr(strategy, "processes", 1) > 1:
        raise InputError("mix", "is of whole batches, of which each process reads a part.", "Use one process.")
    if config.batch_size % strategy.num_replicas_in_sync:
        raise InputError(
            "batch_size", f"needs a multiple of {strategy.num_replicas_in_sync} (devices), got {config.batch_size}."
        )
    if config.clip_norm and strategy.num_replicas_in_sync > 1 and config.backend == "tensorflow":
        # Keras clips each replica's part of the gradient before they are added.
        raise InputError("clip_norm", "is that of the whole gradient, which needs one device.", "Use --devices 1.")
    return strategy


def _steps(config, prepared, input_type):
    """Steps of an epoch."""
    steps = pipeline.steps_per_epoch(prepared, "train", input_type, config.batch_size)
    if not steps:
        count = pipeline.example_count(prepared, "train", input_type)
        raise InputError("batch_size", f"is {config.batch_size}, but the training split has only {count} examples.")
    return steps


def _compile(model, config, steps, compiled):
    """Gives the network its optimizer, loss and metrics; what does not train is frozen first. Returns `Run.trained`."""
    optimizer.freeze_all_but(model, config.train_only)
    trained, num_classes = model, model.outputs[0].shape[-1]
    if config.loss == "triplet":
        trained = keras.Model({i.name: i for i in model.inputs}, model.get_layer("embedding").output, name=model.name)
    trained.compile(
        optimizer=optimizer.optimizer(config, steps),
        loss=objective.loss(config, num_classes),
        metrics=objective.metrics(config, num_classes),
        # TensorFlow's XLA crashes on CPU replicas and is slower there (oneDNN's convolutions are not used).
        jit_compile="auto" if compiled else False,
    )
    trained.optimizer.build(trained.trainable_variables)
    # The state of a run has all weights, and those of the optimizer.
    model.optimizer = trained.optimizer
    return trained
