"""What a network was shown of a face, in numbers: how far it was enlarged, how sharp, noisy, pale, compressed, turned.

Measured on the crops as the network gets them, because that is what decides whether it can tell.
"""

import numpy as np

from tfdeepfake.data.examples import Example

# Of a clip's frames so many are measured: neighbours resemble each other.
FRAMES_OF_A_CLIP = 4
# Codecs code squares of 8 px, and those of 16 have their edges among them.
BLOCK_PX = 8
# Frames farther apart show motion rather than flicker.
LONGEST_STEP_S = 0.1
GREY = np.float32((0.299, 0.587, 0.114))
# Cb and Cr of R, G and B (BT.601).
CHROMA = np.float32(((-0.168736, 0.5), (-0.331264, -0.418688), (0.5, -0.081312)))


def measures_of(examples: list[Example]) -> dict[str, float | None]:
    """Median over the crops of one face of each measure.

    Args:
      examples: of one face, at least one.
    Returns:
      dict of floats; None where a measure cannot be taken, as the pose without landmarks:
        enlarged   side of the crop in px by that of the square it was cut out of: above 1 it was enlarged
        sharpness  variance of the Laplacian of the middle of the crop, grey 0..255
        noise      standard deviation of white noise that explains the finest differences (Immerkaer 1996,
                   doi:10.1006/cviu.1996.0060), grey levels
        contrast   standard deviation of the middle of the crop, grey levels
        colour     mean distance of its pixels from grey in Cb and Cr
        blocks     differences over the edges of 8 px blocks of the frame by those elsewhere: 1 where there are none
        flicker    mean distance of a pixel of the middle from the mean of the frames before and after it, grey levels;
                   only of clips whose frames follow each other
        turn       how far the nose lies beside the middle of the eyes, in distances of the eyes: 0 from the front
    """
    tables = [_measured(example) for example in examples]
    medians = {}
    for name in tables[0]:
        values = np.concatenate([table[name] for table in tables])
        values = values[np.isfinite(values)]
        medians[name] = round(float(np.median(values)), 4) if len(values) else None
    return medians


def _measured(example):
    """{measure: float [T]} of some of the frames of an example."""
    rows = np.unique(np.linspace(0, len(example.frames) - 1, FRAMES_OF_A_CLIP).round().astype(int))
    frames, boxes = example.frames[rows].astype(np.float32), example.boxes_px[rows].astype(np.float64)
    height, width = frames.shape[1:3]
    grey = frames @ GREY
    inner = _middle(grey, height, width)
    laplacian = (
        grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] + grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] - 4 * grey[:, 1:-1, 1:-1]
    )
    second = np.diff(np.diff(inner, 2, axis=1), 2, axis=2)
    return {
        "enlarged": height / np.maximum(boxes[:, 3] - boxes[:, 1], 1e-6),
        "sharpness": _middle(laplacian, height - 2, width - 2).var(axis=(1, 2)),
        "noise": np.sqrt(np.pi / 2) / 6 * np.abs(second).mean(axis=(1, 2)),
        "contrast": inner.std(axis=(1, 2)),
        "colour": np.linalg.norm(_middle(frames, height, width) @ CHROMA, axis=-1).mean(axis=(1, 2)),
        "blocks": np.full(len(rows), np.nan) if example.transforms is not None else _blocks(grey, boxes),
        "flicker": _flicker(example),
        "turn": _turn(example.landmarks_px[rows]) if example.landmarks_px is not None else np.full(len(rows), np.nan),
    }


def _blocks(grey, boxes):
    """Ratio of differences over block edges to the others, [T]; NaN where the crop is too small to show blocks."""
    ratios = []
    for axis, first, last in ((2, 0, 2), (1, 1, 3)):
        count = grey.shape[axis]
        step = (boxes[:, last] - boxes[:, first])[:, None] / count
        differences = np.abs(np.diff(grey, axis=axis)).mean(axis=3 - axis)
        places = boxes[:, first, None] + step * np.arange(1, count)
        # Between the centres of these two pixels lies an edge of the frame's blocks.
        edge = np.floor((places + step / 2) / BLOCK_PX) > np.floor((places - step / 2) / BLOCK_PX)
        with np.errstate(invalid="ignore", divide="ignore"):
            over = (differences * edge).sum(axis=1) / edge.sum(axis=1)
            rest = (differences * ~edge).sum(axis=1) / (~edge).sum(axis=1)
            ratios.append(np.where(step[:, 0] <= BLOCK_PX / 3, over / rest, np.nan))
    return np.mean(ratios, axis=0)


def _flicker(example):
    """[1] or, without three frames in a row, [0]."""
    if len(example.frames) < 3 or np.diff(example.timestamps_s).max() > LONGEST_STEP_S:
        return np.zeros(0)
    height, width = example.frames.shape[1:3]
    grey = _middle(example.frames, height, width).astype(np.float32) @ GREY
    return np.abs(np.diff(grey, 2, axis=0) / 2).mean(keepdims=True).reshape(1)


def _middle(images, height, width):
    """The middle of crops [T, h, w, ...], half of each side: the face without what is around it."""
    return images[:, height // 4 : height - height // 4, width // 4 : width - width // 4]


def _turn(landmarks):
    """[T] of landmarks [T, 5, 2]."""
    eyes = landmarks[:, 1] - landmarks[:, 0]
    beside = landmarks[:, 2] - (landmarks[:, 0] + landmarks[:, 1]) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs((beside * eyes).sum(axis=1)) / (eyes**2).sum(axis=1)
