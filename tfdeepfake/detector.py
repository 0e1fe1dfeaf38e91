"""`Detector`: the Python interface, a detector by name or folder that judges files."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from tfdeepfake.counting import counting
from tfdeepfake.errors import InputError
from tfdeepfake.recipe import Recipe
from tfdeepfake.verdict import batch, judging, named
from tfdeepfake.verdict.results import printable_path
from tfdeepfake.verdict.settings import JudgeSettings


class Detector:
    """A detector, loaded once, that judges as many files as it is given.

    It may be made and used in any thread, one at a time, and does not depend on the working directory where paths are
    absolute.

    Args:
      model: name of a published detector (`tfdeepfake detectors`), which is fetched and converted once; a saved model
        folder or run folder; or with `source` a file of weights. The default detector when not given.
      source: published name whose layout the file `model` has.
      settings: how files are judged, see `JudgeSettings`; fewer samples by default where a network is large and there
        is no GPU.
      detector: face detector instead of the recipe's own.
      detector_weights: path of the BlazeFace file.
      runtime: "litert" for the network compiled for CPUs, which loads at once; "keras"; "auto" for the faster one.
      log: called with lines for the user, such as size, licence and training data before a download; prints them when
        not given.
      progress: bar of the download; None shows it on a terminal and in a notebook.
    Raises:
      InputError: no such name or folder, or it cannot be fetched or loaded.
    """

    def __init__(
        self,
        model: Path | str | None = None,
        *,
        source: str | None = None,
        settings: JudgeSettings | None = None,
        detector: str | None = None,
        detector_weights: Path | str | None = None,
        runtime: str = "auto",
        log: Callable[[str], None] = print,
        progress: bool | None = None,
    ):
        located = named.locate(model, source, log=log, progress=progress)
        folder = located.ready(log)
        self._settings = located.affordable(settings, log)
        self._network = batch.load_network(folder, detector, detector_weights, runtime=runtime, log=log)

    @property
    def recipe(self) -> Recipe:
        """How faces are cut and scored, where the weights come from, their licence and terms."""
        return self._network.recipe

    @property
    def folder(self) -> Path:
        """The saved model folder."""
        return self._network.folder

    def __call__(self, path: Path | str | bytes) -> judging.Verdict:
        """Judges one video or still image.

        Args:
          path: of the file.
        Returns:
          Verdict, which shows itself in a notebook. Whatever is wrong with the file is its status.
        Raises:
          TypeError: `path` is no path, such as an array of frames, or a list of paths: `predict` takes those.
          InputError: it is empty.
        """
        network, path = self._network, _path(path)
        if path == "":
            raise InputError("path", "is empty.", "Give a video or an image.")
        with counting(f"judging {printable_path(os.path.basename(path))}"):
            return judging.judge(path, network.model, network.recipe, network.detect, self._settings)

    def predict(
        self,
        paths: Path | str | bytes | Iterable[Path | str | bytes],
        out_dir: Path | str | None = None,
        *,
        labels: Path | str | None = None,
        log: Callable[[str], None] | None = None,
        budget_s: float | None = None,
    ) -> dict:
        """Judges files and folders of them, as `tfdeepfake predict` does.

        Args:
          paths: one file or folder, or several.
          out_dir: gets the page, predictions.json, scores.csv and images; nothing is written when not given.
          labels: CSV file,label with the truth.
          log: called with each verdict's line, and with the summary.
          budget_s: seconds for all files; the names of those that were not reached are in `not_reached`.
        Returns:
          dict, the content of predictions.json (docs/predictions.md).
        Raises:
          TypeError: one of the paths is no path.
          InputError: there is no media file, out_dir or the labels cannot be used, or the disk is full.
        """
        settings = self._settings
        several = isinstance(paths, Iterable) and not isinstance(paths, str | bytes)
        paths = [_path(path) for path in paths] if several else _path(paths)
        return batch.judge_many(
            paths, self._network, out_dir, settings=settings, labels=labels, log=log, budget_s=budget_s
        )

    def __repr__(self):
        return f"Detector({str(self.folder)!r}): {self.recipe.network}, licence {self.recipe.licence}"


def _path(path):
    """As text."""
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(
            f"path needs that of a video or image, got {type(path).__name__}; `predict` takes several, and frames have "
            "to be written to a file."
        )
    return os.fsdecode(path)
