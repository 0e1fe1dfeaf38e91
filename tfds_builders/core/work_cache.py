"""Work cache of a build: its finished videos, so that a build that was killed is resumed.

The folder `.work-<version>` beside the data set has a file for each finished video, in 256 sub-folders: `<hash>.scored`
holds its examples, `<hash>.none` says why it has none, `<hash>.died` that the process that read it died, which is tried
again. The hash is of all that the examples depend on (`name_of`), so that a changed file, recipe or code never takes an
old file. Paths are etils paths, so that the folder may lie on any storage that TFDS writes to.
"""

import ast
import contextlib
import dataclasses
import functools
import hashlib
import importlib
import importlib.metadata
import json
import os
import uuid
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from etils import epath

from tfdeepfake.errors import InputError
from tfdeepfake.files import raise_if_full, raise_if_unwritable
from tfds_builders.core.features import draw_missing, make_examples

if TYPE_CHECKING:
    from tfds_builders.core.building import VideoBuilder


SCORED, NONE, DIED = "scored", "none", "died"
MAGIC = b"tfdeepfake work cache 1\n"
# Libraries that decode, search and encode; another version may give other bytes.
LIBRARIES = ("av", "mtcnn", "numpy", "opencv-python-headless", "tensorflow", "tensorflow-cpu")


@dataclasses.dataclass(frozen=True)
class Job:
    """A video to finish.

    Args:
      video: features.Video.
      folder: the work folder, str.
      name: from `name_of`; None when the synthetic video has to be written first.
    """

    video: object
    folder: str
    name: str | None


def work_folder(builder: "VideoBuilder") -> epath.Path:
    """Folder of a builder's finished videos while it builds."""
    # While TFDS builds, `data_dir` is a temporary folder beside the target.
    return epath.Path(builder.data_dir).parent / f".work-{builder.version}"


def open_folder(folder: epath.PathLike) -> None:
    """Creates the folder and its sub-folders; completes an interrupted removal first."""
    remove(folder, begun=True)
    try:
        for n in range(256):
            (folder / f"{n:02x}").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise_if_unwritable(error, folder)


def remove(folder: epath.PathLike, begun: bool = False) -> None:
    """Removes the work folder of a complete set. It is renamed first, so that a half removed folder is never used."""
    gone = folder.with_name(folder.name.replace(".work-", ".gone-"))
    if not begun and folder.exists():
        folder.rename(gone)
    if gone.exists():
        gone.rmtree()


def jobs_of(videos: Iterable, folder: epath.PathLike) -> list:
    """A list of `Job`."""
    states, folder = {}, os.fspath(folder)
    return [Job(v, folder, name_of(v, states) if v.draw is None or Path(v.path).exists() else None) for v in videos]


def finished_names(folder: epath.PathLike) -> dict:
    """{name: "scored", "none" or "died"} of the videos that are finished."""
    kinds = {}
    for part in folder.iterdir():
        for path in sorted(part.iterdir()):
            name, _, kind = path.name.partition(".")
            if kind in (SCORED, NONE) or (kind == DIED and name not in kinds):
                kinds[name] = kind
    return kinds


def path_of(folder: epath.PathLike, name: str, kind: str) -> epath.Path:
    return epath.Path(folder) / name[:2] / f"{name}.{kind}"


def finish(job: Job) -> tuple:
    """Makes and writes the examples of a video, unless its file is there.

    Returns:
      (name, "scored" or "none"), of a whole file.
    Raises:
      InputError: see `features.make_examples`; or the disk is full.
    """
    draw_missing(job.video)
    name = job.name or name_of(job.video)
    for kind in (SCORED, NONE):
        if _whole(path_of(job.folder, name, kind)):
            return name, kind
    status, examples_or_reason = make_examples(job.video)
    kind = SCORED if status == "scored" else NONE
    write(job.folder, name, kind, (status, examples_or_reason))
    return name, kind


def write(folder: epath.PathLike, name: str, kind: str, content: Any) -> None:
    """Writes what `make_examples` returned; other processes see the whole file or none."""
    path = path_of(folder, name, kind)
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        # Not forced to the disk, which would cost more than some videos: after a power cut the length tells.
        temporary.write_bytes(_pack(content))
        temporary.replace(path)
    except OSError as error:
        if temporary.exists():
            temporary.unlink()
        raise_if_full(error, path)


def read(folder: epath.PathLike, name: str, kind: str) -> tuple:
    """What `features.make_examples` returned for a finished video.

    Raises:
      InputError: the file is damaged.
    """
    path = path_of(folder, name, kind)
    try:
        status, examples_or_reason = _unpack(path.read_bytes())
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(path, f"is damaged ({error}).", "Delete it and run the same command again.") from error
    return status, [tuple(item) for item in examples_or_reason] if kind == SCORED else examples_or_reason


def name_of(video: Any, states: dict | None = None) -> str:
    """Hex digest of everything that the examples of a video depend on.

    Its file's path, size and time, the recipe and the facts stored with it, the code and the libraries, but not the
    split. In a field of the video or an argument of its functions, a Path stands for the file or folder there.

    Args:
      states: dict that caches the state of files and folders; they must not change meanwhile.
    """
    states = {} if states is None else states
    facts = {f.name: getattr(video, f.name) for f in dataclasses.fields(video) if f.name not in ("split", "draw")}
    facts["path"] = Path(video.path)
    text = json.dumps([code_digest(), _plain(facts, states)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def code_digest(module: str = "tfds_builders.core.features") -> str:
    """Digest of a module, of all modules of this project that it imports, and of the libraries they call."""
    digest, seen, queue = hashlib.sha256(), set(), [module]
    while queue:
        name = queue.pop()
        path = _file_of(name)
        # What a recipe says is in the name; the rest of its module is about networks.
        if path is not None and name not in seen and name != "tfdeepfake.recipe":
            digest.update(path.read_bytes())
            queue += _imports(path)
        seen.add(name)
    for library in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            digest.update(f"{library} {importlib.metadata.version(library)}\n".encode())
    return digest.hexdigest()


def _file_of(module):
    """Source file of a module of this project, found without importing it; None for others."""
    top, *inner = module.split(".")
    if top in ("tfdeepfake", "tfds_builders"):
        stem = Path(importlib.import_module(top).__file__).parent.joinpath(*inner)
        return next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)


def _imports(path):
    """Names that a source file imports anywhere in it: "a.b" for `import a.b`, "a" and "a.b" for `from a import b`."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def _plain(value, states):
    """A value as JSON holds it, the same in every process: functions by name and code, files by size and time."""
    if isinstance(value, functools.partial):
        return [_plain(part, states) for part in (value.func, value.args, value.keywords)]
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name), states) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(part, states) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, states) for part in value]
    if isinstance(value, os.PathLike):
        path = os.fspath(value)
        if path not in states:
            states[path] = _state(Path(path))
        return [path, states[path]]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if callable(value):
        return [value.__module__, value.__qualname__, code_digest(value.__module__)]
    return value


def _state(path):
    """Size and time of a file, or a digest of those of all files below a folder; None where there is neither."""
    if path.is_dir():
        files = [[p.relative_to(path).as_posix(), *_state(p)] for p in sorted(path.rglob("*")) if p.is_file()]
        return hashlib.sha256(json.dumps(files).encode()).hexdigest()
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _pack(content):
    """Bytes: `MAGIC`, length and CRC of the rest, length of a JSON text, the text, and the blobs it speaks of."""
    blobs = []

    def plain(value):
        if isinstance(value, bytes):
            blobs.append(value)
            return {"bytes": len(value)}
        if isinstance(value, np.ndarray | np.generic):
            blobs.append(np.asarray(value).tobytes())
            return {"array": [value.dtype.str, list(value.shape), len(blobs[-1])]}
        if isinstance(value, dict):
            return {"dict": {key: plain(part) for key, part in value.items()}}
        if isinstance(value, list | tuple):
            return [plain(part) for part in value]
        return value

    text = json.dumps(plain(content)).encode()
    rest = b"".join([len(text).to_bytes(8, "little"), text, *blobs])
    return MAGIC + len(rest).to_bytes(8, "little") + zlib.crc32(rest).to_bytes(4, "little") + rest


HEAD = len(MAGIC) + 12


def _whole(path):
    """Whether a file is there in its full length."""
    try:
        if not path.exists():  # storage other than disks has errors of its own for what is missing
            return False
        size = path.stat().length
        with path.open("rb") as stream:
            head = stream.read(HEAD)
    except OSError:
        return False
    return head[: len(MAGIC)] == MAGIC and size == HEAD + int.from_bytes(head[len(MAGIC) :][:8], "little")


def _unpack(data):
    rest = memoryview(data)[HEAD:]
    if zlib.crc32(rest) != int.from_bytes(data[HEAD - 4 : HEAD], "little"):
        raise ValueError("its checksum is wrong")
    at = 8 + int.from_bytes(rest[:8], "little")

    def take(size):
        nonlocal at
        at += size
        return bytes(rest[at - size : at])

    def value(plain):
        if isinstance(plain, list):
            return [value(part) for part in plain]
        if not isinstance(plain, dict):
            return plain
        ((kind, content),) = plain.items()
        if kind == "bytes":
            return take(content)
        if kind == "array":
            dtype, shape, size = content
            array = np.frombuffer(take(size), np.dtype(dtype)).reshape(shape)
            return array if shape else array[()]
        return {key: value(part) for key, part in content.items()}

    return value(json.loads(bytes(rest[8:at])))
