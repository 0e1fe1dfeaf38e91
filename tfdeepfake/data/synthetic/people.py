"""Random persons, rooms with their cameras, and curves of motion; all follow from seeds."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

WIDTH_PX, HEIGHT_PX, FRAMES, FPS = 320, 240, 40, 25
POSE = ("yaw", "pitch", "roll", "x", "y", "zoom")
EXPRESSION = ("jaw", "spread", "smile", "brow", "blink", "gaze_x", "gaze_y")
# Skin from light to dark, sRGB 0..1; a person's tone lies near one of them.
SKIN_RGB = np.float32([
    [0.90, 0.75, 0.66], [0.87, 0.69, 0.57], [0.83, 0.63, 0.49], [0.73, 0.53, 0.39],
    [0.59, 0.40, 0.28], [0.45, 0.30, 0.21], [0.34, 0.22, 0.165],
])  # fmt: skip
HAIR_RGB = np.float32([
    [0.10, 0.09, 0.09], [0.19, 0.13, 0.10], [0.33, 0.22, 0.14], [0.48, 0.34, 0.22],
    [0.70, 0.56, 0.36], [0.52, 0.25, 0.12], [0.55, 0.54, 0.53], [0.78, 0.77, 0.75],
])  # fmt: skip
EYE_RGB = np.float32(
    [[0.28, 0.17, 0.10], [0.38, 0.25, 0.13], [0.38, 0.42, 0.26], [0.33, 0.48, 0.60], [0.45, 0.50, 0.53]]
)
HAIR_STYLES = ("bald", "buzz", "short", "part", "fringe", "bob", "long", "curly", "tied")
WALL_RGB = (
    (214, 208, 196),
    (188, 196, 200),
    (200, 188, 168),
    (168, 182, 170),
    (146, 150, 160),
    (222, 216, 214),
    (176, 150, 130),
    (120, 136, 150),
)
CLOTHES_RGB = (
    (40, 46, 60),
    (92, 96, 104),
    (180, 178, 172),
    (120, 40, 44),
    (44, 84, 70),
    (70, 90, 130),
    (30, 30, 32),
    (160, 130, 92),
    (206, 200, 188),
    (96, 64, 92),
)
ROOM_KINDS = ("window", "shelf", "pictures", "curtain", "door", "office")


class Light(NamedTuple):
    """`direction` points to the lamp (x right, y down, z to the camera), length 1; colours are RGB gains."""

    direction: np.ndarray
    key_rgb: np.ndarray
    ambient_rgb: np.ndarray


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


def identity(seed: int, number: int) -> Identity:
    """Person `number` of the set `seed`: the same arguments always give the same person."""
    rng = np.random.default_rng([seed, 1, number])
    tone = int(rng.integers(len(SKIN_RGB)))
    near = lambda centre, spread, least=-np.inf, most=np.inf: float(np.clip(rng.normal(centre, spread), least, most))  # noqa: E731
    skin = SKIN_RGB[tone] * rng.uniform(0.96, 1.04) * (1 + rng.normal(0, 0.015, 3))
    age = float(rng.beta(1.3, 1.8))
    hair_tone = int(rng.choice(4 if tone < 4 else 2)) if rng.random() < 0.7 or tone >= 4 else int(rng.choice([4, 5]))
    if age > 0.7 and rng.random() < 0.7:
        hair_tone = int(rng.choice([6, 7]))
    feminine = rng.random() < 0.5
    style = str(
        rng.choice(
            HAIR_STYLES[4:] if feminine else ("bald", "buzz", "short", "short", "part", "part", "curly", "fringe")
        )
    )
    beard = 0.0 if feminine or rng.random() < 0.4 else float(rng.choice([0.18, 0.3, 0.55, 0.85]))
    spots = []
    for _ in range(int(rng.integers(0, 4))):  # moles
        spots.append((near(0, 0.35), float(rng.uniform(-0.5, 0.8)), float(rng.uniform(0.012, 0.024)), 0.85))
    if tone < 2 and rng.random() < 0.45:
        for _ in range(60):  # freckles
            spots.append(
                (near(0, 0.27), near(0.12, 0.13), float(rng.uniform(0.006, 0.013)), float(rng.uniform(0.2, 0.5)))
            )
    lip = np.array([0.92, 0.64, 0.66]) if tone < 4 else np.array([0.98, 0.74, 0.80])
    return Identity(
        seed=seed,
        number=number,
        tone=tone,
        skin_rgb=tuple(np.clip(skin, 0.1, 0.97).tolist()),
        hair_rgb=tuple((HAIR_RGB[hair_tone] * rng.uniform(0.85, 1.15)).tolist()),
        hair_style=style,
        hair_part=float(rng.choice([-1, 1]) * rng.uniform(0.3, 1.0)),
        hair_volume=near(1, 0.2, 0.6, 1.5),
        hairline=near(-0.72 - (0.05 if feminine else 0), 0.05) - 0.08 * (age > 0.75 and not feminine),
        beard=beard,
        face_width=near(0.72 if feminine else 0.755, 0.035, 0.64, 0.84),
        jaw_power=near(2.0 if feminine else 2.5, 0.3, 1.6, 3.3),
        neck=near(0.36 if feminine else 0.46, 0.03, 0.3, 0.55),
        shoulder=near(0.22, 0.06, 0.1, 0.4),
        eye_x=near(0.315, 0.018, 0.27, 0.36),
        eye_y=near(-0.17, 0.02, -0.22, -0.12),
        eye_width=near(0.15, 0.009, 0.13, 0.17),
        eye_open=near(1.0, 0.12, 0.7, 1.25),
        eye_tilt=near(0.3, 0.7),
        eye_rgb=tuple(EYE_RGB[int(rng.integers(5 if hair_tone in (2, 3, 4, 5) and tone < 3 else 2))].tolist()),
        lashes=1.0 if feminine else 0.35,
        brow_thick=near(0.95 if feminine else 1.25, 0.15, 0.65, 1.6),
        brow_arch=near(0.5 if feminine else 0.1, 0.3, -0.3, 1.1),
        brow_dark=near(0.86, 0.08, 0.65, 0.97),
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
    def light(self) -> Light:
        return Light(np.float32(self.direction), np.float32(self.key_rgb), np.float32(self.ambient_rgb))


def scene(seed: int, number: int) -> Scene:
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
        room=str(rng.choice(ROOM_KINDS)),
        wall_rgb=WALL_RGB[int(rng.integers(len(WALL_RGB)))],
        room_gain=float(rng.uniform(0.8, 1.15)),
        focus_blur_px=float(rng.uniform(0.7, 2.6)),
        direction=tuple((direction / np.linalg.norm(direction)).tolist()),
        key_rgb=tuple((key * tint).tolist()),
        ambient_rgb=tuple(((0.95 - 0.84 * key) * (2 - tint)).tolist()),
        clothes_rgb=CLOTHES_RGB[int(rng.integers(len(CLOTHES_RGB)))],
        pattern=str(rng.choice(["plain", "plain", "plain", "stripes", "checks"])),
        collar=str(rng.choice(["round", "vee", "shirt", "high"])),
        centre_frac=(float(rng.uniform(0.40, 0.60)), float(rng.uniform(0.44, 0.49))),
        face_frac=float(rng.uniform(0.37, 0.45)),
        exposure=float(rng.uniform(0.95, 1.14)),
        contrast=float(rng.uniform(0.0, 0.35)),
        balance_rgb=tuple((1 + rng.normal(0, 0.02, 3)).tolist()),
        noise_level=float(rng.uniform(1.0, 2.6)),
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


def motion(seed: int, num_frames: int = FRAMES, fps: float = FPS) -> Motion:
    """Head motion, blinks, gaze, speech of 3 to 6 syllables a second and smiles over `frames` frames."""
    rng = np.random.default_rng([seed, 4])
    t = np.arange(num_frames) / fps
    curve = lambda size, fastest_hz: size * _wander(rng, t, fastest_hz)  # noqa: E731
    pose = np.stack(
        [
            np.clip(rng.normal(0, 0.10) + curve(rng.uniform(0.05, 0.17), 0.9), -0.42, 0.42),
            np.clip(rng.normal(0, 0.04) + curve(rng.uniform(0.02, 0.06), 1.3), -0.2, 0.2),
            np.clip(rng.normal(0, 0.03) + curve(rng.uniform(0.02, 0.06), 0.8), -0.2, 0.2),
            # No head is still: a tremor of about 0.1 px lies under the slow motion.
            curve(rng.uniform(0.02, 0.09), 0.7) + 0.002 * _wander(rng, t, 9, 4),
            curve(rng.uniform(0.01, 0.04), 1.0) + 0.002 * _wander(rng, t, 9, 4),
            curve(0.012, 0.5),
        ],
        axis=1,
    )
    jaw, spread = np.zeros(num_frames), np.zeros(num_frames)
    now = -rng.uniform(0, 0.4)
    while now < t[-1] + 0.3:
        length = 1 / rng.uniform(3, 6)
        if rng.random() < 0.10:  # a pause between words
            now += rng.uniform(0.2, 0.45)
        bell = np.clip(1 - ((t - now - length / 2) / (0.62 * length)) ** 2, 0, None)
        jaw += bell * rng.uniform(0.25, 0.95)
        spread += bell * rng.uniform(-0.9, 0.7)  # rounded lips to spread lips
        now += length
    blink = np.zeros(num_frames)
    now = rng.uniform(-1.5, 1.5)
    while now < t[-1] + 0.3:
        # Eyes close in about 90 ms and open in about 160 ms.
        side = np.where(t < now, 0.09, 0.16)
        blink = np.maximum(blink, np.clip(1.25 * (1 - np.abs(t - now) / side), 0, 1))
        now += rng.uniform(1.2, 4.5)
    glance = np.cumsum(rng.random(num_frames) < 1.2 / fps)
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
