"""Who or what a video was made of, as far as names tell it: in the manner of published sets, and of folders of images.

By this fakes get the split of their sources, whose names they bear.
"""

import hashlib
import json
import os
import re
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from tfdeepfake.data.video.formats import sniff
from tfdeepfake.data.video.frame_folder import in_order
from tfdeepfake.errors import InputError
from tfds_builders.core.manual import read_text

# Manner: (of a fake, whose groups are what it was made of, target first; of a real video, whose group is its source).
MANNERS = {
    "FaceForensics++ (TTT_SSS)": (r"(\d{3})_(\d{3})(?:_.*)?", r"(\d{3})(?:_(?!\d{3}).*)?"),
    "DeepFakeDetection (TT_SS__SCENE)": (r"(\d\d)_(\d\d)__.+", r"(\d\d)__.+"),
    "Celeb-DF (idA_idB_NNNN)": (r"(id\d+)_(id\d+)_\d+", r"(id\d+)_\d+"),
}
METADATA = "metadata.json"
DFDC = f"DFDC ({METADATA})"
# Images of so many videos in one folder are told apart by what stands before their last number.
LEAST_PREFIXES = 3
COMPARED_BYTES = 2**16


def by_name(stem: str, is_fake: bool) -> tuple[str, tuple[str, ...]] | None:
    """(manner, names of what a video was made of) as its name tells; None when it is in no known manner."""
    for manner, patterns in MANNERS.items():
        if match := re.fullmatch(patterns[0 if is_fake else 1], stem, re.IGNORECASE):
            return manner, tuple(one.lower() for one in match.groups())
    return None


def stem_of(path: Path) -> str:
    """Name of a video without suffix; of a folder of frames all of it."""
    return path.name if path.is_dir() else path.stem


def read_originals(folder: Path) -> dict[str, tuple[int, str | None]]:
    """What files such as DFDC's metadata.json in a folder and below tell: {"a.mp4": (label, stem of its original)}.

    Files of that name which hold anything else are passed over.
    """
    told = {}
    for path in sorted(folder.rglob(METADATA)):
        try:
            entries = json.loads(read_text(path))
        except (ValueError, InputError):
            continue
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            label = str(entry.get("label", "")).lower() if isinstance(entry, dict) else ""
            if label in ("real", "fake"):
                original = entry.get("original")
                told[name] = int(label == "fake"), Path(original).stem if isinstance(original, str) else None
    return told


def copies(paths: list[Path]) -> dict[Path, str]:
    """{file: name of its content} of those that are there more than once: copied, or linked under other names.

    Files of one size whose first and last bytes are equal are taken for the same: a video is not read whole for it.
    """
    sizes, contents = {}, {}
    for path in paths:
        if path.is_file():
            sizes.setdefault(path.stat().st_size, []).append(path)
    for size, files in sizes.items():
        for path in files if size and len(files) > 1 else ():
            with path.open("rb") as stream:
                content = hashlib.sha256(stream.read(COMPARED_BYTES))
                stream.seek(max(0, size - COMPARED_BYTES))
                content.update(stream.read(COMPARED_BYTES))
            contents.setdefault((size, content.hexdigest()), []).append(path)
    return {path: f"content {name[1]}" for name, files in contents.items() if len(files) > 1 for path in files}


def image_sources(paths: list[Path], classes: list[Path]) -> dict[Path, str]:
    """{image: source} of images that are frames of a video, told by folder or by what stands before their number.

    Args:
      paths: of all media.
      classes: folders such as real/, whose numbered images may be anything.
    """
    folders = {}
    for path in paths:
        if sniff(path) == "image" and not path.is_dir():
            folders.setdefault(path.parent, []).append(path)
    told = {}
    for folder, images in folders.items():
        prefixes = {path: re.sub(r"[\W_]*\d+$", "", path.stem) for path in images}
        if folder not in classes and len(images) > 1 and _of_one_video(images, prefixes.values()):
            told |= dict.fromkeys(images, folder.name)
        elif len(set(prefixes.values())) >= LEAST_PREFIXES and max(Counter(prefixes.values()).values()) > 1:
            told |= {path: prefix or path.stem for path, prefix in prefixes.items()}
    return told


def _of_one_video(images, prefixes):
    """Whether images are the frames of one video by their names: numbered or timed, or numbered by frame and face."""
    if in_order([path.name for path in images]):
        return True
    texts = {re.sub(r"\d+", "0", path.stem.lower()) for path in images}
    # Most frames show one face; of several videos whose frames are in one folder there are more than one each.
    return len(texts) == 1 and median(Counter(prefixes).values()) == 1


def groups(origins: list[tuple[str, ...]]) -> list[str]:
    """Of each video a name of its group: those that share an origin, over however many others, are one group."""
    above = {}

    def top(name):
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    for names in origins:
        for name in names[1:]:
            above[max(top(names[0]), top(name))] = min(top(names[0]), top(name))
    return [top(names[0]) for names in origins]


def origins(method: str, video: str, source: str, /, **_: Any) -> tuple[set, set]:
    """Persons and recordings, see `audit.origins`: the source, and of a fake all that its name tells."""
    stem = os.path.splitext(video.rpartition("/")[2])[0]
    told = by_name(stem, method != "real")
    names = {source or video, *(told[1] if told else ())}
    return {f"video_folder:{name}" for name in names}, {f"video_folder:{source or video}"}
