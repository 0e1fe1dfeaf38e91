"""Landmarks of turned faces: MTCNN's O-Net is run again on the faces turned upright.

MTCNN's O-Net learned from faces that stand nearly upright, and pulls the landmarks of a turned one towards upright.
So its first landmarks tell how to turn and scale the face, O-Net runs on the upright face, and its landmarks are mapped
back. After three rounds the landmarks turn with the face: in 63 synthetic and real frames turned by 10 to 40 degrees
aligned crops of 224 px moved by 0.1 to 0.2 px in the median and by 1 px or less in nine of ten; with O-Net's first
landmarks the median was 1.4 px (10 degrees) to 5.8 px (40 degrees).
"""

from collections.abc import Callable

import numpy as np

from tfdeepfake.data.faces.align import moved, similarity, warped

# O-Net's landmarks in its window, in sides of it: the mean over 105 real and 33 synthetic faces.
IN_WINDOW = np.array([(0.3, 0.36), (0.7, 0.36), (0.5, 0.61), (0.33, 0.833), (0.67, 0.833)])
WINDOW_PX = 48
# A face of up to so many windows' size is averaged over all its pixels.
MOST_TIMES = 16


def upright_landmarks(
    frames: np.ndarray, owner: np.ndarray, landmarks_px: np.ndarray, look: Callable, rounds: int = 3
) -> np.ndarray:
    """Landmarks that turn with the face.

    Args:
      frames: list of uint8 [H, W, 3].
      owner: int [N], whose frame each face is in.
      landmarks_px: [N, 5, 2] in px of the frames, a first guess.
      look: function of windows uint8 [N, 48, 48, 3] that returns landmarks [N, 5, 2] in sides of the window.
      rounds: number of times to run `look`.
    Returns:
      float32 [N, 5, 2].
    """
    points = np.array(landmarks_px, np.float64)
    for _ in range(rounds if len(points) else 0):
        matrices = np.stack([_into_window(p) for p in points])
        windows = np.stack([_window(frames[i], m) for i, m in zip(owner, matrices, strict=True)])
        seen = look(windows) * WINDOW_PX - matrices[:, None, :, 2]
        new = np.swapaxes(np.linalg.solve(matrices[:, :, :2], np.swapaxes(seen, 1, 2)), 1, 2)
        # A window without a face gives points anywhere: the earlier landmarks are used there.
        near = np.abs(moved(matrices, new) - IN_WINDOW * WINDOW_PX).max((1, 2)) < WINDOW_PX / 2
        points = np.where(near[:, None, None], new, points)
    return points.astype(np.float32)


def _into_window(points):
    """Similarity from landmarks [5, 2] to the window; where there is none, as for equal points, only a shift."""
    try:
        return similarity(points, IN_WINDOW * WINDOW_PX)
    except ValueError:
        return np.concatenate([np.eye(2), WINDOW_PX / 2 - points.mean(0)[:, None]], axis=1)


def _window(frame, matrix):
    """The window that a transform cuts out, uint8 [48, 48, 3]; averaged where it shrinks, mid-grey past the border."""
    import cv2

    times = int(np.clip(np.ceil(1 / np.sqrt(np.linalg.det(matrix[:, :2]))), 1, MOST_TIMES))
    window = warped(frame, matrix * times, WINDOW_PX * times, border=(127, 127, 127))
    return cv2.resize(window, (WINDOW_PX, WINDOW_PX), interpolation=cv2.INTER_AREA) if times > 1 else window
