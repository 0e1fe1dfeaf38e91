"""Libraries kept silent while they are loaded and used: what they print is no news to whoever asked for a verdict.

    load_tensorflow   TensorFlow, without its start-up messages
    load_backend      the same where it is Keras's backend
    uncollected       imports and networks, built without searches for garbage
    hide_stderr       what C++ code writes, which heeds no setting
    hide_prints       what Python code prints
    hide_warnings     Python's warnings of one category
    hide_tfds         TFDS's own progress bars and notes
    hide_absl         warnings that TensorFlow and TFDS log

Errors are exceptions and pass through all of them.
"""

import contextlib
import gc
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator

from tfdeepfake.counting import counting

# Read by TensorFlow, its logging library and absl when they are loaded: errors only.
LOG_LEVELS = {"TF_CPP_MIN_LOG_LEVEL": "3", "GLOG_minloglevel": "3", "ABSL_MIN_LOG_LEVEL": "3"}


def load_tensorflow() -> None:
    """Imports TensorFlow with its start-up noise swallowed; what a failed import says is shown.

    The variable is set only where the user has not. Messages that come before TensorFlow's logging is set up heed
    no variable, so the process's standard error itself is put aside during the import.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", LOG_LEVELS["TF_CPP_MIN_LOG_LEVEL"])
    if "tensorflow" not in sys.modules:
        with counting("loading TensorFlow"), hide_stderr(), uncollected():
            import tensorflow  # noqa: F401
        # Python's side warns of retracing where a command runs several networks one after another.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


def load_backend() -> None:
    """`load_tensorflow` where Keras runs on it: another backend may be installed without it."""
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        load_tensorflow()


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No search for garbage: an import, or a network that is built, makes objects by the million that stay; an import
    is a sixth faster without."""
    searches = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searches:
            gc.enable()


@contextlib.contextmanager
def hide_stderr() -> Iterator[None]:
    """Puts the process's standard error aside, for all its threads."""
    sys.stderr.flush()
    try:
        aside = os.dup(2)
    except OSError:  # a process without standard error
        yield
        return
    close_stderr()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(aside, 2)
        os.close(aside)


def close_stderr() -> None:
    """Sends what the process writes to standard error nowhere, from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def hide_prints() -> contextlib.redirect_stdout:
    """Puts aside what Python code prints to standard output."""
    return contextlib.redirect_stdout(io.StringIO())


@contextlib.contextmanager
def hide_warnings(category: type[Warning] = Warning) -> Iterator[None]:
    """Ignores warnings of a category."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield


@contextlib.contextmanager
def hide_tfds() -> Iterator[None]:
    """TFDS's own bars and notes stay silent: there is one bar over all videos."""
    from tensorflow_datasets.core.utils import tqdm_utils

    bars = getattr(tqdm_utils, "_active", True)
    tqdm_utils.display_progress_bar(False)
    try:
        with hide_absl():
            yield
    finally:
        tqdm_utils.display_progress_bar(bars)


@contextlib.contextmanager
def hide_absl() -> Iterator[None]:
    """What TensorFlow and TFDS log by absl, errors excepted."""
    from absl import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
