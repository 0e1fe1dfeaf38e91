"""Draws a small whole file of every kind that `mutated.py` begins with, some of them as the tests make theirs."""

import shutil
import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

# Suffix -> (encoder, pixel format, options).
VIDEOS = {
    ".mp4": ("libx264", "yuv420p", {"g": "6", "bf": "2"}),
    ".mov": ("libx265", "yuv420p", {"x265-params": "log-level=none:keyint=6"}),
    ".mkv": ("libx264", "yuv420p", {"flags": "+ildct+ilme"}),
    ".webm": ("libvpx-vp9", "yuv420p", {"g": "6"}),
    ".avi": ("mpeg4", "yuv420p", {"bf": "2"}),
    ".ts": ("libx264", "yuv420p", {"g": "6"}),
    ".mpg": ("mpeg2video", "yuv420p", {"bf": "2"}),
    ".flv": ("flv", "yuv420p", {}),
    ".wmv": ("wmv2", "yuv420p", {}),
    ".mxf": ("mpeg2video", "yuv420p", {}),
    ".h264": ("libx264", "yuv420p", {"g": "6"}),
    ".hevc": ("libx265", "yuv420p", {"x265-params": "log-level=none:keyint=6"}),
    ".ivf": ("libvpx", "yuv420p", {}),
    ".obu": ("libsvtav1", "yuv420p", {}),
    ".mjpeg": ("mjpeg", "yuvj420p", {}),
    ".gif": ("gif", "rgb8", {}),
}
IMAGES = {
    ".jpg": {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"},
    ".png": {},
    ".webp": {},
    ".tif": {"compression": "tiff_lzw"},
    ".bmp": {},
    ".avif": {},
}


def draw(folder, model):
    """Writes them into `folder`; `model` is a saved model folder, of which recipe and weights are taken."""
    folder.mkdir(parents=True)
    frames = _frames(folder)
    for suffix, (codec, form, options) in VIDEOS.items():
        with av.open(str(folder / f"a{suffix}"), "w") as container:
            stream = container.add_stream(codec, rate=25, options=options)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = form
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=form)))
            container.mux(stream.encode(None))
    images = [Image.fromarray(frame) for frame in frames]
    for suffix, options in IMAGES.items():
        images[0].save(folder / f"a{suffix}", **options)
    for suffix in (".webp", ".png", ".avif"):
        images[0].save(folder / f"moving{suffix}", save_all=True, append_images=images[1:4], duration=40)
    _draw_heic(folder / "a.heic", frames[0])
    (folder / "a.csv").write_text("file;label;split\n" + "".join(f"real/{n}.mp4;real;train\n" for n in range(9)))
    shutil.copy(model / "recipe.json", folder / "a.json")
    _draw_weights(folder, model)


def _frames(folder):
    """uint8 RGB frames of a drawn face."""
    from tfdeepfake.data import synthetic

    spec = synthetic.make_set((2, 0, 0), real_per_identity=1, num_frames=12, width=256, height=192)[0]
    path = Path(synthetic.write_clip(spec, folder))
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    path.unlink()
    return frames


def _draw_heic(path, frame):
    from support.heif import coded_image, write_heif

    tiles = {}
    for number, (top, left) in enumerate((top, left) for top in (0, 96) for left in (0, 128)):
        tile = np.ascontiguousarray(frame[top : top + 96, left : left + 128])
        tiles[number + 1] = (coded_image("heic", tile), (128, 96), [], True)
    write_heif(path, "heic", tiles, primary=10, grid=(10, 2, 2, (256, 192), []))


def _draw_weights(folder, model):
    from support import torch_files
    from support.published_files import write_safetensors

    tensors = {"conv.weight": np.ones((4, 3, 3, 3), "f4"), "bn.running_mean": np.ones(4, "f4")}
    write_safetensors(folder / "a.safetensors", tensors)
    torch_files.write_zip(folder / "a.pt", torch_files.tensors(tensors))
    torch_files.write_stream(folder / "a.pth", torch_files.tensors(tensors))
    for path in sorted(model.rglob("*")):
        if path.suffix in (".h5", ".tflite"):
            shutil.copy(path, folder / f"a{path.suffix}")


def write_network(folder):
    """Saves an untrained Meso4, which scores frames of any video."""
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    import keras

    from tfdeepfake import models
    from tfdeepfake.compiled.choice import compile_ahead
    from tfdeepfake.model_folder import save_model
    from tfdeepfake.recipe import DataRecipe, Recipe

    keras.utils.set_random_seed(0)
    data = DataRecipe(
        input_type="frame", sampling="spaced", num_frames=4, num_clips=1, height_px=256, width_px=256, flow="none"
    )
    save_model(folder, models.build("meso4"), Recipe("meso4", data=data))
    compile_ahead(folder)
    return folder
