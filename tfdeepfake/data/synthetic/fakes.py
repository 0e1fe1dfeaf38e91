"""A video's frames, genuine or manipulated by one of four methods.

The methods have the characters of FaceForensics++'s four (arXiv:1901.08971, Sec. 3):

  face_swap            the source's face as graphics would paste it: lit by a fitted light, colours matched on
                       average only, a seam around it.
  expression_transfer  the target's own face drawn again with the source's expression. What gives it away is its
                       place: off by JITTER_PX anew in each frame, and LAG_FRAMES late behind the head.
  learned_face         the source's face through LEARNED_PX pixels: soft, its tone and place flicker.
  mouth_texture        the target's mouth speaking the source's words: a few slightly soft pixels that neither follow
                       the jaw nor sit still.

expression_transfer and mouth_texture (HARD_METHODS) are hard to see in one frame but visible over time:
tests/test_synthetic.py holds how far. Registered, a frame of theirs differs from the same frame without faults by
1.35 and 1.9 times what two takes of camera noise differ by (face_swap: 4); the change of the manipulated region's
mean motion from frame to frame is 6 and 4 times a genuine face's.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tfdeepfake.data.synthetic import draw, room
from tfdeepfake.data.synthetic.body import draw_body
from tfdeepfake.data.synthetic.head import bake_head, smoothstep
from tfdeepfake.data.synthetic.people import EXPRESSION, HEIGHT_PX, POSE, WIDTH_PX

if TYPE_CHECKING:
    from tfdeepfake.data.synthetic.people import Identity, Motion, Scene


METHODS = ("face_swap", "expression_transfer", "learned_face", "mouth_texture")
HARD_METHODS = ("expression_transfer", "mouth_texture")
# Standard deviation per axis and frame of a hard method's misalignment, for a face REFERENCE_SCALE px per head unit.
JITTER_PX = 0.75
REFERENCE_SCALE = 55
LAG_FRAMES = 0.6
LEARNED_PX = 48  # side of the image a learned face is decoded to, over LEARNED_UNITS head units
LEARNED_UNITS = 1.9


def scale_px(scene: "Scene", height: int) -> float:
    """px per head unit; a detector's face box is about 1.75 units high."""
    return round(scene.face_frac * height / 1.75, 1)


def _pose(scene, motion, t, width, height):
    """Pose dict in frame px at the (fractional) time t in frames, and the camera's shake in px."""
    t = float(np.clip(t, 0, len(motion) - 1))
    low = min(int(t), max(len(motion) - 2, 0))
    between = lambda curve: curve[low] + (t - low) * (curve[min(low + 1, len(curve) - 1)] - curve[low])  # noqa: E731
    shake = (scene.shake_px * height / HEIGHT_PX * between(motion.shake)).tolist()
    pose = dict(zip(POSE, between(motion.pose).tolist(), strict=True))
    base = scale_px(scene, height)
    pose["scale"] = base * (1 + pose.pop("zoom"))
    pose["x"] = width * scene.centre_frac[0] + pose["x"] * base + shake[0]
    pose["y"] = height * scene.centre_frac[1] + pose["y"] * base + shake[1]
    return pose, shake


def _expression(motion, t):
    return dict(zip(EXPRESSION, motion.expression[min(t, len(motion) - 1)].tolist(), strict=True))


def _plate(person, scene, motion, t, width, height):
    """Room and body of frame t, uint8 [height, width, 3]."""
    pose, shake = _pose(scene, motion, t, width, height)
    scale = scale_px(scene, height)
    background = room.draw_room(scene, width, height)
    move = np.float32([[1, 0, shake[0] - room.PAD], [0, 1, shake[1] - room.PAD]])
    frame = cv2.warpAffine(background, move, (width, height), flags=cv2.INTER_LINEAR)
    x, y = width * scene.centre_frac[0], height * scene.centre_frac[1]
    body, cover, top = draw_body(person, scene, width, height, scale, x, y)
    # The neck follows the head, the shoulders half of it.
    follow = np.array([pose["x"] - x - shake[0], pose["y"] - y - shake[1]]) * 0.6 + shake
    move, size = np.float32([[1, 0, follow[0] - room.PAD], [0, 1, follow[1]]]), (width, height - top)
    body = cv2.warpAffine(body, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpAffine(cover, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    frame[top:] = cv2.blendLinear(body, np.ascontiguousarray(frame[top:]), cover, 1 - cover)
    return frame


def frames_and_masks(
    person: "Identity",
    scene: "Scene",
    motion: "Motion",
    width: int = WIDTH_PX,
    height: int = HEIGHT_PX,
    overlay: Callable | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (frame, mask), uint8 RGB [height, width, 3] and uint8 [height, width]; the mask of a genuine video is 0.

    `overlay(t, plate, image, pose, box, x, y)` draws a manipulation over the rectangle `box` around the face:
    `plate` is what lies behind the head, `image` the genuine head, x and y its texture coordinates. It returns the
    face to put in (uint8) and its weight (float32 0..1), both [h, w].
    """
    head = bake_head(person, scale_px(scene, height))
    table = room.camera_table(scene)
    noise = room.sensor_noise(scene, motion.seed, width, height, len(motion))
    for t, grain in enumerate(noise):
        frame = _plate(person, scene, motion, t, width, height)
        pose, _ = _pose(scene, motion, t, width, height)
        x0, y0, x1, y1 = box = draw.window(pose, width, height)
        plate = np.ascontiguousarray(frame[y0:y1, x0:x1])
        image, x, y = draw.draw_head(plate, head, scene.light, pose, _expression(motion, t), box)
        mask = np.zeros((height, width), np.uint8)
        if overlay:
            # The face needs only the middle of the head's rectangle.
            a0, b0, a1, b1 = face_box = draw.window(pose, width, height, reach=(1.15, 1.05, 1.55))
            inner = slice(b0 - y0, b1 - y0), slice(a0 - x0, a1 - x0)
            below = np.ascontiguousarray(image[inner])
            face, weight = overlay(t, np.ascontiguousarray(plate[inner]), below, pose, face_box, x[inner], y[inner])
            image[inner] = cv2.blendLinear(np.ascontiguousarray(face), below, weight, 1 - weight)
            mask[b0:b1, a0:a1] = np.ceil(255 * weight)
        frame[y0:y1, x0:x1] = image
        # All pixels get the camera's noise, manipulated or not: its absence would give the drawing away.
        yield cv2.add(cv2.LUT(frame, table), grain, dtype=cv2.CV_8U), mask


def draw_video(
    identity: "Identity", scene: "Scene", motion: "Motion", width: int = WIDTH_PX, height: int = HEIGHT_PX
) -> Iterator[np.ndarray]:
    """Yields the uint8 RGB frames [height, width, 3] of a genuine video."""
    for frame, _ in frames_and_masks(identity, scene, motion, width, height):
        yield frame


def draw_fake(
    method: str,
    target: tuple,
    source: tuple,
    seed: int,
    width: int = WIDTH_PX,
    height: int = HEIGHT_PX,
    strength: float = 1.0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draws a manipulated video.

    Args:
      method: one of METHODS.
      target: (Identity, Scene, Motion) of the video that is manipulated.
      source: (Identity, Motion) whose face or expression goes in.
      seed: of what flickers and jitters.
      strength: factor of a method's faults; at 0 a hard method leaves the new expression and no trace.
    Yields:
      (frame uint8 RGB [height, width, 3], mask uint8 [height, width]): the mask is 255 times the manipulation's
      weight, rounded up; where it is 0 the frame is exactly the genuine one.
    Raises:
      ValueError: unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"method needs one of {METHODS}, got {method!r}.")
    person, scene, motion = target
    begin = {
        "face_swap": _face_swap,
        "expression_transfer": _expression_transfer,
        "learned_face": _learned_face,
        "mouth_texture": _mouth_texture,
    }[method]
    overlay = begin(np.random.default_rng([seed, 6]), target, source, width, height, strength)
    yield from frames_and_masks(person, scene, motion, width, height, overlay)


def _ellipse(x, y, centre_y, wide, high, feather):
    """Weight 1 inside a rounded region around (0, centre_y) in head units, falling to 0 at its edge."""
    level = 1 - (np.abs(x) / wide) ** 2.4 - (np.abs(y - centre_y) / high) ** 2.4
    return smoothstep(level, 0, feather).astype(np.float32)


def _moved(pose, rng, size_px, turn=0.0, grow=0.0):
    """The pose, misplaced at random: px for a face of REFERENCE_SCALE, radians, part of the size."""
    dx, dy = rng.normal(0, size_px * pose["scale"] / REFERENCE_SCALE, 2)
    scale = pose["scale"] * (1 + rng.normal(0, grow))
    return {
        **pose,
        "x": pose["x"] + dx,
        "y": pose["y"] + dy,
        "roll": pose["roll"] + rng.normal(0, turn),
        "scale": scale,
    }


def _matched(face, goal, weight, fraction):
    """Gain per channel that brings a face's mean `fraction` of the way (in the logarithm) to the goal's."""
    a, b = (image[weight > 0.5].astype(np.float32).mean(0) + 1 for image in (face, goal))
    return (b / a) ** fraction


def _face_swap(rng, target, source, width, height, strength):
    (person, scene, motion), (other, _) = target, source
    head = bake_head(other, scale_px(scene, height))
    # A model fitted to the face has its own idea of the light.
    bent = np.float32(scene.direction) + np.float32(rng.normal(0, 0.35, 3) * strength)
    light = scene.light._replace(direction=bent / np.linalg.norm(bent))
    wide = min(person.face_width, other.face_width) * 0.90
    fraction, tint = rng.uniform(0.85, 0.97), rng.normal(0, 4, 3) * strength
    tone = []

    def overlay(t, plate, image, pose, box, x, y):
        face = draw.draw_head(image, head, light, _moved(pose, rng, 0.25 * strength), _expression(motion, t), box)[0]
        weight = _ellipse(x, y, 0.24, wide, 0.70, 0.14)
        if not tone:  # matched once, on the first frame: the light changes when the head turns, the match does not
            tone.append(_matched(face, image, weight, fraction))
        return np.clip(face * tone[0] + tint, 0, 255).astype(np.uint8), weight

    return overlay


def _expression_transfer(rng, target, source, width, height, strength):
    (person, scene, motion), (_, words) = target, source
    head = bake_head(person, scale_px(scene, height))

    def overlay(t, plate, image, pose, box, x, y):
        late, _ = _pose(scene, motion, t - LAG_FRAMES * strength, width, height)
        late = _moved(late, rng, JITTER_PX * strength, turn=0.006 * strength, grow=0.006 * strength)
        # The eyes stay the target's: brows and mouth take the source's expression.
        new = {k: v for k, v in _expression(words, t).items() if k in ("jaw", "spread", "smile", "brow")}
        face = draw.draw_head(plate, head, scene.light, late, _expression(motion, t) | new, box)[0]
        return face, _ellipse(x, y, 0.24, (person.face_width + 0.17) * 0.93, 0.89, 0.3)

    return overlay


def _learned_face(rng, target, source, width, height, strength):
    (person, scene, motion), (other, _) = target, source
    head = bake_head(other, scale_px(scene, height))
    tint, fraction = rng.normal(0, 2.5, 3) * strength, rng.uniform(0.9, 1.0)
    tone = []

    def overlay(t, plate, image, pose, box, x, y):
        place = _moved(pose, rng, 0.5 * strength)
        face = draw.draw_head(image, head, scene.light, place, _expression(motion, t), box)[0]
        weight = _ellipse(x, y, 0.24, person.face_width * 0.91, 0.70, 0.6)
        if not tone:
            tone.append(_matched(face, image, weight, fraction))
        h, w = face.shape[:2]
        shrink = LEARNED_PX / (LEARNED_UNITS * pose["scale"])
        face = cv2.resize(face, (round(w * shrink), round(h * shrink)), interpolation=cv2.INTER_AREA)
        face = cv2.resize(face, (w, h), interpolation=cv2.INTER_CUBIC)
        flicker = 1 + rng.normal(0, 0.025 * strength)
        wrong = tint + rng.normal(0, 1.5 * strength, 3)
        return np.clip(face * (tone[0] * flicker) + wrong, 0, 255).astype(np.uint8), weight

    return overlay


def _mouth_texture(rng, target, source, width, height, strength):
    (person, scene, motion), (_, words) = target, source
    head = bake_head(person, scale_px(scene, height))

    def overlay(t, plate, image, pose, box, x, y):
        late, _ = _pose(scene, motion, t - LAG_FRAMES * strength, width, height)
        new = {k: v for k, v in _expression(words, t).items() if k in ("jaw", "spread")}
        late = _moved(late, rng, JITTER_PX * strength)
        face = draw.draw_head(plate, head, scene.light, late, _expression(motion, t) | new, box)[0]
        if strength > 0:
            face = cv2.GaussianBlur(face, (0, 0), 0.35 * strength * pose["scale"] / REFERENCE_SCALE)
        return face, _ellipse(x, y, person.mouth_y + 0.06, 0.46, 0.32, 0.5)

    return overlay
