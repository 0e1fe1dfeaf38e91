"""A model on the command line: a folder, or the name of a published detector."""

from pathlib import Path


def model_folder(model: str) -> Path:
    """The folder of `model`; a published detector is fetched and converted first, where it is not here.

    What is neither a name nor there is returned as it is: the verbs say what they need.

    Raises:
      InputError: the detector cannot be fetched, or is none; or `model` is empty.
    """
    if model and not is_name(model):
        return Path(model)
    from tfdeepfake.cli.predict import print_line
    from tfdeepfake.verdict import named

    return named.locate(model, log=print_line).ready(print_line)


def is_name(model: str) -> bool:
    """Whether it names a published checkpoint; a folder of that name goes before it."""
    from tfdeepfake.published.sources import SOURCES

    return not Path(model).exists() and model in SOURCES
