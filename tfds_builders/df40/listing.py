"""DF40 as it is distributed: face crops as images, a folder for each method, domains below; real frames beside them.

Folders are those that the authors' page and code state; names of files inside them were not at hand and are read
leniently. What may have to be corrected stands at the top.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import Listing, hold_out, media_below
from tfds_builders.face_forensics.listing import LISTS, read_splits

# Domain: folder of its real frames beside the methods, and the parts of it that are real videos where it has more.
REAL = {
    "ff": ("FaceForensics++", ("original_sequences",)),
    "cdf": ("Celeb-DF-v2", ("Celeb-real", "YouTube-real")),
}
# Parts of a method's folder. The nine methods of an unknown domain bring their own real images.
FAKE_PARTS = {"ff": "ff", "cdf": "cdf", "fake": "unknown"}
REAL_PART = "real"
DOMAINS = ("ff", "cdf", "unknown")
# The training and the test download may lie beside each other, each with folders for the methods.
PARTS = ("train", "test")
GET = "It comes with DF40, by the form at https://github.com/YZY-stack/DF40."
NO_ID = "its name tells no video of FaceForensics++, so that its split is not known"
CROSSING = "its two videos of FaceForensics++ are in different splits"
NO_LISTS = (
    "train.json, val.json and test.json of FaceForensics++ are missing: the ff domain is split by the folders train/ "
    "and test/ alone, and videos of one person may be in both."
)


def ids_of(domain: str, name: str) -> tuple:
    """Videos or persons that a name tells: ("071", "054") of 071_054 in ff, ("id0", "id1") of id0_id1_0002 in cdf."""
    if domain == "ff":
        match = re.match(r"(\d{3})(?:[_-](\d{3}))?(?![\dA-Za-z])", name)
        return tuple(one for one in match.groups() if one) if match else ()
    return tuple(dict.fromkeys(re.findall(r"id\d+", name))) if domain == "cdf" else ()


def origins(method: str, video: str, source: str, /, **_: Any) -> tuple:
    """Persons and recordings, see `audit.origins`: names of FaceForensics++ and Celeb-DF in their domains."""
    parts = video.split("/")
    domain = next((name for name, (top, _) in REAL.items() if top in parts or name in parts), "unknown")
    prefix = {"ff": "ff++", "cdf": "celeb_df"}.get(domain, "df40")
    who = {f"{prefix}:{one}" for one in ids_of(domain, _own_name(parts)) or (source,)}
    return who, who if domain == "ff" else {f"{prefix}:{source}"}


def list_videos(folder: Path, methods: Iterable[str] = (), domains: Iterable[str] = ()) -> Listing:
    """All folders of frames and single images.

    Args:
      folder: Path, holds folders for the methods, or train/ and test/ with such folders.
      methods: those to take; all when empty. Real images of a domain are taken with any method of it.
      domains: of "ff", "cdf" and "unknown"; all when empty.
    Returns:
      Listing. A folder of frames is a video, an image that lies in none is one, too. `method` is the method's folder,
      or "real"; `source` the video of FaceForensics++ (the target), the person of Celeb-DF, or the name itself. The ff
      domain has FaceForensics++'s splits; cdf and unknown are test.
    Raises:
      InputError: no method's folder, or an unknown method or domain.
    """
    domains, methods = set(domains) or set(DOMAINS), set(methods)
    if unknown := sorted(domains - set(DOMAINS)):
        raise InputError("domains", f"has no {unknown[0]!r}.", f"There are {', '.join(DOMAINS)}.")
    tops = [(folder / part, part) for part in PARTS if (folder / part).is_dir()] or [(folder, None)]
    entries, names = [], set()
    for top, part in tops:
        for path in sorted(p for p in top.iterdir() if p.is_dir() and p.name not in (r for r, _ in REAL.values())):
            inner = {p.name: p for p in path.iterdir() if p.is_dir()}
            if not inner.keys() & FAKE_PARTS.keys():
                continue
            names.add(path.name)
            if methods and path.name not in methods:
                continue
            for name, domain in FAKE_PARTS.items():
                if name in inner and domain in domains:
                    entries += [(each, domain, path.name, 1, part) for each in media_below(inner[name])]
            if "fake" in inner and REAL_PART in inner and "unknown" in domains:
                entries += [(each, "unknown", "real", 0, part) for each in media_below(inner[REAL_PART])]
    if not names:
        raise InputError(folder, "holds no folder METHOD/ff, METHOD/cdf or METHOD/fake.", GET)
    if unknown := sorted(methods - names):
        raise InputError("methods", f"has no {unknown[0]!r} in {folder}.", f"There are {', '.join(sorted(names))}.")
    for domain in sorted(domains & {entry[1] for entry in entries}):
        entries += [(each, domain, "real", 0, None) for each in _real_frames(folder, domain)]
    return _with_splits(folder, entries)


def _with_splits(folder, entries):
    listing = Listing()
    try:
        official = read_splits(folder)
    except InputError:
        if any((folder / name).exists() for name in LISTS.values()):  # there, and wrong
            raise
        official = None
        if any(domain == "ff" for _, domain, *_ in entries):
            listing.notes.append(NO_LISTS)
    sources = {}
    for path, domain, _, _, part in entries:
        ids = ids_of(domain, _own_name(path.relative_to(folder).parts))
        sources[path] = ids[0] if ids else path.relative_to(folder).with_suffix("").as_posix()
        if official is None and domain == "ff" and part is None and ids:
            sources[path] = min(ids)  # both orders of a pair are one source
    of_ff = {sources[path] for path, domain, _, _, part in entries if domain == "ff" and part != "test"}
    held = hold_out(of_ff)
    tested = of_ff and hold_out(of_ff - held, "test")
    for path, domain, method, label, part in entries:
        name = (
            path.relative_to(folder).as_posix()
            if path.is_dir()
            else path.relative_to(folder).with_suffix("").as_posix()
        )
        split, source = "test", sources[path]
        if domain == "ff" and official is not None:
            ids = ids_of("ff", _own_name(path.relative_to(folder).parts))
            at = {official[one][0] for one in ids if one in official}
            if len(at) != 1:
                listing.exclude(CROSSING if at else NO_ID, name)
                continue
            (split,) = at
        elif domain == "ff" and part != "test":
            split = "validation" if source in held else "test" if part is None and source in tested else "train"
        listing.videos.append(VideoRecord(path, name, label, method, source, split))
    return listing


def _real_frames(folder, domain) -> Iterator[Path]:
    """Real frames of a domain; none where their folder is missing."""
    top, parts = REAL[domain] if domain in REAL else ("", ())
    if not top or not (folder / top).is_dir():
        return
    inner = [folder / top / part for part in parts if (folder / top / part).is_dir()]
    for each in inner or [folder / top]:
        yield from media_below(each)


def _own_name(parts):
    """The part of a path that names a video: the folder of frames or the image itself, "frames" left out."""
    return next((part for part in reversed(parts) if part not in ("frames", "frames_all")), "")
