"""Perturbed copies of videos and of folders of them, for the robustness sweep of P4 4.5: `tfdeepfake perturb`."""

import hashlib
import shutil
import tempfile
from pathlib import Path

import numpy as np

from tfdeepfake.data import video
from tfdeepfake.data.perturb import PERTURBATIONS, even, is_noop, perturb, value_of
from tfdeepfake.data.video.frame_folder import frame_files
from tfdeepfake.data.video.walk import lines as lines_of_folder
from tfdeepfake.data.video.walk import walk
from tfdeepfake.data.video.write import write_image
from tfdeepfake.errors import InputError
from tfdeepfake.files import (
    append_json_line,
    atomic_path,
    begin_json_lines,
    check_output_file,
    check_output_folder,
    read_json_lines,
)

# Containers that hold what is written here; others get .mp4 behind their name, images .png.
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
# Copied unchanged, so that a builder reads the same lists in the copy as in the data set.
LISTS = (".csv", ".json", ".txt")
LOG = "perturbed.jsonl"


def write_perturbed(
    path: str | Path,
    out: str | Path,
    name: str,
    severity: int,
    seed: int = 0,
    crf: int = 0,
    time_limit_s: float | None = None,
) -> dict:
    """Perturbs a video or image. The memory does not grow with the video's length.

    Frames keep their numbers: one that cannot be decoded is replaced by the one before it. Sound is left out, and the
    frame rate is the mean one. Compression is written as it is coded. All others are written without loss (H.264, RGB),
    so that what is measured later is the perturbation and not a second coding; such files are large.

    Args:
      path: video or image, or a folder of the frames of one video.
      out: file with one of `SUFFIXES`; of an image .png. Replaced only when whole. Of a folder of frames a folder,
        which gets an image (PNG) under the name of each.
      name, severity, seed: see `perturb.perturb`.
      crf: above 0, all but compression are written with loss at this rate factor (H.264, full chroma).
      time_limit_s: seconds after which to give up; None for no limit.
    Returns:
      {"frames": written, "missing": of them replaced, "changed": whether any frame changed}.
    Raises:
      VideoError: the file cannot be read.
      InputError: no such name or severity, `out` is the file itself or of another kind, the disk is full.
    """
    value, path, out = value_of(name, severity), Path(path), Path(out)
    info = video.probe(path, time_limit_s)
    if path.is_dir():
        return _write_frames(path, out, name, value, seed, info.frame_count, time_limit_s)
    wanted = (".png",) if info.is_image else SUFFIXES
    if out.suffix.lower() not in wanted:
        raise video.VideoError(out, f"needs the suffix {' or '.join(wanted)} for what is in {path.name}.")
    if path.resolve() == out.resolve():
        raise InputError(out, "is the file that is read.", "Give another name: originals are kept.")
    if info.is_image:
        return _write_image(path, out, name, severity, seed)
    summary = {"frames": 0, "missing": 0, "changed": name == "compression"}
    frames = _every_frame(path, info.frame_count, summary, time_limit_s)
    fps = info.fps or 25.0
    if name == "compression":
        video.write_video(out, map(even, frames), fps, crf=value, preset=None)
        return summary
    perturbed = _perturbed(frames, PERTURBATIONS[name][1], value, seed, summary)
    if crf:
        video.write_video(out, perturbed, fps, crf=crf, pix_fmt="yuv444p")
    else:
        video.write_video(out, perturbed, fps, "libx264rgb", crf=0, preset="ultrafast", pix_fmt="rgb24")
    return summary


def _write_frames(folder, out, name, value, seed, count, time_limit_s):
    """`write_perturbed` of a folder of frames; compression is that of the video which they are."""
    summary = {"frames": 0, "missing": 0, "changed": name == "compression"}
    frames = _every_frame(folder, count, summary, time_limit_s)
    with tempfile.TemporaryDirectory() as temporary:
        if name == "compression":
            coded = Path(temporary, "coded.mp4")
            video.write_video(coded, map(even, frames), 25.0, crf=value, preset=None)
            perturbed = (frame for chunk in video.iter_chunks(coded, 16) for frame in chunk.frames)
        else:
            perturbed = _perturbed(frames, PERTURBATIONS[name][1], value, seed, summary)
        for file, frame in zip(frame_files(folder), perturbed, strict=True):
            write_image(out / f"{file.stem}.png", frame)
    return summary


def _write_image(path, out, name, severity, seed):
    image, changed = perturb(video.read_frames(path, [0]).frames[0], name, severity, seed)
    write_image(out, image)
    return {"frames": 1, "missing": 0, "changed": changed}


def _every_frame(path, count, summary, time_limit_s):
    """Yields `count` frames, and counts in `summary` all of them and those that are copies of another."""
    last, skipped = None, 0
    for chunk in video.iter_chunks(path, 16, time_limit_s=time_limit_s):
        for number, frame in zip(chunk.indices.tolist(), chunk.frames, strict=True):
            skipped = number - summary["frames"]
            for _ in range(skipped):
                yield frame if last is None else last
            last = frame
            summary["missing"] += skipped
            summary["frames"] += skipped + 1
            yield frame
    if last is None:
        raise video.VideoError(path, "is damaged: none of its frames can be decoded.", "Copy or download it again.")
    for _ in range(count - summary["frames"]):
        summary["missing"] += 1
        summary["frames"] += 1
        yield last


def _perturbed(frames, function, value, seed, summary):
    rng = np.random.default_rng(seed)
    for frame in frames:
        (changed,) = function([frame], value, rng)
        summary["changed"] |= not np.array_equal(changed, frame)
        yield changed


def perturb_files(
    path: str | Path,
    out: str | Path,
    name: str,
    severity: int,
    seed: int = 0,
    crf: int = 0,
    time_limit_s: float | None = None,
) -> dict:
    """Perturbs a file, or a folder into another of the same layout.

    In a folder each file has noise and blocks of its own, by its name there. Lists (.csv, .json, .txt) are copied, so
    the new folder can be prepared like the old one. An interrupted run is resumed: `perturbed.jsonl` in the new folder
    has the settings and a line for each file.

    Args:
      path: file or folder.
      out: file or folder.
      name, severity, seed, crf, time_limit_s: see `write_perturbed`.
    Returns:
      {"files": media files, "written", "kept" (of an earlier run), "unchanged": names that the perturbation did nothing
      to, "missing": frames that could not be decoded, "failed": {name: why}}, and of a folder "notes": sentences on
      what is in it, and "left_out": other files, which the new folder lacks.
    Raises:
      InputError: nothing can be read, the folder holds another perturbation, the disk is full.
    """
    from tqdm import tqdm

    path, out = Path(path), Path(out)
    settings = {"name": name, "severity": severity, "value": value_of(name, severity), "seed": seed, "crf": crf}
    summary = {"files": 1, "written": 1, "kept": 0, "unchanged": [], "missing": 0, "failed": {}}
    if not path.is_dir():
        check_output_file(out)
        done = write_perturbed(path, out, name, severity, seed, crf, time_limit_s)
        return summary | {"missing": done["missing"], "unchanged": [] if done["changed"] else [path.name]}
    check_output_folder(out)
    if out.resolve().is_relative_to(path.resolve()) or path.resolve().is_relative_to(out.resolve()):
        raise InputError(out, "lies in the folder that is read, or around it.", "Give a folder beside it.")
    content = walk(path)
    media = content.media
    if not media:
        raise InputError(path, "holds no videos or images.", "Give a folder of videos.")
    earlier = _read_log(out, settings)
    # Before all else: by it a run that is stopped on the way finds its folder again.
    if earlier is None:
        begin_json_lines(out / LOG, [settings])
    summary |= {"files": len(media), "written": 0, "notes": lines_of_folder(content), "left_out": []}
    for source in content.others:
        if source.suffix.lower() in LISTS and source.is_file() and not source.name.startswith("."):
            with atomic_path(out / source.relative_to(path)) as temporary:
                shutil.copyfile(source, temporary)
        else:
            summary["left_out"].append(source.relative_to(path).as_posix())
    summary["failed"] |= {str(folder): why for folder, why in content.unreadable}
    for source in tqdm(media, desc=f"{name} {severity}", unit="file", disable=None):
        file = source.relative_to(path).as_posix()
        target = out / _named(source, path)
        done = (earlier or {}).get(file, {})
        if "frames" in done and target.exists():
            summary["kept"] += 1
        else:
            try:
                done = write_perturbed(source, target, name, severity, [seed, _number(file)], crf, time_limit_s)
                summary["written"] += 1
            except video.VideoError as error:
                done = {"problem": error.problem}
            except InputError:
                raise
            except Exception as error:  # one bad file must not end the work on thousands; it is counted and named
                done = {"problem": f"unexpected {type(error).__name__}: {error}"}
            append_json_line(out / LOG, {"file": file, **done})
        if "problem" in done:
            summary["failed"][file] = done["problem"]
            continue
        summary["missing"] += done["missing"]
        summary["unchanged"] += [] if done["changed"] else [file]
    if not summary["written"] + summary["kept"]:
        reasons = "; ".join(f"{file}: {why}" for file, why in list(summary["failed"].items())[:5])
        raise InputError(path, f"holds no file that can be read ({reasons}).", "Check the files.")
    return summary


def lines(summary: dict, name: str) -> list[str]:
    """What to tell about a summary: what was done, and files that failed or that nothing changed in."""
    told = list(summary.get("notes", ()))
    told.append(f"{summary['written']} of {summary['files']} files written, {summary['kept']} were there.")
    if names := summary["unchanged"]:
        why = " (it does nothing below 256 px)" if is_noop(name, 1, 1) else ""
        told.append(f"{len(names)} of {summary['files']} are as they were: {name} changes nothing{why}: {_few(names)}")
    if summary["missing"]:
        told.append(f"{summary['missing']} frames could not be decoded; each is a copy of the one before.")
    if summary["failed"]:
        why = [f"{file}: {problem}" for file, problem in summary["failed"].items()]
        told.append(f"{len(why)} of {summary['files']} cannot be read: {_few(why)}")
    if names := summary.get("left_out"):
        what = "is neither video nor image and was" if len(names) == 1 else "are neither video nor image and were"
        told.append(f"{len(names)} {what} not copied: {_few(names)}")
    return told


def _few(names, most=5):
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _named(source, folder):
    """Name of the perturbed file below the new folder; no two files of a folder get the same."""
    path, suffix = source.relative_to(folder), source.suffix.lower()
    is_animation = source.is_file() and video.is_animation(source)
    if source.is_dir() or suffix in SUFFIXES or (suffix == ".png" and not is_animation):
        return path
    is_image = not is_animation and video.sniff(source) == "image"
    return path.with_name(f"{path.name}{'.png' if is_image else '.mp4'}")


def _number(file):
    return int.from_bytes(hashlib.sha256(file.encode()).digest()[:4], "big")


def _read_log(out, settings):
    """{file: row} of an earlier run with these settings; None without one.

    Raises:
      InputError: the folder was written with others, or holds something else.
    """
    remedy = "Choose another folder, or delete this one."
    if not out.exists():
        out.mkdir(parents=True)
        return None
    if not (out / LOG).is_file():
        if any(out.iterdir()):
            raise InputError(out, "holds files already, and they are no perturbed copies.", remedy)
        return None
    rows = list(read_json_lines(out / LOG))
    if not rows:
        return None
    if rows[0] != settings:
        had = f"{rows[0].get('name')} {rows[0].get('severity')}, seed {rows[0].get('seed')}, crf {rows[0].get('crf')}"
        raise InputError(out, f"holds another perturbation ({had}).", remedy)
    return {row["file"]: row for row in rows[1:] if "file" in row}
