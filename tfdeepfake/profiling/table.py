"""`tfdeepfake models`: parameters, multiply-accumulates and latency of every network, beside what P3 and P4 print."""

import contextlib
import csv
import dataclasses
import difflib
import gc
import math
import os
import platform
import re
import statistics
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class Printed:
    """A line of a paper's table: P3 Table 6 or P4 Table 6.

    Args:
      network, arguments: our network to compare it with; `arguments` where its defaults differ in size or form.
      row: the paper's name of it, with the table.
      parameters: as printed, rounded to millions in P4. Compared with our trainable ones, as P3 counts.
      gflops: as printed, None where the table has none. P4 does not say what it counts as one, nor the input sizes.
      reason: of any difference.
    """

    network: str
    arguments: dict
    row: str
    parameters: int
    gflops: float | None
    reason: str


P3_HEAD = {"num_classes": 2, "head_bias": False}
AT_384 = {"thumbnail_size": (384, 384)}
WINDOWS_12 = {"windows": (12, 12, 12, 12)}
_SE = "P3 states no reduction: 16 gives 4.3 M fewer than printed, 8 gives 0.4 M more, no whole number the same."
_MACS = "No size is printed; its G are MACs at 384 px to within 1 % (at 224 px neither MACs nor FLOPs)."
_VIT = " Without a head 85.8 M at 224 px; no form of 84 M is known to us."
_RESNET = (
    "No size is printed: 25.5 GFLOPs need 404 px. 25.5 M is what ResNet50 has with its ImageNet head, 23.5 M without; "
    "21 M no form of it has."
)
_B4 = "No size is printed: 8.3 GFLOPs need 369 px, B4's own 380 px are 6 % more. 19 M are with its ImageNet head."
_GRAPH = "Parameters grow by the printed 2 M. A graph of that width adds {} G to the line above, printed are {}."

PRINTED = (
    Printed("resnet3d_101", P3_HEAD, "P3 3D ResNet", 85_249_216, None, "Equal, with two outputs without bias."),
    Printed("resnet3d_101", P3_HEAD | {"se_reduction": 16}, "P3 3D ResNet with SE", 94_303_808, None, _SE),
    Printed("resnet3d_101", P3_HEAD | {"se_reduction": 8}, "P3 3D ResNet with SE", 94_303_808, None, _SE),
    Printed("resnet3d_101", P3_HEAD | {"nonlocal_after": (4,)}, "P3 3D ResNet with non-local", 93_647_040, None,
            "Equal, with one block behind the last stage."),
    Printed("i3d", {}, "P4 I3D-RGB", 25_000_000, 222.7,
            "FLOPs agree. 25 M is the RGB and flow streams of I3D together, RGB alone is half."),
    Printed("resnet3d_50", {"num_frames": 64, "input_size": (224, 224)}, "P4 R3D-50", 46_000_000, 296.6,
            "No clip size is printed: I3D's is 7 % more. P4 prints the same two figures for VTN, a transformer."),
    Printed("baseline", {"input_size": (224, 224)}, "P4 ResNet50", 21_000_000, 25.5, _RESNET),
    Printed("tall_resnet50", {}, "P4 ResNet50+TALL", 21_000_000, 25.5, _RESNET),
    Printed("tall_resnet50", {"graph": True}, "P4 ResNet50+TALL++", 23_000_000, 35.5, _GRAPH.format(0.2, 10)),
    Printed("efficientnet_b4", {"input_size": (380, 380)}, "P4 EffNetB4", 19_000_000, 8.3, _B4),
    Printed("tall_efficientnet_b4", {"thumbnail_size": (380, 380)}, "P4 EffNetB4+TALL", 19_000_000, 8.3, _B4),
    Printed("tall_efficientnet_b4", {"thumbnail_size": (380, 380), "graph": True}, "P4 EffNetB4+TALL++", 21_000_000,
            16.3, _GRAPH.format(0.5, 8)),
    Printed("vit_b", {"input_size": (384, 384)}, "P4 ViT-B", 84_000_000, 55.4, _MACS + _VIT),
    Printed("tall_vit", AT_384, "P4 ViT-B+TALL", 84_000_000, 55.4, _MACS + _VIT),
    Printed("tall_vit", AT_384 | {"graph": True}, "P4 ViT-B+TALL++", 86_000_000, 60.4, _GRAPH.format("1.2 (MACs)", 5)),
    Printed("swin_b", {"input_size": (384, 384)} | WINDOWS_12, "P4 Swin-B", 86_000_000, 47.5, _MACS),
    Printed("tall_swin", AT_384 | {"backbone_args": WINDOWS_12}, "P4 Swin-B+TALL", 86_000_000, 47.5, _MACS),
    Printed("tall_plus_plus", AT_384 | {"backbone_args": WINDOWS_12}, "P4 Swin-B+TALL++", 88_000_000, 67.5,
            _GRAPH.format("0.3 (MACs)", 20)),
)  # fmt: skip

COLUMNS = ("network", "arguments", "inputs", "parameters", "trainable", "gmacs", "gflops", "latency_ms", "batch_size",
           "printed_as", "printed_parameters", "printed_gflops", "reason")  # fmt: skip
LINE = "{:<22} {:<28} {:>12} {:>12} {:>9} {:>9} {:>9}"
PRINTED_LINE = "{:<28} {:>11} {:>8}   {:>11} {:>8} {:>8}"
NOTE = "Of one example (a frame or a clip). 1 MAC = 2 FLOPs; papers often print MACs as FLOPs."


STORED = Path(__file__).with_name("networks.json")


def stored_rows() -> dict[tuple[str, str], dict]:
    """{(network, arguments): row} as `benchmarks/model_table.py` stored them; nothing is built, Keras not loaded."""
    rows = [dict.fromkeys(COLUMNS) | row for row in read_json(STORED)["rows"]]
    return {(row["network"], row["arguments"]): row for row in rows}


def refuse_unknown(name: str) -> None:
    """Raises InputError where no network is called so, before Keras is loaded to build it."""
    known = {network for network, _ in stored_rows()}
    if name in known:
        return
    sources = Path(__file__).parents[1].joinpath("models").glob("*.py")
    if any(f"def {name}(" in path.read_text(encoding="utf-8") for path in sources):
        return  # a new one, which nobody has stored yet
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`tfdeepfake models` lists them."
    raise InputError("network", f"no network is called {name!r}.", hint)


def models_table(
    names: list | None = None, latency: bool = False, batch_size: int = 1, out: str | Path | None = None
) -> list:
    """Prints and returns the table, from the stored facts; a network is built to time it, or where it is not stored.

    Networks are built one at a time and freed: `keras.backend.clear_session()` runs behind each, so that names of
    layers built before may come again.

    Args:
      names: networks of `models.MODELS`; all when not given.
      latency: whether to measure the time of a forward pass on this machine.
      batch_size: examples in that pass. Parameters, MACs and FLOPs are those of one example: a frame (with its flow
        map) or a clip.
      out: path of a file that gets the rows too, each as soon as it is known, so that a stopped run leaves the
        rows that are done: CSV, or Markdown where it ends in .md.
    Returns:
      list of dicts with the keys of `COLUMNS`: a row per network at its default size, then one per line of P3 Table 6
      and P4 Table 6 that belongs to one of `names`, with `printed_as` and what follows it set.
    Raises:
      InputError: an unknown name, or `out` is a folder.
    """
    from tqdm import tqdm

    stored = stored_rows()
    names = list(names or [name for name, arguments in stored if not arguments])
    for name in names:
        if (name, "") not in stored:
            _need_network(name)
    if not isinstance(batch_size, int) or batch_size < 1:
        raise InputError("batch_size", f"needs a positive integer, got {batch_size!r}.")
    if out is not None and Path(out).is_dir():
        raise InputError(out, "is a folder.", "Give the name of a CSV or Markdown file.")
    printed = [line for line in PRINTED if line.network in names]
    rows = []
    with (
        _written(out, batch_size if latency else None) as write,
        tqdm(total=len(names) + len(printed), desc="networks", unit="network", disable=None) as bar,
    ):
        tqdm.write(NOTE)
        tqdm.write(LINE.format(*HEADS, f"ms, B={batch_size}"))
        for name in names:
            known = None if latency else stored.get((name, ""))
            rows.append(known or row(name, batch_size=batch_size, latency=latency))
            write(rows[-1])
            tqdm.write(LINE.format(*_cells(rows[-1])))
            bar.update()
        for number, line in enumerate(printed):
            if number == 0:
                tqdm.write("\n" + PRINTED_LINE.format(*PRINTED_HEADS[:-1]))
            known = stored.get((line.network, arguments_text(line.arguments)))
            measured = known or row(line.network, line.arguments, batch_size, latency=False)
            extra = {f"printed_{key}": getattr(line, key) for key in ("parameters", "gflops")}
            rows.append(measured | extra | {"printed_as": line.row, "reason": line.reason})
            write(rows[-1])
            *cells, ours, reason = _printed_cells(rows[-1])
            tqdm.write(PRINTED_LINE.format(*cells))
            tqdm.write(textwrap.fill(f"{ours}: {reason}", 112, initial_indent="    ", subsequent_indent="    "))
            bar.update()
    return rows


def _need_network(name):
    from tfdeepfake import models

    if name in models.MODELS:
        return
    try:
        models.build(name)
    except ValueError as error:
        raise InputError(name, str(error), "`tfdeepfake models` without names lists all.") from None


def arguments_text(arguments: dict | None) -> str:
    """Arguments of a network as rows state them: "input_size=(224, 224)"; "" where there are none."""
    return ", ".join(f"{key}={value!r}" for key, value in (arguments or {}).items())


def row(name: str, arguments: dict | None = None, batch_size: int = 1, latency: bool = True) -> dict:
    """One row of `models_table`; cells that do not apply are None."""
    import keras

    from tfdeepfake import models
    from tfdeepfake.profiling import macs

    model = models.build(name, **(arguments or {}))
    inputs = sorted(model.inputs, key=lambda tensor: tensor.name, reverse=True)  # frames, then flow
    cells = dict.fromkeys(COLUMNS) | {
        "network": name,
        "arguments": arguments_text(arguments),
        "inputs": " + ".join("x".join(map(str, t.shape[1:])) for t in inputs),
        "parameters": model.count_params(),
        "trainable": sum(math.prod(v.shape) for v in model.trainable_variables),
        "batch_size": batch_size,
    }
    total = sum(macs.count(model).values())
    cells |= {"gmacs": total / 1e9, "gflops": 2 * total / 1e9}
    if latency:
        cells["latency_ms"] = latency_ms(model, batch_size)
    del model
    keras.backend.clear_session()
    gc.collect()
    return cells


def latency_ms(model: "keras.Model", batch_size: int = 1, runs: int = 5, limit_s: float = 3.0) -> float:
    """Median time of a forward pass through `predict_on_batch`, in milliseconds, on uint8 noise.

    Args:
      runs: passes behind the one that traces and warms up; none is started after `limit_s` seconds of them.
    """
    import keras
    import numpy as np

    if keras.backend.backend() == "tensorflow" and not _on_gpu():
        model.jit_compile = False  # XLA's convolutions are several times slower than TensorFlow's own on CPU.
    rng = np.random.default_rng(0)
    shapes = {tensor.name: (batch_size, *tensor.shape[1:]) for tensor in model.inputs}
    inputs = {"frames": rng.integers(0, 256, shapes["frames"], dtype="uint8")}
    if "flow" in shapes:
        inputs["flow"] = rng.normal(0, 2, shapes["flow"]).astype("float32")
    model.predict_on_batch(inputs)
    times, begun = [], time.perf_counter()
    while not times or len(times) < runs and time.perf_counter() - begun < limit_s:
        started = time.perf_counter()
        model.predict_on_batch(inputs)
        times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times)


def _on_gpu():
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


HEADS = "network", "inputs", "parameters", "trained", "GMACs", "GFLOPs"
PRINTED_HEADS = "P3 Table 6, P4 Table 6", "parameters", "GFLOPs", "ours", "GFLOPs", "GMACs", "ours is"


def _cells(row):
    ms = "" if row["latency_ms"] is None else f"{row['latency_ms']:.1f}"
    counts = f"{row['parameters']:,}", f"{row['trainable']:,}"
    return row["network"], row["inputs"], *counts, _g(row["gmacs"]), _g(row["gflops"]), ms


def _printed_cells(row):
    printed, ours = row["printed_parameters"], row["trainable"]
    # P4 rounds to millions.
    exact = printed % 1_000_000 != 0
    cells = [f"{n:,}" if exact else f"{n / 1e6:.1f} M" for n in (printed, ours)]
    cells.insert(1, "" if row["printed_gflops"] is None else f"{row['printed_gflops']:.1f}")
    ours_is = row["network"] if not row["arguments"] else f"{row['network']}({row['arguments']})"
    flops = f"{row['gflops']:.1f}", f"{row['gmacs']:.1f}"
    return row["printed_as"], *cells, *flops, ours_is, row["reason"]


def _g(billions):
    return f"{billions:.3f}" if billions < 10 else f"{billions:.1f}"


@contextlib.contextmanager
def _written(out, batch_size):
    """Yields a function that adds a row to the file `out`; one that does nothing where that is None.

    Args:
      batch_size: of the times, None where none are measured.
    """
    if out is None:
        yield lambda row: None
        return
    markdown = Path(out).suffix == ".md"
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    with open(out, "w", newline="", encoding="utf-8") as file:
        if markdown:
            times = f" ms: a forward pass of {batch_size} on {machine()}." if batch_size else ""
            file.write(f"# Networks\n\nWritten by `tfdeepfake models --out {Path(out).name}`. {NOTE}{times}\n\n")
            _markdown(file, (*HEADS, "ms"), heads=True)
        else:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
        begun = False

        def write(row):
            nonlocal begun
            if not markdown:
                table.writerow(row)
            elif row["printed_as"] is None:
                _markdown(file, _cells(row))
            else:
                if not begun:
                    file.write("\n## Beside the papers' figures\n\n")
                    _markdown(file, (*PRINTED_HEADS, "difference"), heads=True)
                begun = True
                _markdown(file, _printed_cells(row))
            file.flush()

        yield write


def _markdown(file, cells, heads=False):
    file.write("| " + " | ".join(cells) + " |\n")
    if heads:
        file.write("|---" * len(cells) + "|\n")


def machine() -> str:
    """The device that networks run on, in words."""
    if _on_gpu():
        import tensorflow as tf

        device = tf.config.list_physical_devices("GPU")[0]
        return tf.config.experimental.get_device_details(device).get("device_name", device.name)
    try:
        name = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))[1]
    except (OSError, TypeError):
        name = platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores of {name}"
