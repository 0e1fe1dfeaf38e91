"""Parts of stored frames that are not to be shown."""

import struct

import numpy as np
import pytest
from PIL import Image
from support.boxes import insert, insert_crop
from support.media import make_video, moving_frames

from tfdeepfake.data import video

CUT = (8, 32, 24, 16)  # left, top, right, bottom
CLAP = struct.pack(">IIIIiIiI", 192, 1, 144, 1, -16, 2, 16, 2)  # the middle moves by half of what one side loses more


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("rotation_deg, pixel_aspect", [(0, None), (90, None), (0, (2, 1))])
def test_what_the_container_cuts_off_is_not_shown(tmp_path, suffix, rotation_deg, pixel_aspect):
    drawn = moving_frames(12, 144, 192)
    left, top, right, bottom = CUT
    padded = np.pad(drawn, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=255)
    settings = {"rotation_deg": rotation_deg, "pixel_aspect": pixel_aspect, "crf": 8, "g": 4, "bf": 2}
    path = make_video(tmp_path / f"a.{suffix}", padded, **settings)
    if suffix == "mp4":
        path = insert(path, tmp_path / "b.mp4", (b"clap", CLAP))
    else:
        path = insert_crop(path, tmp_path / "b.mkv", CUT)
    shown, small = video.read_frames(path, range(12)).frames, video.read_frames(path, [7], max_side_px=96).frames[0]
    wanted = np.rot90(drawn, -rotation_deg // 90, axes=(1, 2))
    if pixel_aspect:
        # Matroska states the size as shown instead, which is that of what is left.
        across = (np.arange(video.probe(path).width) + 0.5) * 192 / video.probe(path).width
        wanted = wanted[:, :, across.astype(int)]
    assert (video.probe(path).height, video.probe(path).width, 3) == shown.shape[1:] == wanted.shape[1:]
    assert np.abs(shown.astype(int) - wanted).mean() < 6
    less = np.asarray(Image.fromarray(wanted[7]).resize(small.shape[1::-1], Image.BOX))
    assert max(small.shape) == 96 and np.abs(small.astype(int) - less).mean() < 6


@pytest.mark.parametrize("aperture", [bytes(32), b""])
def test_an_aperture_that_makes_no_sense_cuts_nothing_off(tmp_path, aperture):
    path = insert(make_video(tmp_path / "a.mp4", moving_frames(3)), tmp_path / "b.mp4", (b"clap", aperture))
    assert (video.probe(path).width, video.probe(path).height) == (128, 96)
