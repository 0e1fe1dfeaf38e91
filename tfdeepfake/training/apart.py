"""A run trained in a process of its own: nothing that it leaves behind in TensorFlow reaches the next one."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tfdeepfake.training.config import TrainConfig

LOG = "train.log"
# The thread ends the process when its standard input is closed: when the process that began it has ended, in any way.
# `sys.stdin` would hold a lock there, which Python cannot take when it ends.
_PROGRAM = """
import json, os, sys, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(70)), daemon=True).start()
from tfdeepfake.errors import InputError
from tfdeepfake.quiet import load_tensorflow
load_tensorflow()
from tfdeepfake.training.config import TrainConfig
try:
    WORK
except InputError as error:
    sys.exit(str(error))
"""
_CONFIG = "config = TrainConfig.from_dict(json.loads(sys.argv[1])); "
_TRAIN = _CONFIG + "from tfdeepfake.training.train import train; train(config, sys.argv[2])"
_MEASURE = _CONFIG + "from tfdeepfake.training.step_time import step_time; print(json.dumps(step_time(config)))"


def begin_apart(
    work: str, arguments: Sequence[str], backend: str, output: IO, errors: IO | int, threads: int | None = None
) -> subprocess.Popen:
    """Begins a process that ends with this one.

    Args:
      work: a line of Python; an InputError of it is the last line of `errors`, and the exit code is then 1.
      arguments: its sys.argv[1:].
      backend: of Keras.
      output, errors: where its lines go, as subprocess has it.
      threads: of the libraries in it; theirs when None.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "KERAS_BACKEND": backend}
    if threads:
        environment |= {"OMP_NUM_THREADS": str(threads), "TF_NUM_INTRAOP_THREADS": str(threads)}
    command = [sys.executable, "-c", _PROGRAM.replace("WORK", work), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=errors, env=environment)


def train_apart(config: TrainConfig, run_dir: str | Path, threads: int | None = None) -> str:
    """`train.train` in a process that ends with this one; its lines are added to RUN_DIR/train.log.

    Args:
      config, run_dir: of `train.train`.
      threads: of the libraries in it; theirs when None.
    Returns:
      Why it failed; "" when the run is finished.
    """
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    with open(run_dir / LOG, "ab") as lines:
        return _work(_TRAIN, config, [str(run_dir)], lines, threads)


def measure_apart(config: TrainConfig, threads: int | None = None) -> dict | str:
    """`step_time.step_time` in a process of its own; why it failed, as text, where it did."""
    with tempfile.TemporaryFile() as lines:
        why = _work(_MEASURE, config, [], lines, threads)
        lines.seek(0)
        return why or json.loads(lines.read().decode().strip().splitlines()[-1])


def _work(work, config, arguments, lines, threads):
    arguments = [json.dumps(config.to_dict()), *arguments]
    process = begin_apart(work, arguments, config.backend, lines, subprocess.PIPE, threads)
    try:
        # Not communicate(): it would close the standard input, and so end the process.
        told = process.stderr.read().decode(errors="replace").strip().splitlines()
        code = process.wait()
    except BaseException:
        process.kill()
        raise
    finally:
        process.stderr.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
    return "" if not code else told[-1] if told else f"the process ended with code {code}"
