"""Draws the videos of this folder: real/ of six people, fake/METHOD/ of six others, 24 frames of 160 x 120 px.

python tfds_builders/video_folder/dummy_data/draw.py
"""

from pathlib import Path

from tfdeepfake.data import synthetic

if __name__ == "__main__":
    folder = Path(__file__).parent
    for spec in synthetic.make_set((12, 0, 0), real_per_identity=1, num_frames=24, width=160, height=120):
        if spec.target < 6 and not spec.label:
            synthetic.write_clip(spec, folder / "real")
        elif spec.target >= 6 and spec.method == synthetic.METHODS[spec.target % len(synthetic.METHODS)]:
            synthetic.write_clip(spec, folder / "fake" / spec.method)
