"""Classes of a run: real and fake, or the methods of its data; how many examples each has; what does not fit."""

import inspect

from tfdeepfake import models
from tfdeepfake.data.batches import pipeline
from tfdeepfake.errors import InputError
from tfdeepfake.scoring.classes import PAIR, REAL_CLASS
from tfdeepfake.training.config import TrainConfig


def count_examples(config: TrainConfig, prepared: pipeline.PreparedData, input_type: str) -> dict[str, int]:
    """Training examples of each class, in the order of the labels: real and fake, or real and each method by name.

    Raises:
      InputError: a class has none, or the validation split lacks a class or has fakes of another.
    """
    real, fakes = pipeline.method_counts(prepared, "train", input_type)
    if not real or not fakes:
        counts = f"{real} and {sum(fakes.values())}"
        raise InputError(prepared.version, f"needs real and fake training examples, has {counts}.")
    if config.target == "label":
        return {PAIR[0]: real, PAIR[1]: sum(fakes.values())}
    for method, problem in (("", "do not say their method"), (REAL_CLASS, f"have a method called {REAL_CLASS!r}")):
        if method in fakes:
            raise InputError(
                prepared.version,
                f"{fakes[method]} fake training examples {problem}.",
                "Name it (video_folder: the column method of its list), or train with --target label.",
            )
    if "validation" in prepared.builder.info.splits:
        _check_validation(prepared, input_type, fakes)
    return {REAL_CLASS: real, **fakes}


def _check_validation(prepared, input_type, fakes):
    """Without examples of a class nothing could choose the best epoch for it."""
    real, there = pipeline.method_counts(prepared, "validation", input_type)
    missing = [] if real else [REAL_CLASS]
    missing += [method for method in fakes if method not in there]
    if missing:
        raise InputError(
            prepared.version,
            f"has no example of {', '.join(missing)} in the split 'validation', but in 'train'.",
            "Prepare it with that method in both splits, or in none.",
        )
    if unknown := [method or "(no method)" for method in there if method not in fakes]:
        raise InputError(
            prepared.version,
            f"has {', '.join(unknown)} in the split 'validation', but not in 'train'.",
            "Prepare it with that method in both splits, or in none.",
        )


def names(config: TrainConfig, examples: dict[str, int], network_args: dict) -> list[str] | None:
    """Names of the network's outputs.

    Args:
      config: TrainConfig.
      examples: of `count_examples`.
      network_args: of the run, those of the folder it starts from included.
    Returns:
      None for one logit of FAKE, else the names of K classes, `real` first.
    Raises:
      InputError: the data and the network have other numbers of classes, or the network has one output only.
    """
    of_data, given = list(examples), network_args.get("num_classes")
    if config.target == "label":
        if given in (None, 1):
            return None
        if given == len(PAIR):
            return of_data
        raise InputError(
            "network_args",
            f"num_classes is {given}, but the target label has two classes, real and fake.",
            f"Leave it out, or train with --target method: its classes are {REAL_CLASS} and each method of the data.",
        )
    if "num_classes" not in inspect.signature(models.MODELS[config.network]).parameters:
        raise InputError(
            config.network, "has one output only.", "Choose another network, or train with --target label."
        )
    if config.network_args.get("num_classes", len(of_data)) != len(of_data):
        raise InputError(
            "network_args",
            f"num_classes is {given}, but the data has {len(of_data)} classes: {', '.join(of_data)}.",
            "Leave it out: it comes from the data.",
        )
    return of_data


def check_triplets(config: TrainConfig, examples: dict[str, int], num_replicas: int) -> None:
    """What batches of triplets need.

    Raises:
      InputError: the batch cannot be parted into triplets, or a class has no two examples.
    """
    if config.batch_size % (3 * num_replicas):
        each = f" on each of {num_replicas} devices" if num_replicas > 1 else ""
        raise InputError(
            "batch_size",
            f"needs a multiple of {3 * num_replicas} with the loss triplet (anchor, positive, negative{each}), "
            f"got {config.batch_size}.",
        )
    if few := [name for name, count in examples.items() if count < 2]:
        raise InputError("loss", f"triplet needs two training examples of a class, {few[0]} has one.")
