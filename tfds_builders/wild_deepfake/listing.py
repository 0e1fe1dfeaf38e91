"""WildDeepfake as it is distributed: archives of face images, a folder for each sequence.

The archives are named .tar.gz and are plain tar files.
"""

import re
import tarfile
from fractions import Fraction
from pathlib import Path

from tfdeepfake.data.video.check import VideoError
from tfdeepfake.errors import InputError
from tfdeepfake.files import raise_if_full
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import Listing, hold_out, need_folder

FOLDERS = {"real_train": 0, "real_test": 0, "fake_train": 1, "fake_test": 1}
METHODS = ("real", "fake")
GET = "It comes with WildDeepfake, by the form at https://github.com/OpenTAI/wild-deepfake."
SUFFIXES = (".tar", ".tar.gz", ".tgz")
OTHER = "images that are not in SHARD/(real or fake)/SEQUENCE/"
# The set does not tell: frames of the sequences are written at this rate, and timestamps follow from it.
FPS = 25


def sequence_of(name: str, label: int) -> tuple | None:
    """(shard, sequence, number of the frame) of an image's path 12/real/3/140.png, or None for another file."""
    match = re.fullmatch(rf"(?:.*/)?([^/]+)/{METHODS[label]}/([^/]+)/(\d+)\.png", name)
    return match and (match[1], match[2], int(match[3]))


def _members(path):
    """Yields (path in it, function that reads its bytes) of every image of an archive or folder.

    Raises:
      VideoError: the archive cannot be read to its end.
    """
    if path.is_dir():
        for file in sorted(path.rglob("*.png")):
            # Unpacked archives lie side by side: the shard may be this folder's own name.
            yield f"{path.name}/{file.relative_to(path).as_posix()}", file.read_bytes
        return
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".png"):
                    yield member.name.removeprefix("./"), lambda member=member: archive.extractfile(member).read()
    except (tarfile.TarError, EOFError, OSError) as error:
        why = str(error).partition("\n")[0].rstrip(":")  # tarfile tells on further lines what each decompressor says
        raise VideoError(path, f"is no whole archive ({why}).", "Download it again.") from None


def list_videos(folder: Path) -> Listing:
    """All sequences; the set's own test, and a tenth of the training archives of each class for validation.

    Args:
      folder: Path, holds real_train/, real_test/, fake_train/ and fake_test/, or deepfake_in_the_wild/ with them. In
        these are archives, or folders to which they were unpacked.
    Returns:
      Listing. `path` is the archive or folder, `video` is train/SHARD/SEQUENCE, `source` the shard, real_train/12.
    Raises:
      InputError: a folder is missing or empty, or an archive cannot be read.
    """
    from tqdm import tqdm

    inner = folder / "deepfake_in_the_wild"
    folder = inner if inner.is_dir() else folder
    entries = [entry for name in FOLDERS for entry in _archives(folder / name)]
    listing, seen = Listing(), {}
    for path in tqdm(entries, desc="wild_deepfake: listing", unit="archive", disable=None):
        part = path.parent.name
        for name, _ in _members(path):
            place = sequence_of(name, FOLDERS[part])
            if place is None:
                listing.exclude(OTHER, f"{part}/{path.name}/{name}")
            else:
                seen.setdefault((part, *place[:2]), path)
    held = {one for label in (0, 1) for one in hold_out(_shards(seen, f"{METHODS[label]}_train"))}
    for (part, shard, sequence), path in sorted(seen.items()):
        label, split = FOLDERS[part], part.partition("_")[2]
        source = f"{part}/{shard}"
        at = "validation" if source in held else split
        listing.videos.append(VideoRecord(path, f"{split}/{shard}/{sequence}", label, METHODS[label], source, at))
    return listing


def _shards(seen, part):
    return {f"{part}/{shard}" for at, shard, _ in seen if at == part}


def _archives(folder):
    """Archives of a folder, and folders of unpacked ones."""
    archives = [p for p in need_folder(folder, GET).iterdir() if p.is_dir() or p.name.endswith(SUFFIXES)]
    if not archives:
        raise InputError(folder, "holds no archives.", GET)
    return sorted(archives)


def unpack(listed: VideoRecord, folder: Path) -> Path:
    """Writes the images of a sequence as a video, without decoding them.

    Args:
      listed: VideoRecord from `list_videos`.
      folder: where to write.
    Returns:
      Path of a .mov whose packets are the PNG files, in the order of their numbers.
    Raises:
      VideoError: the archive is damaged, or an image is no PNG file.
      InputError: the disk is full.
    """
    _, shard, sequence = listed.name.split("/")
    images = {}
    for name, read in _members(listed.path):
        place = sequence_of(name, listed.label)
        if place and place[:2] == (shard, sequence):
            images[place[2]] = read()
    for number, data in images.items():
        if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 24:
            raise VideoError(listed.path, f"frame {number} of {listed.name} is no PNG.", "Download it again.")
    if not images:
        raise VideoError(listed.path, f"{listed.name} is no longer there.", "Download it again.")
    path = Path(folder) / "sequence.mov"
    try:
        _mux(path, [images[number] for number in sorted(images)])
    except OSError as error:
        raise_if_full(error, path)
        raise
    return path


def _mux(path, images):
    """Writes PNG files as the packets of a video."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("png", rate=FPS)
        stream.width, stream.height = (int.from_bytes(images[0][at : at + 4], "big") for at in (16, 20))
        stream.pix_fmt = "rgb24"
        for place, data in enumerate(images):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, FPS), True
            packet.pts = packet.dts = place
            out.mux(packet)
