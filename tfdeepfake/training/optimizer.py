"""The optimizer of a run, its learning rate, and which weights it changes (`train_only`)."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

import keras

from tfdeepfake.errors import InputError
from tfdeepfake.training import fused
from tfdeepfake.training.config import TrainConfig


def optimizer(config: TrainConfig, steps: int) -> keras.optimizers.Optimizer:
    """The Keras optimizer of a config, its updates in one pass (`fused`).

    Args:
      config: TrainConfig. `epsilon` is epsilon-hat of arXiv:1412.6980 (end of Sec. 2), as in Keras; PyTorch adds its
        own after the correction of the bias, which differs in the first steps only.
        `weight_decay` is decoupled from the gradient (arXiv:1711.05101) in AdamW and in SGD alike.
      steps: of an epoch.
    """
    shared = {"learning_rate": learning_rate(config, steps), "global_clipnorm": config.clip_norm}
    if config.optimizer == "sgd":
        return fused.SGD(momentum=config.momentum, weight_decay=config.weight_decay or None, **shared)
    shared |= {"beta_1": config.beta_1, "beta_2": config.beta_2, "epsilon": config.epsilon}
    if config.optimizer == "adamw":
        return fused.AdamW(weight_decay=config.weight_decay, **shared)
    return fused.Adam(**shared)


def learning_rate(config: TrainConfig, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
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


def freeze_all_but(model: keras.Model, patterns: Sequence[str], field: str = "train_only") -> int:
    """Lets only the weights train that a pattern names; a layer without one of them infers, batch norm included.

    Args:
      model: keras.Model, not compiled yet.
      patterns: of shells (`fnmatch`), held against names of layers and paths of weights: "logits", "graph_*",
        "*/gamma". All weights train when there are none.
      field: the argument's name, for errors.
    Returns:
      Number of weight arrays that train.
    Raises:
      InputError: a pattern names no weight that can train; lists the layers nearest to it.
    """
    if not patterns:
        return len(model.trainable_variables)
    layers = [layer for layer in model.layers if layer.trainable_variables]
    chosen, matched = set(), set()
    for layer in layers:
        for weight in layer.trainable_variables:
            fitting = [p for p in patterns if fnmatchcase(layer.name, p) or fnmatchcase(weight.path, p)]
            matched.update(fitting)
            if fitting:
                chosen.add(weight.path)
    if missing := [pattern for pattern in patterns if pattern not in matched]:
        raise InputError(field, f"{missing[0]!r} matches no layer with weights.", _nearest(missing[0], layers))
    for layer in layers:
        weights = [*layer.trainable_variables]
        if not any(weight.path in chosen for weight in weights):
            layer.trainable = False
        for weight in weights:
            weight.trainable = weight.path in chosen
    return len(chosen)


def _nearest(pattern, layers):
    """A sentence that names the layers a wrong pattern may have meant."""
    names = [layer.name for layer in layers]
    letters = pattern.replace("*", "").replace("?", "").partition("/")[0]
    near = [name for name in names if letters and letters in name]
    near = (near or difflib.get_close_matches(letters, names, n=5, cutoff=0.4))[:5]
    if near:
        return f"Near it are {', '.join(near)}."
    shown = ", ".join([*names[:3], "...", *names[-3:]] if len(names) > 6 else names)
    return f"The layers with weights are {shown}; `*/NAME` matches weights of a name in any layer."
