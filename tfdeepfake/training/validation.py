"""The validation split after an epoch: loss, AUC and accuracy over all of its examples.

`fit`'s own validation is wrong under several replicas when the last batch is uneven, and its AUC is read off 200
thresholds. Here the last batch is padded and the padding dropped. Of several processes on JAX each decodes its part.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from tfdeepfake.data.batches import pipeline
from tfdeepfake.scoring.classes import class_probabilities

if TYPE_CHECKING:
    from tfdeepfake.training.run_setup import Run


def validation(run: "Run") -> Callable[[], dict]:
    """Function without arguments that scores the whole validation split.

    Returns:
      Function that returns {"val_loss", "val_auc", "val_accuracy"}. Of K classes the AUC is the mean over the classes
      of each one's against the rest, for two of them that of the difference of their logits. With triplets there is no
      AUC (None), the loss is that of one triplet for each example as anchor, always the same ones, and accuracy the
      fraction of them whose positive is nearer than their negative.
    """
    size, with_flow = run.config.batch_size, run.with_flow
    batches = pipeline.validation_batches(
        run.prepared,
        run.input_type,
        size,
        with_flow=with_flow,
        cache_bytes=pipeline.CACHE_BYTES // 4,
        augment=run.config.augment if run.config.augment_validation else "none",
        seed=run.config.seed,
        parts=getattr(run.strategy, "processes", 1),
        part=getattr(run.strategy, "process", 0),
    )
    predict = _predictor(run)
    measure = _of_triplets if run.config.loss == "triplet" else _of_logits
    labels = None

    def validate():
        nonlocal labels
        if labels is None:
            labels = pipeline.validation_labels(run.prepared, run.input_type, with_flow, run.label_classes).numpy()
        outputs = np.asarray(predict(batches), np.float32)[: len(labels)]
        return measure(run.trained.loss, labels, outputs, size)

    return validate


def _predictor(run):
    """A function of batches, or of this process's part of them, that returns the outputs of all examples."""
    if run.config.backend == "tensorflow":
        return lambda batches: run.trained.predict(batches, verbose=0)
    from tfdeepfake.training.jax_devices import predictor

    return predictor(run.trained, run.strategy)


def _mean_loss(loss, labels, outputs, size):
    """Mean over all rows, computed batch by batch: BCE + F1 is one of batches."""
    total = 0.0
    for start in range(0, len(labels), size):
        part = slice(start, start + size)
        values = keras.ops.convert_to_numpy(loss(labels[part], outputs[part]))
        total += float(np.mean(values)) * len(labels[part])
    return total / len(labels)


def _of_logits(loss, labels, logits, size):
    """Metrics of logits [N, 1] or [N, K] for labels [N, 1]."""
    numbers, count = labels[:, 0].astype(int), logits.shape[1]
    if count == 1:
        scores, right = [logits[:, 0]], (logits[:, 0] > 0) == (numbers == 1)
    else:
        scores, right = list(class_probabilities(logits).T), logits.argmax(axis=1) == numbers
    # Of one logit the class is fake.
    classes = [1] if count == 1 else range(count)
    areas = [
        roc_auc_score(numbers == number, score)
        for number, score in zip(classes, scores, strict=True)
        if 0 < np.sum(numbers == number) < len(numbers)
    ]
    return {
        "val_loss": _mean_loss(loss, labels, logits, size),
        "val_auc": float(np.mean(areas)) if areas else None,
        "val_accuracy": float(np.mean(right)),
    }


def _of_triplets(loss, labels, embeddings, size):
    """Metrics of embeddings [N, C] for labels [N, 1]."""
    rows = embeddings[validation_triplets(labels[:, 0].astype(int))]
    apart = np.linalg.norm(rows[:, :1] - rows[:, 1:], axis=-1)
    flat = rows.reshape(-1, rows.shape[-1])
    # The rows of a batch are whole triplets.
    mean = _mean_loss(loss, np.zeros((len(flat), 1), np.float32), flat, size)
    return {"val_loss": mean, "val_auc": None, "val_accuracy": float(np.mean(apart[:, 0] < apart[:, 1]))}


def validation_triplets(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """One triplet for each example as anchor; the others are drawn.

    Args:
      labels: int [N], 0 or 1.
    Returns:
      int64 [M, 3] rows of anchor, positive and negative; M is N but for a class with one example.
    """
    rng, triplets = np.random.default_rng(seed), []
    for label in (0, 1):
        own, others = np.flatnonzero(labels == label), np.flatnonzero(labels != label)
        if len(own) < 2 or not len(others):
            continue
        # The positive is another one: so many places behind the anchor, around the end.
        place = (np.arange(len(own)) + rng.integers(1, len(own), len(own))) % len(own)
        triplets.append(np.stack([own, own[place], rng.choice(others, len(own))], axis=1))
    return np.concatenate(triplets) if triplets else np.zeros((0, 3), np.int64)
