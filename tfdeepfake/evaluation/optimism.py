"""Whether scores are of videos that the network, or what cuts its scores, has seen: what is to be said of them."""

from pathlib import Path

from tfdeepfake.data.builder_names import OF_ANY_VIDEOS
from tfdeepfake.evaluation.aggregation import video_scores
from tfdeepfake.model_folder import find_model_folder
from tfdeepfake.recipe import Recipe
from tfdeepfake.scoring.table import VIDEO, Table
from tfdeepfake.scoring.table_file import read_scores

BEST_EPOCH, CUTS = "the best epoch, thresholds and temperature", "threshold and temperature"


def optimism(folder: str | Path, rows: Table, split: str, recipe: Recipe, version: str) -> list[str]:
    """Notes on videos that took part in training, or in choosing the best epoch, thresholds or temperature.

    Args:
      folder: run folder or saved model folder. The scores that `train` (beside best/) and `calibrate` (in the folder)
        left there name the videos that served.
      rows: scores table.
      split: that it is of, of the prepared data `version`.
      recipe: of the network; its data_version names the data of all members of an ensemble.
    """
    folder, notes = find_model_folder(folder), []
    same_data = trained_on(recipe.data_version, version)
    if split == "train" and same_data:
        notes.append(f"optimistic{doubt(version)}: the network was trained on this split.")
    of_training = folder.parent / "scores_validation.csv"
    for path, what in ((of_training, BEST_EPOCH), (folder / "calibration" / "scores.csv", CUTS)):
        if path.is_file() and (both := _shared(rows, path)):
            videos = len(video_scores(rows)["video"])
            notes.append(f"optimistic: {both} of {videos} videos also served to choose {what}.")
    if split == "validation" and same_data and not of_training.is_file():
        notes.append(f"optimistic{doubt(version)}: this split served to choose {BEST_EPOCH}.")
    return notes


def trained_on(versions: str, version: str) -> bool:
    """Whether data of `version` are among those that a network was trained on, Recipe.data_version, by their names."""
    return version in versions.split("; ")


def doubt(version: str) -> str:
    """What is to be said where two sets of one name and version may hold different videos; else ""."""
    name = version.partition(":")[0].partition("/")[0]
    return f", if these are its training's videos ({name} may hold any)" if name in OF_ANY_VIDEOS else ""


def _shared(rows, path):
    """How many videos of a table are in a score file."""
    here, there = (
        set(zip(*(table[name].tolist() for name in VIDEO), strict=True)) for table in (rows, read_scores(path))
    )
    return len(here & there)
