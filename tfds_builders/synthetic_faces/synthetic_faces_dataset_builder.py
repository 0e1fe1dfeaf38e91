"""synthetic_faces: synthetic talking heads and four manipulations of them, as .mp4 files and as examples."""

import functools
import hashlib
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from tfdeepfake.data import synthetic
from tfdeepfake.data.video import write_video
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json, write_json, write_text
from tfdeepfake.recipe import DataRecipe
from tfds_builders.core.building import VideoBuilder, make_video, split_generators
from tfds_builders.core.configs import VideoConfig

# A face of the set is about 100 px high in a frame of 320 x 240.
CROP = {"margin_frac": 0.3, "height_px": 64, "width_px": 64}
OPTIONS = {
    "identities": (36, 8, 16),
    "real_per_identity": 2,
    "fakes_per_method": 1,
    "seed": 0,
    "video_frames": synthetic.FRAMES,
    "masks": False,
    "strength": 1.0,
}
MARKER = "set.json"


class Builder(VideoBuilder):
    """Draws the videos that are missing and turns all into examples.

    A config's `options` are those of `OPTIONS`: identities (people in train, validation and test), real_per_identity,
    fakes_per_method, seed, video_frames, masks (whether those of the fakes are drawn and stored), and strength (factor
    of what gives the fakes away).
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    BUILDER_CONFIGS = [
        VideoConfig(
            name="clip",
            description="Two runs of 16 consecutive face crops per video with their optical flow.",
            recipe=DataRecipe(
                input_type="clip", sampling="consecutive", num_frames=16, num_clips=2, flow="dis", **CROP
            ),
        ),
        VideoConfig(
            name="frame",
            description="Eight face crops per video.",
            recipe=DataRecipe(input_type="frame", sampling="spaced", num_frames=8, **CROP),
        ),
        VideoConfig(
            name="flow",
            description="Two runs of 4 consecutive face crops per video, each crop with its optical flow.",
            recipe=DataRecipe(input_type="flow", sampling="consecutive", num_frames=4, num_clips=2, flow="dis", **CROP),
        ),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = OPTIONS

    def _split_generators(self, dl_manager):
        folder = videos_folder(self.data_dir_root, self.builder_config.options)
        options = OPTIONS | self.builder_config.options
        try:
            specs = synthetic.make_set(
                identities=tuple(options["identities"]),
                real_per_identity=options["real_per_identity"],
                fakes_per_method=options["fakes_per_method"],
                seed=options["seed"],
                num_frames=options["video_frames"],
                strength=options["strength"],
            )
        except (TypeError, ValueError) as error:
            raise InputError(self.name, f"cannot be drawn so: {error}") from error
        # Of an option that came later the default draws the set that was drawn before.
        later = {name: OPTIONS[name] for name in ("masks", "strength")}
        open_folder(folder, {name: value for name, value in options.items() if value != later.get(name)})
        masks = {spec: folder / spec.split / "masks" if options["masks"] else None for spec in specs}
        videos = [
            make_video(
                self.builder_config,
                path=str(folder / spec.split / spec.method / spec.file_name),
                split=spec.split,
                label=spec.label,
                data_set=self.name,
                method=spec.method,
                video=spec.video,
                source=f"person{spec.target:03d}",
                draw=functools.partial(_draw, spec, folder / spec.split / spec.method, masks[spec]),
                mask=masks[spec] and (masks[spec] / spec.file_name if spec.label else ""),
            )
            for spec in specs
        ]
        rows = [
            f"{Path(v.path).relative_to(folder).as_posix()},{('real', 'fake')[v.label]},{v.source},{v.method},{v.split}"
            for v in videos
        ]
        write_text(folder / "labels.csv", "\n".join(["file,label,source,method,split", *rows]) + "\n")
        return split_generators(self, videos)


def _draw(spec, folder, masks_folder):
    """Writes a video, and before it the masks of a fake as a video of grey frames, where they have a folder."""
    if masks_folder and spec.label:
        grey = (np.repeat(mask[..., None], 3, axis=-1) for _, mask in synthetic.frames_of(spec))
        # Nearly lossless; see `synthetic.write_clip` for the option.
        write_video(masks_folder / spec.file_name, grey, spec.fps, crf=8, options={"mbtree": "0"})
    synthetic.write_clip(spec, folder)


def videos_folder(data_dir: str | Path, options: dict | None) -> Path:
    """Where the .mp4 files of a set lie: `synthetic_faces_videos` in the data dir; a set drawn with other than the
    default options has a folder of its own inside `synthetic_faces_videos_other`.

    Files are <split>/<real or method>/NAME.mp4, and labels.csv beside them is what `video_folder` reads.
    """
    changed = {name: value for name, value in sorted(options.items()) if name in OPTIONS and value != OPTIONS[name]}
    if not changed:
        return Path(data_dir) / "synthetic_faces_videos"
    text = "_".join(
        f"{name}-{'-'.join(map(str, value)) if isinstance(value, tuple | list) else value}"
        for name, value in changed.items()
    )
    return Path(data_dir) / "synthetic_faces_videos_other" / text


def open_folder(folder: str | Path, options: dict | None) -> None:
    """Keeps the files of an interrupted run in the folder; removes those of other drawing code or another set."""
    marker = {"options": {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}, "drawing": _drawing()}
    if (folder / MARKER).exists() and _marker(folder) == marker:
        for temporary in folder.glob("*/*/.tmp-*"):
            temporary.unlink()
        return
    for old in sorted(folder.glob("*/*/*.mp4")):
        old.unlink()
    write_json(folder / MARKER, marker)


def _marker(folder):
    try:
        return read_json(folder / MARKER)
    except InputError:
        return None


def _drawing():
    """Digest of the code that draws."""
    digest = hashlib.sha256()
    for path in sorted(Path(synthetic.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
