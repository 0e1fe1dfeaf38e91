"""How alike the channels of a layer are: correlation matrices of several networks side by side (P3 5.4, Fig. 6).

P3 reads much correlation as a sign of overfitting, and sees less of it with squeeze-and-excitation and non-local
blocks. It does not say over what it correlates; here every place of the map, in space and time, of every example
counts.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.explain.seen import inputs_of
from tfdeepfake.files import atomic_path, write_json

if TYPE_CHECKING:
    import keras


class Sums:
    """Sums of rows and of their products, from which the correlation of columns follows; float64."""

    def __init__(self):
        self.count, self.total, self.products = 0, 0.0, 0.0

    def add(self, rows: np.ndarray) -> None:
        """Takes float [N, C]."""
        rows = np.asarray(rows, np.float64)
        self.count += len(rows)
        self.total = self.total + rows.sum(axis=0)
        self.products = self.products + rows.T @ rows

    def correlation(self) -> np.ndarray:
        """float64 [C, C], -1..1; NaN in rows and columns of a channel that never changes."""
        mean = self.total / self.count
        covariance = self.products / self.count - np.outer(mean, mean)
        spread = np.sqrt(np.maximum(np.diag(covariance), 0))
        alive = spread > 1e-6 * max(spread.max(), 1e-12)
        with np.errstate(invalid="ignore", divide="ignore"):
            matrix = covariance / np.outer(spread, spread)
        matrix[~alive], matrix[:, ~alive] = np.nan, np.nan
        return np.clip(matrix, -1, 1)


def channel_correlation(model: "keras.Model", batches: Iterable[dict], layer: str = "features") -> np.ndarray:
    """Correlation of a layer's channels with each other.

    Args:
      model: keras.Model; batches: inputs, each {"frames", ...}.
      layer: that gives [B, ..., C].
    Returns:
      float64 [C, C], see `Sums.correlation`.
    Raises:
      InputError: the network has no such layer.
    """
    import keras

    names = [one.name for one in model.layers]
    if layer not in names:
        raise InputError(model.name, f"has no layer {layer!r}.", f"Layers: {', '.join(names)}.")
    part, sums = keras.Model(inputs_of(model), model.get_layer(layer).output), Sums()
    for batch in batches:
        values = np.asarray(part.predict_on_batch(batch), np.float32)
        sums.add(values.reshape(-1, values.shape[-1]))
    return sums.correlation()


def summary(matrix: np.ndarray) -> dict:
    """What a matrix says in figures.

    Returns:
      {"channels", "dead": those that never change, "mean_abs": mean |r| of pairs of others, "above_half": part of these
      pairs with |r| above 0.5}; the last two None with fewer than two such channels.
    """
    alive = ~np.isnan(np.diag(matrix))
    off = np.abs(matrix[np.ix_(alive, alive)][~np.eye(int(alive.sum()), dtype=bool)])
    told = {"channels": len(matrix), "dead": int((~alive).sum())}
    if not len(off):
        return told | {"mean_abs": None, "above_half": None}
    return told | {"mean_abs": float(off.mean()), "above_half": float((off > 0.5).mean())}


def correlate(
    folders: list,
    data: str,
    split: str = "test",
    data_dir: str | None = None,
    out_dir: Path | str = "correlation",
    layer: str = "features",
    batch_size: int = 8,
    log: Callable[[str], None] = print,
) -> dict:
    """Matrices of several networks on the same examples, as an image, arrays and figures.

    Args:
      folders: saved model folders or run folders, in the order of the image.
      data, split, data_dir: prepared data set of the networks' recipe.
      out_dir: gets correlation.png, correlation.npz and correlation.json.
      layer, batch_size: see `channel_correlation`.
      log: called with a line for each network.
    Returns:
      dict, the content of correlation.json.
    Raises:
      InputError: a folder, the data or the layer is not there, or the data are of another recipe.
    """
    from tfdeepfake import model_inputs
    from tfdeepfake.embeddings.features import batches
    from tfdeepfake.evaluation.run import check_data, open_fitting
    from tfdeepfake.model_folder import load_model

    out_dir, matrices, told = Path(out_dir), {}, {}
    for folder in folders:
        check_data(folder, data, data_dir)
    for folder in folders:
        model, recipe = load_model(folder)
        reads = model_inputs.input_type(model), model_inputs.wants_flow(model)
        prepared = open_fitting(data, data_dir, recipe, *reads)
        name = Path(folder).resolve().name
        inputs = (inputs for inputs, _, _ in batches(model, prepared, split, batch_size, f"{name} on"))
        matrix = channel_correlation(model, inputs, layer)
        name = f"{name}_{len(matrices) + 1}" if name in matrices else name
        matrices[name], told[name] = matrix, {"network": recipe.network} | summary(matrix)
        figures = told[name]
        mean = "undefined" if figures["mean_abs"] is None else f"{figures['mean_abs']:.3f}"
        log(f"{name} ({recipe.network}): mean |r| {mean}, {figures['channels']} channels, {figures['dead']} dead")
    out_dir.mkdir(parents=True, exist_ok=True)
    about = {"data": prepared.version, "split": split, "layer": layer, "networks": told}
    with atomic_path(out_dir / "correlation.npz") as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **{name: matrix.astype(np.float32) for name, matrix in matrices.items()})
    write_json(out_dir / "correlation.json", about)
    write_plot(out_dir / "correlation.png", matrices, told)
    return about


def write_plot(path: Path | str, matrices: dict[str, np.ndarray], told: dict[str, dict]) -> None:
    """Draws the matrices side by side on one scale.

    Args:
      path: PNG file.
      matrices: {name: float [C, C]}; told: {name: what `summary` says of it}.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(matrices) + 0.8, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axis, (name, matrix) in zip(axes, matrices.items(), strict=True):
        image = axis.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        mean = told[name]["mean_abs"]
        axis.set_title(f"{name}\nmean |r| {'undefined' if mean is None else format(mean, '.3f')}", fontsize=11)
        axis.set_xlabel("channel")
    axes[0].set_ylabel("channel")
    figure.colorbar(image, ax=list(axes), label="correlation", shrink=0.8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
