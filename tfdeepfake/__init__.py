"""tfdeepfake: detection of faked faces in video, on Keras 3 and TensorFlow.

Importing the package loads neither TensorFlow nor Keras; each module imports what it needs, and `Detector`, `build` and
`InputError` are imported when they are first used.
"""

__version__ = "0.1.0"
__all__ = ["Detector", "InputError", "__version__", "build"]
_MODULES = {"Detector": "tfdeepfake.detector", "build": "tfdeepfake.models", "InputError": "tfdeepfake.errors"}


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return globals().setdefault(name, getattr(importlib.import_module(_MODULES[name]), name))


def __dir__():
    return sorted({*globals(), *__all__})
