"""Videos and pictures to frames: which frame, when, in which colours, and what damaged files end in."""

import numpy as np
import pytest
from media import frame_number, make_video, moving_frames

from tfdeepfake.data import video


@pytest.mark.parametrize("options", [{"bf": 0}, {"bf": 3, "g": 12}, {"bf": 3, "g": 12, "x264_params": "open-gop=1"}])
def test_frames_are_those_asked_for(tmp_path, options):
    path = make_video(tmp_path / "a.mp4", moving_frames(60), **options)
    wanted = video.spaced_indices(60, 9)
    got = video.read_frames(path, wanted)
    assert [frame_number(frame) for frame in got.frames] == wanted.tolist() == got.indices.tolist()
    np.testing.assert_allclose(got.timestamps_s, wanted / 25)
    every = np.concatenate([trunk.frames for trunk in video.iter_trunks(path, 25)])
    assert len(every) == 60 == video.probe(path).frame_count
    np.testing.assert_array_equal(got.frames, every[wanted])
