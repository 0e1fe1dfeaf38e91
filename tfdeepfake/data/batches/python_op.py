"""Python functions inside `tf.data`, such that the process can end while a data set is still being read.

A thread of TensorFlow that wants to run Python after the interpreter has begun to end is stopped, and the process dies
or hangs (seen with an iterator left half read: 8 of 9 ends). A pipeline that nobody reads from comes to rest once its
buffers are full, so the interpreter waits for that.
"""

import atexit
import threading
import time
from collections.abc import Callable

import tensorflow as tf

# Longer than what lies between two calls of a pipeline at work; a rest of this length is an end.
REST_S = 0.3
# Somebody still reads then, in a thread of their own.
LONGEST_S = 10

_lock = threading.Lock()
_running, _ended_s = 0, -REST_S


def python_op(function: Callable, inputs: list[tf.Tensor], dtypes: list[tf.DType]) -> list[tf.Tensor]:
    """`tf.numpy_function` of a function that depends on nothing but its inputs.

    Args:
      function: numpy arrays -> a list of numpy arrays. Not changed by AutoGraph.
      inputs: tensors.
      dtypes: of the list.
    Returns:
      list of tensors, of unknown shape.
    """

    @tf.autograph.experimental.do_not_convert
    def counted(*arrays):
        global _running, _ended_s
        with _lock:
            _running += 1
        try:
            return function(*arrays)
        finally:
            with _lock:
                _running -= 1
                _ended_s = time.monotonic()

    return tf.numpy_function(counted, inputs, dtypes, stateful=False)


@atexit.register
def _wait_for_rest():
    until = time.monotonic() + LONGEST_S
    while (_running or time.monotonic() - _ended_s < REST_S) and time.monotonic() < until:
        time.sleep(0.02)
