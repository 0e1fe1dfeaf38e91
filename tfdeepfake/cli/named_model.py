"""A model on the command line: a folder, or the name of a published detector."""

from pathlib import Path


def model_folder(model: str, data: str | None = None, data_dir: str | None = None, split: str | None = None) -> Path:
    """The folder of `model`; a published detector is fetched and converted first, where it is not here.

    What is neither a name nor there is returned as it is: the verbs say what they need.

    Args:
      model: a folder, or a published name.
      data, data_dir, split: prepared data that are looked at before anything is fetched, where `data` is given.
    Raises:
      InputError: the detector cannot be fetched, or is none; or `model` is empty, or the data do not serve it.
    """
    if model and not is_name(model):
        return Path(model)
    from tfdeepfake.cli.predict import print_line
    from tfdeepfake.verdict import named

    if model and data is not None:
        check_before(model, data, data_dir, split)
    return named.locate(model, log=print_line).ready(print_line)


def check_before(name: str, data: str, data_dir: str | None, split: str | None) -> None:
    """Raises the InputError of prepared data that a published detector could not be given, where it is not here yet."""
    from tfdeepfake.quiet import load_tensorflow
    from tfdeepfake.verdict import named

    if named.is_ready(name):
        return
    named.check_detector(name)
    load_tensorflow()
    from tfdeepfake.evaluation.run import check_data

    check_data(name, data, data_dir, split)


def is_name(model: str) -> bool:
    """Whether it names a published checkpoint; a folder of that name goes before it."""
    from tfdeepfake.published.sources import SOURCES

    return not Path(model).exists() and model in SOURCES
