"""LiteRT networks (`.tflite`) on the CPU: loaded without TensorFlow and without a word, called with numpy arrays."""

import os
import threading
from pathlib import Path

import numpy as np

from tfdeepfake.machine import usable_cores
from tfdeepfake.quiet import hide_stderr


def cpu_threads() -> int:
    """Threads a network may take: $OMP_NUM_THREADS, which our worker processes are born with, else the cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdigit() and int(wanted):
        return int(wanted)
    return usable_cores()


class Network:
    """A LiteRT network of fixed or free input shapes.

    Attributes:
      inputs, outputs: {name: (shape, dtype)}; -1 in a shape is a free axis.
    """

    def __init__(self, source: Path | str | bytes, threads: int | None = None):
        """Loads a network.

        Args:
          source: path of a .tflite file, or its bytes.
          threads: CPU threads; `cpu_threads()` when None.
        Raises:
          ValueError: it is no LiteRT network, or has operations that LiteRT lacks.
        """
        from ai_edge_litert.interpreter import Interpreter

        given = {"model_content": source} if isinstance(source, bytes) else {"model_path": str(source)}
        try:
            with hide_stderr():  # LiteRT announces its CPU kernels and cannot be told not to
                self._interpreter = Interpreter(**given, num_threads=threads or cpu_threads())
                entries, exits = self._interpreter.get_input_details(), self._interpreter.get_output_details()
                if not any(-1 in _shape(entry) for entry in entries):
                    self._interpreter.allocate_tensors()
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        self._entries = {entry["name"]: entry["index"] for entry in entries}
        self._exits = {entry["name"]: entry["index"] for entry in exits}
        self.inputs = {entry["name"]: (_shape(entry), entry["dtype"]) for entry in entries}
        self.outputs = {entry["name"]: (_shape(entry), entry["dtype"]) for entry in exits}
        self._shapes = {name: shape for name, (shape, _) in self.inputs.items()}
        # An interpreter holds one input: threads of the caller take turns.
        self._lock = threading.Lock()

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network once.

        Args:
          **inputs: an array for every input, converted to its dtype.
        Returns:
          {name of the output: array}, the caller's own.
        """
        with self._lock:
            if any(value.shape != self._shapes[name] for name, value in inputs.items()):
                self._resize({name: value.shape for name, value in inputs.items()})
            for name, value in inputs.items():
                self._interpreter.set_tensor(self._entries[name], np.asarray(value, self.inputs[name][1]))
            self._interpreter.invoke()
            return {name: self._interpreter.get_tensor(index) for name, index in self._exits.items()}

    def _resize(self, shapes):
        with hide_stderr():
            for name, shape in shapes.items():
                self._interpreter.resize_tensor_input(self._entries[name], shape)
            self._interpreter.allocate_tensors()
        self._shapes = shapes


def _shape(entry):
    """Shape of a tensor with -1 for what is free; a network without free axes has no signature of them."""
    free = entry["shape_signature"]
    return tuple(int(n) for n in (free if len(free) else entry["shape"]))
