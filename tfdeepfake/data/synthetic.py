"""Drawn talking heads and four manipulations of them: the data set that needs no download.

Each video has a person (`Identity`), a room with a camera (`Scene`) and a `Motion`; all follow from seeds.
The manipulations have the characters of FaceForensics++'s four methods (arXiv:1901.08971, Sec. 3):

  face_swap            the source's face as graphics would paste it: colours matched on average only, a seam.
  expression_transfer  the target's own face drawn again with the source's expression. Hard to see in one frame:
                       what gives it away is its alignment, off by JITTER_PX anew in each frame and late.
  learned_face         the source's face through LEARNED_PX pixels: soft, tone and place flicker.
  mouth_texture        the target's mouth speaking the source's words. Hard to see in one frame: a few soft pixels
                       that neither follow the jaw nor sit still.

A fake's motion is never a real video's motion, so no pair of videos differs by the manipulation alone, while
rooms, clothes, camera and compression of a fake are those of one of the person's real videos: nothing but the
manipulation tells them apart.
"""

import dataclasses
import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tfdeepfake.data import synthetic_draw as draw
from tfdeepfake.data import synthetic_room as room

METHODS = ("face_swap", "expression_transfer", "learned_face", "mouth_texture")
HARD_METHODS = ("expression_transfer", "mouth_texture")
SPLITS = ("train", "validation", "test")
WIDTH_PX, HEIGHT_PX, FRAMES, FPS = 320, 240, 40, 25
JITTER_PX = 0.75  # standard deviation of a hard method's misalignment per axis and frame, for a head of 55 px/unit
LAG_FRAMES = 0.6
LEARNED_PX = 48  # side of the picture a learned face is decoded to
POSE = ("yaw", "pitch", "roll", "x", "y", "zoom")
EXPRESSION = ("jaw", "spread", "smile", "brow", "blink", "gaze_x", "gaze_y")


@dataclass(frozen=True)
class Identity:
    """What a person looks like; lengths in head units, the rest about 0..1 or 1 on average, colours RGB 0..1."""

    seed: int
    number: int
    tone: int
    skin_rgb: tuple
    hair_rgb: tuple
    hair_style: str
    hair_part: float
    hair_volume: float
    hairline: float
    beard: float
    face_width: float
    jaw_power: float
    neck: float
    shoulder: float
    eye_x: float
    eye_y: float
    eye_width: float
    eye_open: float
    eye_tilt: float
    eye_rgb: tuple
    lashes: float
    brow_thick: float
    brow_arch: float
    brow_dark: float
    brow_ridge: float
    socket: float
    nose_y: float
    nose_width: float
    nose_size: float
    mouth_y: float
    mouth_width: float
    lips: float
    lip_gain: tuple
    cheek: float
    chin: float
    age: float
    texture: float
    shine: float
    spots: tuple
    glasses: int
    glasses_rgb: tuple


def identity(seed, number):
    """Person `number` of the set `seed`: the same arguments always give the same person."""
    rng = np.random.default_rng([seed, 1, number])
    tone = int(rng.integers(len(draw.SKIN_RGB)))
    near = lambda centre, spread, least=-np.inf, most=np.inf: float(np.clip(rng.normal(centre, spread), least, most))  # noqa: E731
    skin = draw.SKIN_RGB[tone] * rng.uniform(0.96, 1.04) * (1 + rng.normal(0, 0.015, 3))
    age = float(rng.beta(1.3, 1.8))
    hair_tone = int(rng.choice(4 if tone < 4 else 2)) if rng.random() < 0.7 or tone >= 4 else int(rng.choice([4, 5]))
    if age > 0.7 and rng.random() < 0.7:
        hair_tone = int(rng.choice([6, 7]))
    feminine = rng.random() < 0.5
    style = str(rng.choice(draw.HAIR_STYLES[4:] if feminine else ("bald", "buzz", "short", "short", "part", "part", "curly", "fringe")))
    beard = 0.0 if feminine or rng.random() < 0.4 else float(rng.choice([0.18, 0.3, 0.55, 0.85]))
    spots = []
    for _ in range(int(rng.integers(0, 4))):  # moles
        spots.append((near(0, 0.35), float(rng.uniform(-0.5, 0.8)), float(rng.uniform(0.012, 0.024)), 0.85))
    if tone < 2 and rng.random() < 0.45:
        for _ in range(60):  # freckles
            spots.append((near(0, 0.27), near(0.12, 0.13), float(rng.uniform(0.006, 0.013)), float(rng.uniform(0.2, 0.5))))
    lip = np.array([1.0, 0.72, 0.74]) if tone < 4 else np.array([0.98, 0.74, 0.80])
    return Identity(
        seed=seed,
        number=number,
        tone=tone,
        skin_rgb=tuple(np.clip(skin, 0.1, 0.97).tolist()),
        hair_rgb=tuple((draw.HAIR_RGB[hair_tone] * rng.uniform(0.85, 1.15)).tolist()),
        hair_style=style,
        hair_part=float(rng.choice([-1, 1]) * rng.uniform(0.3, 1.0)),
        hair_volume=near(1, 0.2, 0.6, 1.5),
        hairline=near(-0.72 - (0.05 if feminine else 0), 0.05) - 0.08 * (age > 0.75 and not feminine),
        beard=beard,
        face_width=near(0.70 if feminine else 0.73, 0.035, 0.62, 0.82),
        jaw_power=near(2.0 if feminine else 2.5, 0.3, 1.6, 3.3),
        neck=near(0.36 if feminine else 0.46, 0.03, 0.3, 0.55),
        shoulder=near(0.22, 0.06, 0.1, 0.4),
        eye_x=near(0.315, 0.018, 0.27, 0.36),
        eye_y=near(-0.17, 0.02, -0.22, -0.12),
        eye_width=near(0.15, 0.009, 0.13, 0.17),
        eye_open=near(1.0, 0.12, 0.7, 1.25),
        eye_tilt=near(0.3, 0.7),
        eye_rgb=tuple(draw.EYE_RGB[int(rng.integers(5 if hair_tone in (2, 3, 4, 5) and tone < 3 else 2))].tolist()),
        lashes=1.0 if feminine else 0.35,
        brow_thick=near(0.8 if feminine else 1.15, 0.15, 0.5, 1.5),
        brow_arch=near(0.5 if feminine else 0.1, 0.3, -0.3, 1.1),
        brow_dark=near(0.78, 0.1, 0.5, 0.95),
        brow_ridge=near(0.5 if feminine else 1.2, 0.2, 0.2, 1.7),
        socket=near(1.0, 0.2, 0.5, 1.6),
        nose_y=near(0.20, 0.025, 0.14, 0.26),
        nose_width=near(0.135 + 0.008 * max(0, tone - 3), 0.014, 0.10, 0.19),
        nose_size=near(1.0, 0.16, 0.65, 1.4),
        mouth_y=near(0.52, 0.02, 0.47, 0.57),
        mouth_width=near(0.265, 0.02, 0.22, 0.32),
        lips=near(0.95 + 0.06 * tone, 0.15, 0.6, 1.6),
        lip_gain=tuple((lip * rng.uniform(0.9, 1.02) * (1 - 0.08 * feminine * rng.random())).tolist()),
        cheek=near(1.0, 0.3, 0.3, 1.7),
        chin=near(1.0, 0.3, 0.3, 1.7),
        age=age,
        texture=near(0.5 + 0.7 * age, 0.2, 0.2, 1.5),
        shine=float(rng.uniform(0.2, 1.0)),
        spots=tuple(spots),
        glasses=int(rng.choice([1, 2])) if rng.random() < 0.22 else 0,
        glasses_rgb=((0.10, 0.10, 0.11), (0.32, 0.20, 0.12), (0.5, 0.48, 0.45))[int(rng.integers(3))],
    )


@dataclass(frozen=True)
class Scene:
    """Room, light and camera of a video; `framing` is the head's place (parts of the frame) and face height."""

    seed: int
    number: int
    room: str
    wall_rgb: tuple
    room_gain: float
    focus_blur_px: float
    direction: tuple
    key_rgb: tuple
    ambient_rgb: tuple
    clothes_rgb: tuple
    pattern: str
    collar: str
    centre_frac: tuple
    face_frac: float
    exposure: float
    contrast: float
    balance_rgb: tuple
    noise_level: float
    shake_px: float
    crf: int

    @property
    def light(self):
        return draw.Light(np.float32(self.direction), np.float32(self.key_rgb), np.float32(self.ambient_rgb))


def scene(seed, number):
    """Scene `number` of the set `seed`."""
    rng = np.random.default_rng([seed, 2, number])
    side = rng.uniform(-0.75, 0.75)
    direction = np.array([side, rng.uniform(-0.75, -0.2), rng.uniform(0.65, 1.0)])
    warm = rng.normal(0, 0.035)
    tint = np.array([1 + warm, 1.0, 1 - warm])
    key = rng.uniform(0.45, 0.75)
    return Scene(
        seed=seed,
        number=number,
        room=str(rng.choice(room.ROOM_KINDS)),
        wall_rgb=room.WALL_RGB[int(rng.integers(len(room.WALL_RGB)))],
        room_gain=float(rng.uniform(0.6, 0.95)),
        focus_blur_px=float(rng.uniform(0.7, 2.6)),
        direction=tuple((direction / np.linalg.norm(direction)).tolist()),
        key_rgb=tuple((key * tint).tolist()),
        ambient_rgb=tuple(((1.06 - 0.8 * key) * (2 - tint)).tolist()),
        clothes_rgb=room.CLOTHES_RGB[int(rng.integers(len(room.CLOTHES_RGB)))],
        pattern=str(rng.choice(["plain", "plain", "plain", "stripes", "checks"])),
        collar=str(rng.choice(["round", "vee", "shirt", "high"])),
        centre_frac=(float(rng.uniform(0.40, 0.60)), float(rng.uniform(0.44, 0.49))),
        face_frac=float(rng.uniform(0.37, 0.45)),
        exposure=float(rng.uniform(0.88, 1.06)),
        contrast=float(rng.uniform(0.0, 0.35)),
        balance_rgb=tuple((1 + rng.normal(0, 0.02, 3)).tolist()),
        noise_level=float(rng.uniform(1.2, 3.2)),
        shake_px=float(rng.choice([0.0, 0.4, 1.5]) * rng.uniform(0.5, 1)),
        crf=int(rng.integers(19, 26)),
    )


@dataclass(frozen=True, eq=False)
class Motion:
    """Curves of a video, float64 [T, columns]: `pose` by POSE (rad, head units), `expression` by EXPRESSION,
    `shake` [T, 2] of the camera (-1..1, scaled by the scene). `seed` also drives the camera's noise."""

    seed: int
    pose: np.ndarray
    expression: np.ndarray
    shake: np.ndarray

    def __len__(self):
        return len(self.pose)


def _wander(rng, t, fastest_hz, slowest_hz=0.1):
    """Smooth curve over the times t (s): five sines with random phases, standard deviation about 1."""
    hz = np.exp(rng.uniform(np.log(slowest_hz), np.log(fastest_hz), 5))
    weight = rng.uniform(0.5, 1, 5) / np.sqrt(hz / slowest_hz)
    curve = (weight * np.sin(2 * np.pi * (hz * t[:, None] + rng.random(5)))).sum(1)
    return curve / np.sqrt((weight**2).sum() / 2)


def motion(seed, frames=FRAMES, fps=FPS):
    """Head motion, blinks, gaze, speech of 3 to 6 syllables a second and smiles over `frames` frames."""
    rng = np.random.default_rng([seed, 4])
    t = np.arange(frames) / fps
    curve = lambda size, fastest_hz: size * _wander(rng, t, fastest_hz)  # noqa: E731
    pose = np.stack(
        [
            np.clip(rng.normal(0, 0.10) + curve(rng.uniform(0.05, 0.17), 0.9), -0.42, 0.42),
            np.clip(rng.normal(0, 0.04) + curve(rng.uniform(0.02, 0.06), 1.3), -0.2, 0.2),
            np.clip(rng.normal(0, 0.03) + curve(rng.uniform(0.02, 0.06), 0.8), -0.2, 0.2),
            curve(rng.uniform(0.02, 0.09), 0.7),
            curve(rng.uniform(0.01, 0.04), 1.0),
            curve(0.012, 0.5),
        ],
        axis=1,
    )
    jaw, spread = np.zeros(frames), np.zeros(frames)
    now = -rng.uniform(0, 0.4)
    while now < t[-1] + 0.3:
        length = 1 / rng.uniform(3, 6)
        if rng.random() < 0.10:  # a pause between words
            now += rng.uniform(0.2, 0.45)
        bell = np.clip(1 - ((t - now - length / 2) / (0.62 * length)) ** 2, 0, None)
        jaw += bell * rng.uniform(0.25, 0.95)
        spread += bell * rng.uniform(-0.9, 0.7)  # rounded lips to spread lips
        now += length
    blink = np.zeros(frames)
    now = rng.uniform(-1.5, 1.5)
    while now < t[-1] + 0.3:
        # Eyes close in about 90 ms and open in about 160 ms.
        side = np.where(t < now, 0.09, 0.16)
        blink = np.maximum(blink, np.clip(1.25 * (1 - np.abs(t - now) / side), 0, 1))
        now += rng.uniform(1.2, 4.5)
    glance = np.cumsum(rng.random(frames) < 1.2 / fps)
    gaze = rng.normal(0, 0.45, (glance[-1] + 1, 2))[glance]
    gaze = np.clip(gaze - 1.2 * pose[:, :2] * [1, 0.5], -1, 1)
    expression = np.stack(
        [
            np.clip(jaw, 0, 1),
            np.clip(spread, -1, 1),
            np.clip(rng.uniform(-0.2, 0.6) + curve(0.25, 0.5), -0.5, 1),
            np.clip(curve(0.45, 1.0), -0.8, 1),
            blink,
            gaze[:, 0],
            gaze[:, 1],
        ],
        axis=1,
    )
    shake = np.stack([np.clip(_wander(rng, t, 2.5, 0.3) / 2, -1, 1) for _ in range(2)], axis=1)
    return Motion(seed, pose, expression, shake)


def _pose(scene, motion, t, width, height):
    """Pose dict in frame px at the (fractional) time t in frames, and the camera's shake in px."""
    at = np.clip(t, 0, len(motion) - 1)
    low = int(at)
    high = min(low + 1, len(motion) - 1)
    value = motion.pose[low] + (at - low) * (motion.pose[high] - motion.pose[low])
    shake = scene.shake_px * (motion.shake[low] + (at - low) * (motion.shake[high] - motion.shake[low])) * height / HEIGHT_PX
    pose = dict(zip(POSE, value.tolist()))
    base = scale_px(scene, height)
    pose["scale"] = base * (1 + pose.pop("zoom"))
    pose["x"] = width * scene.centre_frac[0] + pose["x"] * base + shake[0]
    pose["y"] = height * scene.centre_frac[1] + pose["y"] * base + shake[1]
    return pose, shake


def scale_px(scene, height):
    """px per head unit; a detector's face box is about 1.75 units high."""
    return round(scene.face_frac * height / 1.75, 1)


def _expression(motion, t):
    return dict(zip(EXPRESSION, motion.expression[min(t, len(motion) - 1)].tolist()))


def _plate(person, scene, motion, t, width, height):
    """Room and body of frame t, uint8 [height, width, 3]."""
    pose, shake = _pose(scene, motion, t, width, height)
    scale = scale_px(scene, height)
    background = room.draw_room(scene, width, height)
    move = np.float32([[1, 0, shake[0] - room.PAD], [0, 1, shake[1] - room.PAD]])
    frame = cv2.warpAffine(background, move, (width, height), flags=cv2.INTER_LINEAR)
    x, y = width * scene.centre_frac[0], height * scene.centre_frac[1]
    body, cover = room.draw_body(person, scene, width, height, scale, x, y)
    # The neck follows the head, the shoulders half of it.
    follow = np.array([pose["x"] - x - shake[0], pose["y"] - y - shake[1]]) * 0.6 + shake
    move = np.float32([[1, 0, follow[0] - room.PAD], [0, 1, follow[1] - room.PAD]])
    body = cv2.warpAffine(body, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpAffine(cover, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.blendLinear(body, frame, cover, 1 - cover)


def _clean_frames(person, scene, motion, width, height, overlay):
    """Frames before the camera. `overlay(t, plate, picture, pose, box, x, y)` may change the head's rectangle and
    gives its mask (float32 [h, w] or None)."""
    head = draw.bake_head(person, scale_px(scene, height))
    light = scene.light
    table = room.camera_table(scene)
    noise = room.sensor_noise(scene, motion.seed, width, height, len(motion))
    for t, grain in zip(range(len(motion)), noise):
        frame = _plate(person, scene, motion, t, width, height)
        pose, _ = _pose(scene, motion, t, width, height)
        box = draw.window(pose, width, height)
        where = slice(box[1], box[3]), slice(box[0], box[2])
        plate = np.ascontiguousarray(frame[where])
        picture, x, y = draw.draw_head(plate, head, light, pose, _expression(motion, t), box)
        mask = np.zeros((height, width), np.uint8)
        if overlay:
            picture, weight = overlay(t, plate, picture, pose, box, x, y)
            mask[where] = np.ceil(255 * weight)
        frame[where] = picture
        # All pixels get the camera's noise, manipulated or not: its absence would be a give-away of drawing.
        yield cv2.add(cv2.LUT(frame, table), grain, dtype=cv2.CV_8U), mask


def draw_video(identity, scene, motion, width=WIDTH_PX, height=HEIGHT_PX):
    """Yields the uint8 RGB frames [height, width, 3] of a genuine video."""
    for frame, _ in _clean_frames(identity, scene, motion, width, height, None):
        yield frame


def _blend(below, above, weight):
    """Mixes two uint8 pictures by a float32 [h, w] weight of the upper; exactly `below` where it is 0."""
    return cv2.blendLinear(np.ascontiguousarray(above), np.ascontiguousarray(below), weight, 1 - weight)


def draw_fake(method, target, source, seed, width=WIDTH_PX, height=HEIGHT_PX, strength=1.0):
    """Draws a manipulated video.

    Args:
      method: one of METHODS.
      target: (Identity, Scene, Motion) of the video that is manipulated.
      source: (Identity, Motion) whose face or expression goes in.
      seed: of what flickers and jitters.
      strength: factor of a method's faults; at 0 the hard methods leave the new expression and no trace.
    Yields:
      (frame uint8 [height, width, 3], mask uint8 [height, width]: 255 * weight of the manipulation, rounded up).
    Raises:
      ValueError: unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"method needs one of {METHODS}, got {method!r}.")
    person, place, move = target
    other, other_move = source
    rng = np.random.default_rng([seed, 6])
    overlay = {
        "face_swap": _face_swap,
        "expression_transfer": _expression_transfer,
        "learned_face": _learned_face,
        "mouth_texture": _mouth_texture,
    }[method](rng, person, place, move, other, other_move, width, height, strength)
    yield from _clean_frames(person, place, move, width, height, overlay)


def _face_mask(person, x, y, feather, grow=0.0):
    """Weight of the inner face, brows to chin, at texture coordinates x, y."""
    width = (person.face_width + grow) * 0.93
    level = 1 - (np.abs(x) / width) ** 2.4 - (np.abs(y - 0.24) / (0.72 + grow)) ** 2.6
    return draw.smoothstep(level, 0, feather).astype(np.float32)


def _shifted(pose, dx, dy, turn=0.0, grow=1.0):
    return {**pose, "x": pose["x"] + dx, "y": pose["y"] + dy, "roll": pose["roll"] + turn, "scale": pose["scale"] * grow}


def _matched(face, goal, weight, share):
    """Gain and offset per channel that bring `face` to the mean and spread of `goal` under a weight, `share` of the way."""
    inside = weight > 0.5
    a, b = face[inside].astype(np.float32), goal[inside].astype(np.float32)
    gain = (b.std(0) + 4) / (a.std(0) + 4)
    gain = 1 + share * (np.clip(gain, 0.6, 1.6) - 1)
    return gain, a.mean(0) + share * (b.mean(0) - a.mean(0)) - gain * a.mean(0)


def _face_swap(rng, person, place, move, other, other_move, width, height, strength):
    head = draw.bake_head(other, scale_px(place, height))
    # A model fitted to the face has its own idea of the light.
    bent = np.float32(place.direction) + np.float32(rng.normal(0, 0.35, 3) * strength)
    light = place.light._replace(direction=bent / np.linalg.norm(bent))
    narrow = dataclasses.replace(person, face_width=min(person.face_width, other.face_width))
    share, tint = rng.uniform(0.75, 0.95), rng.normal(0, 5, 3) * strength
    tone = []

    def overlay(t, plate, picture, pose, box, x, y):
        jitter = rng.normal(0, 0.25 * strength, 2) * pose["scale"] / 55
        face, _, _ = draw.draw_head(picture, head, light, _shifted(pose, *jitter), _expression(move, t), box)
        weight = _face_mask(narrow, x, y, 0.14, grow=-0.03)
        if not tone:
            tone.append(_matched(face, picture, weight, share))
        gain, offset = tone[0]
        face = np.clip(face * gain + offset + tint, 0, 255).astype(np.uint8)
        return _blend(picture, face, weight), weight

    return overlay


def _expression_transfer(rng, person, place, move, other, other_move, width, height, strength):
    head = draw.bake_head(person, scale_px(place, height))

    def overlay(t, plate, picture, pose, box, x, y):
        late, _ = _pose(place, move, t - LAG_FRAMES * strength, width, height)
        size = JITTER_PX * strength * pose["scale"] / 55
        turn, grow = rng.normal(0, 0.006 * strength), 1 + rng.normal(0, 0.006 * strength)
        late = _shifted(late, *rng.normal(0, size, 2), turn, grow)
        # Eyes stay the target's: only brows and mouth take the source's expression.
        expression = _expression(move, t) | {k: _expression(other_move, t)[k] for k in ("jaw", "spread", "smile", "brow")}
        face, _, _ = draw.draw_head(plate, head, place.light, late, expression, box)
        weight = _face_mask(person, x, y, 0.3, grow=0.17)
        return _blend(picture, face, weight), weight

    return overlay


def _learned_face(rng, person, place, move, other, other_move, width, height, strength):
    head = draw.bake_head(other, scale_px(place, height))
    tint, share = rng.normal(0, 3, 3) * strength, rng.uniform(0.85, 1.0)
    tone = []

    def overlay(t, plate, picture, pose, box, x, y):
        size = 0.5 * strength * pose["scale"] / 55
        face, _, _ = draw.draw_head(picture, head, place.light, _shifted(pose, *rng.normal(0, size, 2)), _expression(move, t), box)
        weight = _face_mask(person, x, y, 0.6, grow=-0.02)
        if not tone:
            tone.append(_matched(face, picture, weight, share))
        gain, offset = tone[0]
        # Decoded at LEARNED_PX over about 2.4 head units, whatever the size in the frame.
        small = LEARNED_PX / (2.4 * pose["scale"])
        h, w = face.shape[:2]
        face = cv2.resize(face, (max(1, round(w * small)), max(1, round(h * small))), interpolation=cv2.INTER_AREA)
        face = cv2.resize(face, (w, h), interpolation=cv2.INTER_CUBIC)
        flicker = 1 + rng.normal(0, 0.025 * strength)
        face = np.clip(face * (gain * flicker) + offset + tint + rng.normal(0, 1.5 * strength, 3), 0, 255).astype(np.uint8)
        return _blend(picture, face, weight), weight

    return overlay


def _mouth_texture(rng, person, place, move, other, other_move, width, height, strength):
    head = draw.bake_head(person, scale_px(place, height))

    def overlay(t, plate, picture, pose, box, x, y):
        size = JITTER_PX * strength * pose["scale"] / 55
        late, _ = _pose(place, move, t - LAG_FRAMES * strength, width, height)
        expression = _expression(move, t) | {k: _expression(other_move, t)[k] for k in ("jaw", "spread")}
        face, _, _ = draw.draw_head(plate, head, place.light, _shifted(late, *rng.normal(0, size, 2)), expression, box)
        face = cv2.GaussianBlur(face, (0, 0), max(0.5 * strength, 0.01) * pose["scale"] / 55 + 0.05)
        level = 1 - (np.abs(x) / 0.46) ** 2.2 - (np.abs(y - person.mouth_y - 0.06) / 0.32) ** 2.2
        weight = draw.smoothstep(level, 0, 0.5).astype(np.float32)
        return _blend(picture, face, weight), weight

    return overlay


@dataclass(frozen=True)
class ClipSpec:
    """One video of the set: everything needed to draw it.

    `target` and `source` are identity numbers (source None for a real video); `video` is unique within the set.
    """

    video: str
    split: str
    label: int
    method: str
    target: int
    source: int | None
    set_seed: int
    scene: int
    seed: int
    source_seed: int | None
    frames: int
    fps: int
    width: int
    height: int

    @property
    def file_name(self):
        return f"{self.video}.mp4"


def _number(*parts):
    """A 31-bit seed from names: equal on every machine, unlike `hash`."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big") >> 1


def make_set(identities=(36, 8, 16), real_per_identity=2, fakes_per_method=1, seed=0, frames=FRAMES, fps=FPS, width=WIDTH_PX, height=HEIGHT_PX):
    """Lists the videos of a set: per identity `real_per_identity` real ones in different rooms and
    `fakes_per_method` fakes by each method.

    Args:
      identities: people in train, validation and test; a split needs none or two, because a fake has a target
        and another person of the same split as its source.
    Returns:
      list[ClipSpec], real and fake, ordered by split and identity.
    Raises:
      ValueError: a split of one identity, or fakes without a real video whose room they could have.
    """
    if len(identities) != len(SPLITS) or any(n == 1 or n < 0 for n in identities):
        raise ValueError(f"identities needs three counts for {SPLITS}, each 0 or at least 2, got {identities}.")
    if real_per_identity < 1:
        raise ValueError(f"real_per_identity needs at least 1, got {real_per_identity}.")
    specs, first = [], 0
    for split, count in zip(SPLITS, identities):
        people = range(first, first + count)
        rng = np.random.default_rng([seed, 8, SPLITS.index(split)])
        order = rng.permutation(count)
        first += count
        for person in people:
            common = dict(split=split, target=person, set_seed=seed, frames=frames, fps=fps, width=width, height=height)
            rooms = [person * 100 + k for k in range(real_per_identity)]
            for k, scene_number in enumerate(rooms):
                name = f"{person:03d}_{k}"
                specs.append(ClipSpec(name, label=0, method="real", source=None, scene=scene_number, seed=_number(seed, name), source_seed=None, **common))
            turn = int(rng.integers(len(rooms)))  # no method may keep to one room of each person
            for k, (method, copy) in enumerate(itertools.product(METHODS, range(fakes_per_method))):
                place = int(np.flatnonzero(order == person - people[0])[0])
                other = people[int(order[(place + 1 + k % (count - 1)) % count])]
                name = f"{person:03d}_{other:03d}_{method}" + (f"_{copy}" if copy else "")
                specs.append(ClipSpec(
                    name, label=1, method=method, source=other, scene=rooms[(k + turn) % len(rooms)],
                    seed=_number(seed, name), source_seed=_number(seed, name, "source"), **common,
                ))  # fmt: skip
    return specs


def frames_of(spec):
    """Yields (frame, mask) of a video of the set; the mask of a real video is zero everywhere."""
    person, place = identity(spec.set_seed, spec.target), scene(spec.set_seed, spec.scene)
    move = motion(spec.seed, spec.frames, spec.fps)
    if not spec.label:
        yield from _clean_frames(person, place, move, spec.width, spec.height, None)
        return
    source = identity(spec.set_seed, spec.source), motion(spec.source_seed, spec.frames, spec.fps)
    yield from draw_fake(spec.method, (person, place, move), source, spec.seed, spec.width, spec.height)


def write_clip(spec, folder):
    """Draws a video of the set and writes it as H.264 .mp4, real and fake through the same encoder once.

    Returns:
      Path of the file, `folder / spec.file_name`.
    """
    from tfdeepfake.data.video import write_video

    path = Path(folder) / spec.file_name
    write_video(path, (frame for frame, _ in frames_of(spec)), spec.fps, crf=scene(spec.set_seed, spec.scene).crf)
    return path
