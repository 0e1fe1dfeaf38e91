"""A network and prepared data to embeddings, one row of the layer `embedding` for each frame or clip."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from tfdeepfake.errors import InputError

if TYPE_CHECKING:
    import keras

    from tfdeepfake.data.batches.prepared import PreparedData

KEYS = ("data_set", "method", "video", "source", "face", "frame", "timestamp_s")


@dataclasses.dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings and what each is of.

    Args:
      values: float32 [N, D].
      labels: int8 [N], 1 is fake.
      keys: {name: array [N]} of `KEYS`; texts are object arrays.
      subgroups: {name: object array [N]}, such as "gender"; "" where it is not known.
    """

    values: np.ndarray
    labels: np.ndarray
    keys: dict
    subgroups: dict

    def groups(self) -> dict[str, np.ndarray]:
        """{name: text of each row} that purity is told by: label, method, identity and the subgroups."""
        label = np.array(["real", "fake"], object)[self.labels]
        named = {"label": label, "method": self.keys["method"], "identity": self.keys["source"]}
        return named | self.subgroups

    def chosen(self, rows: np.ndarray) -> "Embeddings":
        """Those of some rows."""
        parts = ({name: array[rows] for name, array in one.items()} for one in (self.keys, self.subgroups))
        return Embeddings(self.values[rows], self.labels[rows], *parts)


def embed_data(model: "keras.Model", prepared: "PreparedData", split: str, batch_size: int = 16) -> Embeddings:
    """The layer `embedding` for every example of a split.

    Memory is that of the embeddings, 4 N D bytes (130,000 of 1,792: 0.9 GB), and of the batches in work.

    Args:
      model: with the layer `embedding`; of an ensemble that are the members' logits.
      prepared: what `data.batches.prepared.open_data` returns, of the network's recipe.
      split: "train", "validation" or "test".
      batch_size: examples at a time.
    Raises:
      InputError: the network has no such layer, the split is empty or damaged, or an embedding is no number.
    """
    import keras

    if "embedding" not in {layer.name for layer in model.layers}:
        named = ", ".join(layer.name for layer in model.layers[-8:])
        raise InputError(model.name, "has no layer 'embedding'.", f"Its last ones are {named}.")
    layer = model.get_layer("embedding")
    part = keras.Model({tensor.name: tensor for tensor in model.inputs}, layer.output)
    parts, labels, keys, shared = [], [], {name: [] for name in KEYS}, {}
    for inputs, label, of_batch in batches(model, prepared, split, batch_size, "embedding"):
        values = np.asarray(part.predict_on_batch(inputs), np.float32)
        parts.append(values.reshape(len(label), -1))
        labels.append(label[:, 0].astype(np.int8))
        for name in KEYS:
            column = of_batch[name]
            if column.dtype == object:  # one object for each distinct text
                texts = [value.decode("utf-8") for value in column]
                column = np.array([shared.setdefault(text, text) for text in texts], object)
            keys[name].append(column)
    values = np.concatenate(parts)
    if not np.isfinite(values).all():
        broken = int((~np.isfinite(values).all(axis=1)).sum())
        raise InputError(model.name, f"gives {broken} of {len(values)} embeddings that are no number.")
    keys = {name: np.concatenate(column) for name, column in keys.items()}
    return Embeddings(values, np.concatenate(labels), keys, _subgroups(prepared, split, keys))


def batches(model: "keras.Model", prepared: "PreparedData", split: str, batch_size: int, doing: str) -> Iterator[tuple]:
    """Yields (inputs, label float32 [B, 1], keys) of one pass over a split in stored order, as numpy arrays."""
    from tfdeepfake import model_inputs
    from tfdeepfake.data.batches import pipeline

    input_type, with_flow = model_inputs.input_type(model), model_inputs.wants_flow(model)
    dataset = pipeline.scoring_batches(prepared, split, input_type, batch_size, with_keys=True, with_flow=with_flow)
    total = pipeline.example_count(prepared, split, input_type)
    bar = tqdm(total=total, desc=f"{doing} {split}", unit=input_type if input_type == "clip" else "frame", disable=None)
    with bar, pipeline.reading(prepared, split):
        for batch in dataset.as_numpy_iterator():
            yield batch
            bar.update(len(batch[1]))


def _subgroups(prepared, split, keys):
    """{name: object [N]} of the data set's subgroup columns, which belong to videos."""
    names = prepared.metadata.get("subgroups", [])
    if not names:
        return {}
    import tensorflow_datasets as tfds

    decoders = tfds.decode.PartialDecoding(dict.fromkeys(("method", "video", *names), True))
    known = {}
    for example in tfds.as_numpy(prepared.builder.as_dataset(split=split, decoders=decoders)):
        known[example["method"].decode(), example["video"].decode()] = [example[name].decode() for name in names]
    rows = [known[pair] for pair in zip(keys["method"], keys["video"], strict=True)]
    return {name: np.array([row[k] for row in rows], object) for k, name in enumerate(names)}


def thumbnails(
    model: "keras.Model", prepared: "PreparedData", split: str, rows: set[int], side_px: int = 72, batch_size: int = 64
) -> dict[int, np.ndarray]:
    """Small images of some examples, read in a second pass: all of a large set would fill the memory.

    Args:
      model, prepared, split: as of `embed_data`.
      rows: numbers of the examples.
      side_px: of the images.
    Returns:
      {row: uint8 [side_px, side_px, 3]}; of a clip its middle frame.
    """
    import cv2

    images, start = {}, 0
    if not rows:
        return images
    for inputs, label, _ in batches(model, prepared, split, batch_size, "images of"):
        for row in rows.intersection(range(start, start + len(label))):
            frame = inputs["frames"][row - start]
            frame = frame[len(frame) // 2] if frame.ndim == 4 else frame
            frame = np.clip(np.rint(frame), 0, 255).astype(np.uint8)
            images[row] = cv2.resize(frame, (side_px, side_px), interpolation=cv2.INTER_AREA)
        start += len(label)
        if start > max(rows):
            break
    return images
