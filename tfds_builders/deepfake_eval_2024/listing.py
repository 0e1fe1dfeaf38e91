"""Deepfake-Eval-2024 as it is distributed: a folder of videos from social media, and a CSV with label and set."""

from pathlib import Path

from tfdeepfake.csv_lists import read_list
from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import NO_FILE, Listing, find_file, hold_out, media_below, need_folder

VIDEOS = "video-data"
LIST = "video-metadata-publish.csv"
COLUMNS = {
    "filename": ("file name", "file"),
    "video ground truth": ("ground truth",),
    "finetuning set": ("set",),
}
LABELS = {"real": 0, "fake": 1}
SETS = {"train": "train", "test": "test"}
GET = "It comes with Deepfake-Eval-2024, https://huggingface.co/datasets/nuriachandra/Deepfake-Eval-2024 (gated)."
UNKNOWN = "its truth is not known (Video Ground Truth is Unknown)"
NO_ROW = f"not in {LIST}"
NOTE = (
    "Deepfake-Eval-2024 does not say who is shown: persons may be in training and test alike. Many of its clips show "
    "several faces or none; mind the coverage."
)


def read_metadata(path: str | Path) -> dict:
    """Rows of the CSV.

    Returns:
      {file name: (label or None where it is not known, "train" or "test")}.
    Raises:
      InputError: a column is missing, a label or set is unknown, a file is named twice, or there is no row.
    """
    rows = {}
    for line, row in read_list(path, COLUMNS, tuple(COLUMNS), GET):
        name, truth, part = (row[column] for column in COLUMNS)
        name = name.rpartition("/")[2]
        if truth.lower() not in (*LABELS, "unknown"):
            raise InputError(path, f"line {line}: Video Ground Truth is {truth!r}, not Real, Fake or Unknown.", GET)
        if part.lower() not in SETS:
            raise InputError(path, f"line {line}: Finetuning Set is {part!r}, not Train or Test.", GET)
        if name in rows:
            raise InputError(path, f"line {line}: {name} is named twice.", GET)
        rows[name] = LABELS.get(truth.lower()), SETS[part.lower()]
    if not rows:
        raise InputError(path, "names no video.", GET)
    return rows


def list_videos(folder: Path) -> Listing:
    """All videos whose truth is known.

    Args:
      folder: Path, holds video-data/ and the CSV.
    Returns:
      Listing. `method` is "real" or "fake"; `source` is the video itself: the set does not tell persons.
    """
    rows = read_metadata(find_file(folder, (LIST, f"{VIDEOS}/{LIST}"), GET, (VIDEOS,)))
    files = {path.name: path for path in media_below(need_folder(folder / VIDEOS, GET))}
    listing = Listing(notes=[NOTE])
    listing.exclude(NO_ROW, *sorted(files.keys() - rows.keys()))
    held = hold_out(name for name, (label, part) in rows.items() if part == "train" and label is not None)
    for name, (label, part) in sorted(rows.items()):
        if label is None:
            listing.exclude(UNKNOWN, name)
        elif name not in files:
            listing.exclude(NO_FILE, name)
        else:
            stem, split = files[name].stem, "validation" if name in held else part
            listing.videos.append(VideoRecord(files[name], stem, label, ("real", "fake")[label], stem, split))
    return listing
