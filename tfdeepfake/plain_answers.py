"""Processes that open strangers' files, see `confine`: what they answer is read as data, and never as a program."""

import builtins
import functools
import io
import pickle
from collections.abc import Callable, Iterable
from typing import Any

from tfdeepfake.workers import OwnProcess

# Our own error, and those of Python, whose making does nothing.
_OF_PYTHON = [name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception)]
ERRORS = frozenset({("tfdeepfake.errors", "InputError"), *(("builtins", name) for name in _OF_PYTHON)})


class _PlainReader(pickle.Unpickler):
    def __init__(self, data, classes):
        super().__init__(io.BytesIO(data))
        self._classes = classes

    def find_class(self, module, name):
        if (module, name) not in self._classes:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)


def load_plain(data: bytes, classes: Iterable[tuple[str, str]] = ERRORS) -> Any:
    """What a process that may have been taken over answered: texts, numbers, lists, dicts, and objects of classes.

    Args:
      data: pickled.
      classes: (module, name) of each; errors when not given.
    Raises:
      pickle.UnpicklingError: it names something else, or is no answer of a worker.
    """
    try:
        answer = _PlainReader(data, classes).load()
        kind, value = answer
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # bytes made to be no pickle raise many kinds
        raise pickle.UnpicklingError(f"{type(error).__name__}: {error}") from None
    if not isinstance(kind, bool | str | None) or (kind is False and not isinstance(value, Exception)):
        raise pickle.UnpicklingError("it is no answer")
    return answer


def plain_process(
    classes: Iterable[tuple[str, str]] = ERRORS, threads: int = 1, answers: Callable | None = None
) -> OwnProcess:
    """An `OwnProcess` whose answers are read by `load_plain`; another answer ends it, as if it had died."""
    return OwnProcess(threads, functools.partial(load_plain, classes=classes), answers)
