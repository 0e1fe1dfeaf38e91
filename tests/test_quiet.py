"""What keeps libraries silent: it hides what it says, nothing after it, and no error."""

import os
import subprocess
import sys
import warnings

import pytest

from tfdeepfake import quiet


def test_standard_error_is_hidden_inside_and_there_again_after_an_error(capfd):
    with pytest.raises(KeyError), quiet.hide_stderr():
        os.write(2, b"inside\n")
        raise KeyError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_process_without_standard_error_is_served():
    script = "import os; from tfdeepfake import quiet; os.close(2)\nwith quiet.hide_stderr(): print('inside')"
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout) == (0, "inside\n")


def test_prints_and_warnings_of_the_category_are_hidden(capsys):
    with quiet.hide_prints(), pytest.warns(UserWarning, match="seen") as seen:
        print("inside")
        with quiet.hide_warnings(DeprecationWarning):
            warnings.warn("hidden", DeprecationWarning, stacklevel=1)
            warnings.warn("seen", UserWarning, stacklevel=1)
    print("after")
    assert len(seen) == 1 and capsys.readouterr().out == "after\n"


def test_tfds_is_silent_inside_and_as_it_was_after():
    from absl import logging
    from tensorflow_datasets.core.utils import tqdm_utils

    before = logging.get_verbosity(), tqdm_utils._active
    with quiet.hide_tfds():
        assert (logging.get_verbosity(), tqdm_utils._active) == (logging.ERROR, False)
    assert (logging.get_verbosity(), tqdm_utils._active) == before


def test_tensorflow_warns_of_nothing_after_it_was_loaded():
    script = (
        "import logging; from tfdeepfake import quiet; quiet.load_tensorflow(); import tensorflow as tf\n"
        "tf.get_logger().warning('retracing'); tf.get_logger().error('wrong')"
    )
    done = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    assert "retracing" not in done.stderr and "wrong" in done.stderr
