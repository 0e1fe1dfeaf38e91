"""TensorFlow loaded without its start-up messages, for the command line and its worker processes."""

import os
import sys


def load_tensorflow():
    """Imports TensorFlow with its start-up noise swallowed; what a failed import says is shown.

    The variables are set only where the user has not. Messages that come before TensorFlow's logging is set up heed
    no variable, so the process's standard error itself is put aside during the import.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow  # noqa: F401
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
