"""The compiled form of a saved model folder: found, checked, made again when the weights changed, and run.

    <folder>/model.tflite         the network as LiteRT runs it, weights inside
    <folder>/model.tflite.json    what it was made of, and its checksum

Where the folder cannot be written both lie in the cache. Loading it takes a tenth of a second and no TensorFlow;
making it needs TensorFlow, once, in a process of its own: a converter that dies takes nothing along.
"""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfdeepfake.compiled.convert import WHOLE_BYTES
from tfdeepfake.counting import counting
from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path, exclusive_lock, read_json, sha256, write_json
from tfdeepfake.litert.network import Network
from tfdeepfake.machine import free_bytes
from tfdeepfake.model_folder import SHOWN_BYTES, WEIGHTS_FILE, load_recipe
from tfdeepfake.recipe import Recipe

COMPILED_FILE = "model.tflite"
FACTS_FILE = "model.tflite.json"
COMPILE_LIMIT_S = 3600.0
# Memory for each byte of the weights of a network that is compiled in pieces.
BYTES_FOR_LARGE = 4


@dataclass(frozen=True)
class Tensor:
    """What is asked of a Keras network's inputs and outputs: name, and shape with None for the batch."""

    name: str
    shape: tuple


class CompiledModel:
    """A compiled network in the place of the Keras one, where a verdict is made.

    Attributes:
      name: of the network.
      inputs, outputs: lists of `Tensor`.
      one_by_one: it takes a batch of any size and gains nothing by a large one.
    """

    one_by_one = True

    def __init__(self, path: Path | str | bytes, name: str, threads: int | None = None):
        """Loads a file, or its content; raises ValueError when it is no network of this kind."""
        self.name, self._network = name, Network(path, threads)
        shapes = {name: shape for name, (shape, _) in self._network.inputs.items()}
        exits = [shape for shape, _ in self._network.outputs.values()]
        if not {"frames"} <= set(shapes) <= {"frames", "flow"} or len(exits) != 1 or len(exits[0]) != 2:
            raise ValueError(f"it has inputs {shapes} and outputs {exits}")
        self.inputs = [Tensor(name, (None, *shape[1:])) for name, shape in shapes.items()]
        self.outputs = [Tensor("logits", (None, *exits[0][1:]))]

    def predict_on_batch(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Logits float32 [B, K] of {"frames": [B, ...], "flow": [B, ...]}, as `keras.Model.predict_on_batch`.

        Raises:
          ValueError: an input is missing or has another shape.
        """
        batch = {tensor.name: np.asarray(batch[tensor.name]) for tensor in self.inputs if tensor.name in batch}
        for tensor in self.inputs:
            if tensor.name not in batch or batch[tensor.name].shape[1:] != tensor.shape[1:]:
                got = batch[tensor.name].shape if tensor.name in batch else "none"
                raise ValueError(f"{self.name} needs {tensor.name} {tensor.shape}, got {got}.")
        rows = range(len(batch["frames"]))
        parts = [next(iter(self._network(**{n: v[i : i + 1] for n, v in batch.items()}).values())) for i in rows]
        return np.concatenate(parts or [np.zeros((0, self.outputs[0].shape[1]), np.float32)])


def load_compiled(folder: Path | str, log: Callable[[str], None] = lambda line: None) -> tuple[CompiledModel, Recipe]:
    """Loads the compiled form of a saved model folder; makes it where there is none yet.

    Args:
      folder: saved model folder.
      log: called with a line when it is made.
    Returns:
      (CompiledModel, Recipe).
    Raises:
      InputError: the folder cannot be used, or its network has no compiled form (`NoCompiledForm`).
    """
    path, recipe = compile_folder(folder, log)
    try:
        return CompiledModel(path, recipe.network), recipe
    except ValueError as error:
        raise InputError(path, f"is no compiled network ({error}).", "Remove it: it is made again.") from error


class NoCompiledForm(InputError):
    """The network cannot be converted, or not on this machine."""


def compile_folder(folder: Path | str, log: Callable[[str], None] = lambda line: None) -> tuple[Path, Recipe]:
    """Makes the compiled form of a saved model folder unless it has one of these weights.

    Args:
      folder: saved model folder.
      log: called with a line when it is made, and why.
    Returns:
      (path of the .tflite file, Recipe).
    Raises:
      InputError: the folder cannot be used.
      NoCompiledForm: its network has none; this is remembered, and costs nothing the next time.
    """
    folder = Path(folder)
    recipe = load_recipe(folder)
    # A gigabyte takes a second: both at once.
    files = [path for path in (folder / WEIGHTS_FILE, folder / COMPILED_FILE) if path.is_file()]
    long = sum(path.stat().st_size for path in files) > SHOWN_BYTES
    shown = counting(f"checking the weights of {recipe.network}") if long else contextlib.nullcontext()
    with shown, ThreadPoolExecutor(len(files) or 1) as pool:
        digests = dict(zip(files, pool.map(sha256, files), strict=True))
    made_of = _made_of(folder, recipe, digests.get(folder / WEIGHTS_FILE))
    from tfdeepfake.weights.cache import home

    places = [folder, home() / "compiled" / _digest(made_of)[:24]]
    path, _ = _good_one(folder, recipe, places, made_of, digests)
    if path:
        return path, recipe
    with contextlib.ExitStack() as held:
        # It takes gigabytes: two processes at once make it once. Where no lock can be written each makes its own.
        with contextlib.suppress(OSError, InputError):
            held.enter_context(exclusive_lock(places[1].with_name(f".{places[1].name}.lock"), log=log))
        path, why = _good_one(folder, recipe, places, made_of)
        return path or _make(folder, recipe, places, made_of, why, log), recipe


def _good_one(folder, recipe, places, made_of, digests=()):
    """(path of the .tflite file, or None where it has to be made; why, in words for the user)."""
    why = ""
    for place in places:
        state, detail = _look(place, made_of, digests)
        if state == "good":
            return place / COMPILED_FILE, ""
        if state == "none":
            raise _no_form(folder, recipe, detail)
        why = why or (f" again ({detail})" if state == "bad" else ", once")
    return None, why


def _make(folder, recipe, places, made_of, why, log):
    """Makes the compiled form and returns its path."""
    weights, free = folder / WEIGHTS_FILE, free_bytes()
    if weights.is_file() and free is not None and weights.stat().st_size > WHOLE_BYTES:
        needed = BYTES_FOR_LARGE * weights.stat().st_size
        if free < needed:
            text = f"takes {needed / 1e9:.0f} GB of memory to compile, and {free / 1e9:.1f} GB are free."
            raise NoCompiledForm(folder, text, "Free some memory, or say --runtime keras to do without it.")
    log(f"compiling {recipe.network} for CPUs{why} ...")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tfdeepfake-") as temporary:
        compiled = Path(temporary) / COMPILED_FILE
        with counting("compiling"):
            problem = _run_converter(folder, compiled)
            place = _keep(places, made_of, None if problem else compiled, problem)
    if problem:
        raise _no_form(folder, recipe, problem)
    log(f"compiled in {time.perf_counter() - start:.0f} s: {place / COMPILED_FILE}")
    return place / COMPILED_FILE


def _made_of(folder, recipe, digest):
    """What a compiled form must have been made of: JSON-able dict.

    A folder without its weights file was exported: it keeps its scores, whatever became of the code since then.
    """
    weights, expected = folder / WEIGHTS_FILE, recipe.weights_sha256
    code = {"code_sha256": _code_sha256()} if digest else {}
    if digest:
        if expected and digest != expected:
            raise InputError(
                weights,
                "does not match the checksum in recipe.json: the file is damaged or from another network.",
                "Copy the folder again from where it was written.",
            )
        expected = digest
    if not expected:
        raise InputError(weights, "this file is missing.", "Copy the whole folder, weights included.")
    network_args = json.loads(json.dumps(recipe.network_args))
    return {"network": recipe.network, "network_args": network_args, "weights_sha256": expected} | code


@functools.cache
def _code_sha256():
    """Of the code that says what a network computes: a compiled form must not outlive a change of it."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    paths = [path for name in ("layers", "models") for path in sorted((package / name).glob("*.py"))]
    paths += [package / "compiled" / f"{name}.py" for name in ("convert", "pieces", "repeats", "rewrite")]
    for path in [*paths, package / "litert" / "join.py"]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _digest(made_of):
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def _look(place, made_of, digests=()):
    """What lies in a folder: ("good", ""), ("none", why the network has no such form), ("bad", why it is not used) or
    ("absent", "")."""
    if not (place / FACTS_FILE).is_file():
        return "absent", ""
    try:
        facts = read_json(place / FACTS_FILE)
    except InputError as error:
        return "bad", error.problem
    known = facts.get("made_of")
    if not isinstance(known, dict) or any(known.get(name) != value for name, value in made_of.items()):
        return "bad", "the last one is of other weights or another version"
    if "problem" in facts:
        # Another converter may do better.
        return ("none", str(facts["problem"])) if facts.get("converter") == _converter() else ("bad", "new converter")
    path = place / COMPILED_FILE
    if not path.is_file() or (digests[path] if path in digests else sha256(path)) != facts.get("sha256"):
        return "bad", f"{COMPILED_FILE} is damaged"
    return "good", ""


@functools.cache
def _converter():
    """Name and version of the converter; "" where TensorFlow is not installed."""
    from importlib import metadata

    for name in ("tensorflow", "tensorflow-cpu"):
        try:
            return f"tensorflow {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return ""


def _run_converter(folder, out):
    """Writes `out`; returns "" or why the network has no compiled form.

    Raises:
      InputError: the folder cannot be used. NoCompiledForm: the process failed; this is not remembered.
    """
    remedy = "Say --runtime keras to do without it."
    if not _converter():
        raise NoCompiledForm(folder, "has no compiled form yet, and making it needs TensorFlow.", "Install tensorflow.")
    package = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {
        # The same copy of this package as here, on the backend that can be converted, away from a training's GPU.
        "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])),
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    command = [sys.executable, "-m", "tfdeepfake.compiled.convert", str(folder.resolve()), str(out)]
    options = {"capture_output": True, "text": True, "timeout": COMPILE_LIMIT_S}
    # Its standard input stays open while this process is there: a converter alone would keep gigabytes for a minute.
    reading, writing = os.pipe()
    try:
        done = subprocess.run(command, env=environment, stdin=reading, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoCompiledForm(folder, f"could not be compiled ({error}).", remedy) from error
    finally:
        os.close(reading)
        os.close(writing)
    if done.returncode in (2, 3):
        said = json.loads(done.stdout.strip().splitlines()[-1])
        if done.returncode == 3:
            return said
        raise InputError(*said)
    if done.returncode < 0:
        problem = f"could not be compiled: its converter was ended by signal {-done.returncode}"
        memory = ", most often because memory ran out (it takes some gigabytes)"
        raise NoCompiledForm(folder, f"{problem}{memory if done.returncode == -9 else ''}.", remedy)
    if done.returncode or not out.is_file():
        error = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise NoCompiledForm(folder, f"could not be compiled (exit {done.returncode}: {error}).", remedy)
    return ""


def _keep(places, made_of, compiled, problem):
    """Moves what was made into the first place that can be written, and returns that place.

    Raises:
      NoCompiledForm: none can.
    """
    facts = {"made_of": made_of, "converter": _converter()}
    facts |= {"problem": problem} if problem else {"sha256": sha256(compiled)}
    for place in places:
        try:
            if compiled:
                with atomic_path(place / COMPILED_FILE) as temporary:
                    shutil.copyfile(compiled, temporary)
            write_json(place / FACTS_FILE, facts)
            return place
        except (OSError, InputError) as error:
            reason = error
    raise NoCompiledForm(places[-1], f"the compiled form cannot be kept here ({reason}).", "Free some space.")


def _no_form(folder, recipe, problem):
    return NoCompiledForm(
        folder, f"{recipe.network} has no compiled form: {problem}.", "Say --runtime keras, which runs every network."
    )
