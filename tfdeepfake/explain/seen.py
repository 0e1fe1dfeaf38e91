"""From a map inside a network back to the frames it was given: spaced frames, clips in a batch, thumbnails, less time.

A network may look at fewer frames than it is given (members of an ensemble), fold a clip into the batch, or lay it out
as one image (TALL). How it does is not read from names or arguments: noise in one frame after the other shows in which
images and where in them that frame arrives.
"""

from dataclasses import dataclass

import keras
import numpy as np

# A line of the image belongs to a frame where it moves at least this fraction of what the most moved one does.
EDGE = 0.3


@dataclass(frozen=True, eq=False)
class Seen:
    """Where the frames of an input lie in what a part of a network looks at.

    Args:
      num_frames: T of the network's input; 1 for a frame network.
      size: (height, width) of it in px.
      frames: int64 [N], numbers of the frames that are looked at, rising.
      slots: int64 [N], in which image (or place in time) each lies.
      regions: float64 [N, 4], top, bottom, left and right edge in that image, 0..1.
      num_slots: images, or places in time, of a clip.
    """

    num_frames: int
    size: tuple
    frames: np.ndarray
    slots: np.ndarray
    regions: np.ndarray
    num_slots: int


def ancestors(model: keras.Model, tensor: keras.KerasTensor, input_name: str) -> keras.Model:
    """The part of a network that leads from its inputs to one of its tensors."""
    return keras.Model({input_name: inputs_of(model)[input_name]}, tensor)


def inputs_of(model: keras.Model) -> dict:
    """{"frames": tensor} and, where the network has it, "flow"."""
    return {tensor.name: tensor for tensor in model.inputs}


def seen_by(model: keras.Model, tensor: keras.KerasTensor, input_name: str = "frames") -> Seen:
    """Finds out which frames, and where, the part of a network before `tensor` looks at.

    Args:
      model: keras.Model; tensor: KerasTensor inside it, which depends on the input alone.
      input_name: "frames" or "flow".
    Returns:
      Seen.
    Raises:
      ValueError: nothing of the input arrives there.
    """
    shape = inputs_of(model)[input_name].shape[1:]
    frames, (height, width) = (shape[0] if len(shape) == 4 else 1), shape[-3:-1]
    whole = np.tile(np.array([0.0, 1.0, 0.0, 1.0]), (frames, 1))
    numbers = np.arange(frames)
    identity = Seen(frames, (height, width), numbers, numbers, whole, frames)
    first = _first_looked_at(model, tensor, input_name)
    if frames == 1 or (len(first.shape) == 5 and first.shape[1] == frames):
        return identity
    look = ancestors(model, first, input_name)
    rng = np.random.default_rng(0)
    clip = np.zeros((1, *shape), np.float32)
    ground = keras.ops.convert_to_numpy(look({input_name: clip}, training=False))
    arrived = []
    for number in range(frames):
        clip[:] = 0
        clip[0, number] = rng.uniform(0, 255, shape[1:])
        moved = np.abs(keras.ops.convert_to_numpy(look({input_name: clip}, training=False)) - ground)
        moved = moved.reshape(-1, *moved.shape[-3:]).sum(-1)  # [slots, h, w]
        slot = int(moved.max(axis=(1, 2)).argmax())
        if moved[slot].max() > 0:
            arrived.append((number, slot, *_edges(moved[slot].mean(1)), *_edges(moved[slot].mean(0))))
    if not arrived:
        raise ValueError(f"{input_name} does not reach {first.name}.")
    table = np.array(arrived)
    slots = ground.size // int(np.prod(ground.shape[-3:]))
    return Seen(frames, (height, width), table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:], slots)


def _first_looked_at(model, tensor, input_name):
    """What enters the first operation with weights on the way to a tensor: the images that the network looks at."""
    part = ancestors(model, tensor, input_name)
    for operation in part.operations:
        if getattr(operation, "weights", None):
            return operation.input
    return inputs_of(model)[input_name]


def _edges(moved):
    """Where a profile is high: its first and its last edge, 0..1."""
    high = np.flatnonzero(moved > EDGE * moved.max())
    return high[0] / len(moved), (high[-1] + 1) / len(moved)


def lines(count: int, out: int, start: float = 0.0, end: float = 1.0) -> np.ndarray:
    """Linear interpolation along an axis with half-pixel centres, as a matrix; ends continue flat.

    Args:
      count: lines of the map.
      out: lines wanted.
      start, end: the part of the map that they cover, 0..1. No line outside it counts.
    Returns:
      float64 [out, count], rows summing to 1.
    """
    place = (start + (end - start) * (np.arange(out) + 0.5) / out) * count - 0.5
    low, high = max(0.0, start * count - 1e-9), min(count - 1.0, end * count - 1 + 1e-9)
    place = np.clip(place, min(low, high), max(low, high)).clip(0, count - 1)
    below = np.minimum(np.floor(place).astype(int), max(count - 2, 0))
    matrix, rows = np.zeros((out, count)), np.arange(out)
    matrix[rows, below] = 1 - (place - below)
    matrix[rows, np.minimum(below + 1, count - 1)] += place - below
    return matrix


def over_frames(values: np.ndarray, seen: Seen) -> np.ndarray:
    """Maps of a network, enlarged to the frames they are about.

    Args:
      values: float [B, t, h, w]: t places in time, or t images as in `seen`; 1 for a thumbnail or a frame.
      seen: of the same layer.
    Returns:
      float32 [B, T, H, W]. A frame that is not looked at has the map between its neighbours'.
    """
    batch, times, height, width = values.shape
    out_h, out_w = seen.size
    through_time = lines(times, seen.num_slots)
    maps = np.zeros((batch, len(seen.frames), out_h, out_w), np.float32)
    for place, (slot, (top, bottom, left, right)) in enumerate(zip(seen.slots, seen.regions, strict=True)):
        image = np.einsum("t,bthw->bhw", through_time[slot], values)
        rows, columns = lines(height, out_h, top, bottom), lines(width, out_w, left, right)
        maps[:, place] = np.einsum("yh,bhw,xw->byx", rows, image, columns, optimize=True)
    if len(seen.frames) == seen.num_frames:
        return maps
    wanted = np.interp(np.arange(seen.num_frames), seen.frames, np.arange(len(seen.frames)))
    below = np.floor(wanted).astype(int)
    part = (wanted - below).astype(np.float32)[:, None, None]
    return maps[:, below] * (1 - part) + maps[:, np.minimum(below + 1, len(seen.frames) - 1)] * part
