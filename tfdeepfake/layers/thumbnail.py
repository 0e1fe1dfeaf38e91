"""A clip as one image: its frames side by side in a grid (TALL, P4 Sec. 3.1, Algorithm 1, Tables 8 to 10)."""

import math
from collections.abc import Sequence

from keras import KerasTensor, initializers, layers, ops, random, saving

ORDERS = ("forward", "reverse", "random")


def cells(rows: int, columns: int, snake: bool = False) -> list[tuple[int, int]]:
    """Grid cells (row, column) in the order in which a clip's frames fill them.

    Args:
      rows, columns: of the grid. P4 Table 8 (a) is 4 x 1, (b) 1 x 4, (d) 2 x 2.
      snake: every other row runs backwards, P4 Table 8 (c): 0 1 above 3 2.
    """
    return [(r, columns - 1 - c if snake and r % 2 else c) for r in range(rows) for c in range(columns)]


def thumbnail(
    clip: KerasTensor,
    rows: int = 2,
    columns: int = 2,
    size: tuple = (224, 224),
    tile_size: tuple[int, int] | None = None,
    snake: bool = False,
    order: str = "forward",
    empty: int = 0,
    mask_px: int = 0,
    fill: Sequence[float] = (0.0, 0.0, 0.0),
    seed: int | None = None,
) -> KerasTensor:
    """The frames of a clip in a grid.

    Frames are resized to `tile_size`, put side by side, and the whole is resized to `size`, both bilinearly without
    anti-aliasing. The published network enlarges each frame to the size of the whole thumbnail first; at 112 px and
    2 x 2 that blurs the frames a little, which its weights are used to.

    Args:
      clip: float32 [B, T, H, W, C], T = rows * columns - empty.
      rows, columns, snake: the layout, see `cells`.
      size: (height, width) of the thumbnail in px. P4 Table 8 does not say how its 4 x 1 and 1 x 4 layouts come to
        224 x 224; here they are squeezed.
      tile_size: (height, width) of a frame before the thumbnail is resized; `size` when not given, as published.
        size=(448, 448) with tile_size=(224, 224) is P4 Table 10's "no downsampling", (112, 112) with (224, 224) the
        plain arrangement of sub-frames of P4 Sec. 3.1.
      order: "forward"; "reverse"; or "random": in training another order for each clip, else forward, because a score
        has to be the same twice.
      empty: cells left empty at the end; 1 and 2 in the first rows of P4 Table 9.
      mask_px: side of the square masked in training at the same place in every frame of a clip, in px of `clip`; 0
        for none. The authors mask 16 px of frames of 112.
      fill: colour [C] of masked squares and empty cells: what is zero once pixels are normalised, as published.
      seed: of mask and random order.
    Returns:
      float32 [B, *size, C].
    Raises:
      ValueError: another number of frames than cells, or an argument out of range.
    """
    _check(clip, rows, columns, order, empty, mask_px)
    _, frames, height, width, channels = clip.shape
    tile_h, tile_w = tile_size or size
    x = clip
    if mask_px:
        x = FrameMask(mask_px, fill, seed, dtype="float32", name="frame_mask")(x)
    if order == "random":
        x = FrameShuffle(None if seed is None else seed + 1, dtype="float32", name="frame_shuffle")(x)
    x = ops.reshape(x, (-1, height, width, channels))
    x = ops.reshape(_resized(x, (tile_h, tile_w)), (-1, frames, tile_h, tile_w, channels))
    if empty:
        blank = ops.broadcast_to(ops.convert_to_tensor(fill, "float32"), (empty, tile_h, tile_w, channels))
        x = ops.concatenate([x, ops.zeros_like(x[:, :1]) + blank], axis=1)
    # Which frame a cell shows, cell by cell along the rows.
    shown = {cell: frame for frame, cell in enumerate(cells(rows, columns, snake))}
    index = [shown[r, c] for r in range(rows) for c in range(columns)]
    if order == "reverse":
        index = [frames - 1 - frame if frame < frames else frame for frame in index]
    if index != sorted(index):
        x = ops.take(x, index, axis=1)
    x = ops.reshape(x, (-1, rows, columns, tile_h, tile_w, channels))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows * tile_h, columns * tile_w, channels))
    return _resized(x, tuple(size))


def _check(clip, rows, columns, order, empty, mask_px):
    if len(clip.shape) != 5:
        raise ValueError(f"clip needs [B, T, H, W, C], got shape {tuple(clip.shape)}.")
    for name, value in (("rows", rows), ("columns", columns)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} needs a positive integer, got {value!r}.")
    if order not in ORDERS:
        raise ValueError(f"order needs one of {ORDERS}, got {order!r}.")
    if not isinstance(empty, int) or not 0 <= empty < rows * columns:
        raise ValueError(f"empty needs 0 to {rows * columns - 1} of the {rows * columns} cells, got {empty!r}.")
    if not isinstance(mask_px, int) or mask_px < 0:
        raise ValueError(f"mask_px needs a whole number of px, 0 for no mask, got {mask_px!r}.")
    if clip.shape[1] != rows * columns - empty:
        count = clip.shape[1]
        need = "rows * columns" + (" - empty" if empty else "")
        cells = f"{rows} * {columns}" + (f" - {empty}" if empty else "")
        fitting = max(n for n in range(1, math.isqrt(count) + 1) if count % n == 0)
        raise ValueError(
            f"clip needs {need} = {cells} = {rows * columns - empty} frames, got {count} (shape {tuple(clip.shape)}): "
            f"rows={fitting}, columns={count // fitting} would hold them."
        )


def _resized(x, size):
    """Bilinear with half-pixel centres, as PyTorch's interpolate(align_corners=False)."""
    return x if tuple(x.shape[1:3]) == tuple(size) else ops.image.resize(x, size, antialias=False)


def cell_regions(x: KerasTensor, rows: int, columns: int, snake: bool = False) -> KerasTensor:
    """The region of each frame in a map computed from a thumbnail.

    Args:
      x: [B, h, w, C].
      rows, columns, snake: of the thumbnail.
    Returns:
      [B, rows * columns, h', w', C], in the order in which frames fill the grid; h' = ceil(h / rows). Where
      the grid does not divide the map (7 x 7 by 2 x 2), regions overlap in its middle lines (4 x 4 each).
    Raises:
      ValueError: the map has fewer lines than the grid.
    """
    _, height, width, _ = x.shape
    if height < rows or width < columns:
        raise ValueError(f"a map of {height} x {width} is too small for a grid of {rows} x {columns}.")
    tall, wide = _region(height, rows), _region(width, columns)
    regions = []
    for r, c in cells(rows, columns, snake):
        # The starts spread evenly from 0 to the last region that fits.
        top = r * (height - tall) // max(1, rows - 1)
        left = c * (width - wide) // max(1, columns - 1)
        regions.append(x[:, top : top + tall, left : left + wide])
    return ops.stack(regions, axis=1)


def _region(length, count):
    """Lines of a region so that `count` of one size cover `length`."""
    return -(-length // count)


@saving.register_keras_serializable("tfdeepfake")
class FrameMask(layers.Layer):
    """In training, one square per clip filled with a colour, at the same place in every frame (P4 Algorithm 1).

    The upper left corner is drawn anywhere in the frame, so a square may reach over its right and lower edge.

    Args:
      size_px: side of the square.
      fill: colour, one value per channel.
      seed: of the draw.
    """

    def __init__(self, size_px=16, fill=(0.0, 0.0, 0.0), seed=None, **kwargs):
        super().__init__(**kwargs)
        self.size_px, self.fill, self.seed = size_px, tuple(fill), seed
        self.seed_generator = random.SeedGenerator(seed)

    def call(self, clip, training=False) -> KerasTensor:
        """[B, T, H, W, C] -> the same."""
        if not training:
            return clip
        _, _, height, width, _ = clip.shape
        corner = random.uniform((ops.shape(clip)[0], 2), seed=self.seed_generator)
        inside = self._inside(corner[:, :1], height)[:, None, :, None, None]
        inside = ops.logical_and(inside, self._inside(corner[:, 1:], width)[:, None, None, :, None])
        return ops.where(inside, ops.cast(ops.convert_to_tensor(self.fill, "float32"), clip.dtype), clip)

    def _inside(self, corner, length):
        """[B, 1] in 0..1 -> which of `length` lines are in the square, bool [B, length]."""
        start, line = ops.floor(corner * length), ops.arange(length, dtype="float32")[None]
        return ops.logical_and(line >= start, line < start + self.size_px)

    def compute_output_spec(self, clip, training=False) -> KerasTensor:
        return KerasTensor(clip.shape, dtype=clip.dtype)

    def get_config(self) -> dict:
        return super().get_config() | {"size_px": self.size_px, "fill": list(self.fill), "seed": self.seed}


@saving.register_keras_serializable("tfdeepfake")
class FrameShuffle(layers.Layer):
    """In training, the frames of each clip in an order of its own (P4 Table 9, "Random")."""

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)

    def call(self, clip, training=False) -> KerasTensor:
        """[B, T, H, W, C] -> the same."""
        if not training:
            return clip
        frames = clip.shape[1]
        order = ops.argsort(random.uniform((ops.shape(clip)[0], frames), seed=self.seed_generator), axis=1)
        flat = ops.reshape(clip, (-1, *clip.shape[2:]))
        rows = order + frames * ops.arange(ops.shape(clip)[0], dtype=order.dtype)[:, None]
        return ops.reshape(ops.take(flat, ops.reshape(rows, (-1,)), axis=0), (-1, *clip.shape[1:]))

    def compute_output_spec(self, clip, training=False) -> KerasTensor:
        return KerasTensor(clip.shape, dtype=clip.dtype)

    def get_config(self) -> dict:
        return super().get_config() | {"seed": self.seed}


@saving.register_keras_serializable("tfdeepfake")
class FramePosition(layers.Layer):
    """Adds to every place of a map a learned vector for the frame it shows (P4 Sec. 3.2, temporal position encoding).

    Vector k belongs to the k-th cell that is filled, whatever `order` puts there. Swin keeps its relative position
    bias and ViT its position encoding beside it. Where the grid does not divide the map (56 places by 3), the authors'
    code leaves the last lines without a vector; here every place belongs to the nearest cell.

    Args:
      rows, columns, snake: of the thumbnail.
    """

    def __init__(self, rows=2, columns=2, snake=False, **kwargs):
        super().__init__(**kwargs)
        self.rows, self.columns, self.snake = rows, columns, snake

    def build(self, input_shape: tuple) -> None:
        self.embedding = self.add_weight(
            shape=(1, self.rows * self.columns, input_shape[-1]),
            initializer=initializers.TruncatedNormal(stddev=0.02),
            name="embedding",
        )

    def call(self, x) -> KerasTensor:
        """[B, h, w, C] -> the same."""
        _, height, width, channels = x.shape
        number = {cell: k for k, cell in enumerate(cells(self.rows, self.columns, self.snake))}
        rows = [i * self.rows // height for i in range(height)]
        columns = [j * self.columns // width for j in range(width)]
        index = [number[r, c] for r in rows for c in columns]
        return x + ops.reshape(ops.take(self.embedding[0], index, axis=0), (1, height, width, channels))

    def get_config(self) -> dict:
        return super().get_config() | {"rows": self.rows, "columns": self.columns, "snake": self.snake}
