"""Bakes a head: colour, cover, normals and depth as textures, drawn once per person and size.

Everything lives in head units: the nose bridge's foot is near (0, 0), x to the right of the image, y down,
the chin at y = 1, the eyes near y = -0.2. A face box of a detector is about 1.75 units high.
"""

import functools
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from tfdeepfake.data.synthetic.people import Identity


LEFT, TOP, RIGHT, BOTTOM = -1.35, -1.65, 1.35, 1.6  # the texture's extent


class Head(NamedTuple):
    """A baked head; maps are float32 [h, w(, 3)] over the texture's extent at `scale` px per unit."""

    person: object
    scale: float
    albedo: np.ndarray  # [h, w, 3], 0..255
    alpha: np.ndarray  # 0..1, where there is head or hair
    normal: np.ndarray  # [h, w, 3]
    gloss: np.ndarray  # strength of highlights
    depth: np.ndarray  # units towards the camera
    face: np.ndarray  # 0..1, inner face (brows to chin): what a swap replaces
    glasses: np.ndarray  # 0..1, rims


def noise(rng: np.random.Generator, shape: tuple, cell_px: float | tuple[float, float], octaves: int = 3) -> np.ndarray:
    """Smooth random field, float32 `shape`, about N(0, 1), with features of `cell_px` (y, x) and finer."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        size = [max(2, int(np.ceil(n * 2**octave / c))) for n, c in zip(shape, cell_px, strict=True)]
        grid = rng.standard_normal(size, dtype=np.float32)
        total += cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) * 0.6**octave
    return total / max(float(total.std()), 1e-6)


def smoothstep(value: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def outline(person: "Identity", x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Face outline as a level: above 0 inside, 0 on it, about the distance in units near it."""
    width, p = person.face_width, person.jaw_power
    height = np.where(y > 0, 1.0, 1.2)
    power = np.where(y > 0, p, 2.5)
    level = 1 - (np.abs(x) / width) ** 2.2 - (np.abs(y) / height) ** power
    slope = 2.2 / width * (np.abs(x) / width) ** 1.2 + power / height * (np.abs(y) / height) ** (power - 1)
    return level / np.maximum(slope, 1.0)


def _hair(person, rng, x, y, scale):
    """Hair cover 0..1, its strand texture about N(0, 1), and how far it stands out from the skull."""
    style = person.hair_style
    shape = np.broadcast(x, y).shape
    if style == "bald":
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    part = person.hair_part
    volume = {"buzz": 0.03, "curly": 0.27, "tied": 0.05}.get(style, 0.12) * person.hair_volume
    if style == "curly":
        strands = noise(rng, shape, (0.12 * scale, 0.09 * scale), 3)
    else:
        # Strands run away from the parting: noise stretched along the radius about a point above it.
        angle = np.arctan2(x - part * 0.6, y + 1.75)
        radius = np.hypot(x - part * 0.6, y + 1.75)
        grid = noise(rng, (24, 512), (6, 3.5), 2)
        wobble = 3 * np.sin(radius * 4 + person.number)
        strands = cv2.remap(
            grid,
            np.float32(256 + angle * 170 + wobble),
            np.float32(radius * 6),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
    ragged = 0.02 * strands + 0.02 * noise(rng, shape, (0.15 * scale, 0.15 * scale), 1)
    if style == "curly":
        ragged *= 1.6
    width = person.face_width + volume
    top = 1 - (np.abs(x) / width) ** 2.3 - (np.abs(y + 0.3) / (0.93 + volume)) ** 2.3
    skull = top * 0.45 + ragged > 0
    sides = {"bob": 0.75, "long": 1.35, "curly": 0.15, "fringe": 0.12, "tied": -0.05}.get(style, -0.12)
    if style in ("bob", "long"):
        flare = width + 0.04 + 0.10 * smoothstep(y, -0.3, 0.9)
        skull |= (np.abs(x) + ragged < flare) & (y > -0.3) & (y < sides + 2 * ragged)
    hairline = person.hairline + {"fringe": 0.30, "bald": 0}.get(style, 0)
    bend = {"part": 0.45, "short": 0.2, "long": 0.9, "bob": 0.9, "tied": 0.5, "fringe": 0.05}.get(style, 0.3)
    offset = part * 0.35 if style in ("part", "long", "bob") else 0.0
    line = hairline + bend * np.abs(x - offset) ** 1.7 - (0.06 if style == "tied" else 0)
    inner = person.face_width * (
        0.985 - 0.10 * smoothstep(y, -0.8, -0.3) * (style in ("long", "bob", "curly", "fringe"))
    )
    beside = (np.abs(x) + ragged > inner) & (y < sides + ragged)
    cover = skull & ((y + 1.5 * ragged < line) | beside)
    cover = cv2.GaussianBlur(np.float32(cover), (0, 0), 0.012 * scale + 0.3)
    if style == "tied":
        bun = 1 - (x / 0.3) ** 2 - ((y + 1.38) / 0.22) ** 2
        cover = np.maximum(cover, smoothstep(bun + ragged * 3, -0.1, 0.1))
    if style == "buzz":
        cover *= 0.72
    return np.float32(cover), strands


def _bump(x, y, cx, cy, sx, sy):
    """Gaussian bump [h, w] of a row x [1, w] and a column y [h, 1]: an outer product, so cheap."""
    return np.exp(-(((x - cx) / sx) ** 2)) * np.exp(-(((y - cy) / sy) ** 2))


def _relief(person, x, y):
    """Height of face details above the plain skull, in units."""
    eye_x, eye_y, nose_y, mouth_y = person.eye_x, person.eye_y, person.nose_y, person.mouth_y
    side = np.abs(x)
    nose = 0.085 * person.nose_size * np.exp(-((x / (0.075 + 0.05 * smoothstep(y, eye_y, nose_y))) ** 2))
    nose = nose * smoothstep(y, eye_y - 0.12, nose_y) * (1 - smoothstep(y, nose_y, nose_y + 0.11))
    height = nose + 0.10 * person.nose_size * _bump(x, y, 0, nose_y, 0.10, 0.085)
    height += 0.045 * person.nose_size * _bump(side, y, person.nose_width * 0.8, nose_y + 0.03, 0.055, 0.06)
    height -= 0.05 * person.socket * _bump(side, y, eye_x, eye_y - 0.03, 0.19, 0.11)
    height += 0.028 * _bump(side, y, eye_x, eye_y, 0.12, 0.075)
    height += 0.028 * person.brow_ridge * _bump(side, y, eye_x - 0.04, eye_y - 0.19, 0.26, 0.07)
    height += 0.05 * person.cheek * _bump(side, y, 0.42, 0.12, 0.2, 0.16)
    height -= 0.03 * person.age * _bump(side, y, 0.52, 0.42, 0.14, 0.22)
    height += 0.035 * person.lips * _bump(x, y, 0, mouth_y + 0.07, 0.2, 0.045)
    height += 0.022 * person.lips * _bump(x, y, 0, mouth_y - 0.045, 0.2, 0.035)
    height -= 0.022 * _bump(x, y, 0, mouth_y, 0.27, 0.02)
    height -= 0.03 * _bump(x, y, 0, mouth_y + 0.17, 0.16, 0.045)
    height -= 0.016 * _bump(x, y, 0, (mouth_y + nose_y) / 2 + 0.03, 0.03, 0.07)
    height += 0.045 * person.chin * _bump(x, y, 0, 0.86, 0.17, 0.11)
    return height


@functools.lru_cache(maxsize=8)
def bake_head(person: "Identity", scale: float) -> Head:
    """Bakes the texture of a person (an `Identity`) at `scale` px per unit: drawn at twice that, then halved."""
    rng = np.random.default_rng([person.seed, person.number, 77])
    fine = 2 * scale
    h, w = 2 * round((BOTTOM - TOP) * scale), 2 * round((RIGHT - LEFT) * scale)
    x = np.float32(LEFT + (np.arange(w) + 0.5) / fine)[None]
    y = np.float32(TOP + (np.arange(h) + 0.5) / fine)[:, None]
    side = np.abs(x)
    eye_x, eye_y, nose_y, mouth_y = person.eye_x, person.eye_y, person.nose_y, person.mouth_y
    blur = lambda image, units: cv2.GaussianBlur(np.float32(image), (0, 0), max(units * fine, 0.3))  # noqa: E731
    pores, blotch = rng.standard_normal((h, w), dtype=np.float32), noise(rng, (h, w), (0.35 * fine, 0.35 * fine))

    skin = np.empty((h, w, 3), np.float32)
    base_rgb, hair_rgb = np.float32(person.skin_rgb), np.float32(person.hair_rgb)
    skin[:] = base_rgb
    dark = 1 - person.skin_rgb[0]  # red shows less on dark skin
    redness = 0.05 * _bump(side, y, 0.42, 0.2, 0.2, 0.16) + 0.05 * _bump(x, y, 0, nose_y, 0.13, 0.11) + 0.012 * blotch
    redness += 0.05 * _bump(side, y, person.face_width + 0.06, -0.02, 0.1, 0.2)
    skin *= 1 + (redness * (1.1 - dark))[..., None] * np.float32([0.5, -1.1, -0.9])
    skin *= (1 + 0.02 * blotch + person.texture * 0.035 * blur(pores, 0.008) * 2.0)[..., None]
    shade = np.ones((h, w), np.float32)
    shade -= 0.27 * person.socket * _bump(side, y, eye_x - 0.05, eye_y - 0.09, 0.19, 0.065)
    shade -= 0.16 * person.socket * _bump(side, y, eye_x - 0.17, eye_y - 0.02, 0.06, 0.09)
    shade -= 0.10 * _bump(side, y, eye_x, eye_y, 0.19, 0.08)
    shade -= (0.06 + 0.12 * person.age) * _bump(side, y, eye_x, eye_y + 0.12, 0.15, 0.035)
    crease = eye_y - 0.098 + 1.6 * (side - eye_x) ** 2 + 0.1 * (side - eye_x) * person.eye_tilt
    shade -= 0.3 * np.exp(-(((y - crease) / 0.014) ** 2)) * (np.abs(side - eye_x) < 0.16)
    shade -= 0.20 * _bump(x, y, 0, nose_y + 0.135, person.nose_width * 0.9, 0.03)
    shade -= 0.75 * _bump(side, y, person.nose_width * 0.5, nose_y + 0.10, 0.042, 0.017)
    shade -= (
        0.22
        * np.exp(-(((side - person.nose_width * 1.08 - 0.25 * (y - nose_y - 0.04) ** 2 * 10) / 0.016) ** 2))
        * np.exp(-(((y - nose_y - 0.05) / 0.05) ** 2))
    )
    shade -= 0.10 * _bump(x, y, 0, mouth_y + 0.165, 0.15, 0.03)
    fold = person.nose_width + 0.05 + 0.32 * (y - nose_y)
    shade -= (
        (0.05 + 0.20 * person.age)
        * np.exp(-(((side - fold) / 0.022) ** 2))
        * smoothstep(y, nose_y - 0.02, nose_y + 0.1)
        * (1 - smoothstep(y, mouth_y - 0.05, mouth_y + 0.1))
    )
    if person.age > 0.35:
        lines = np.sin((y + 0.02 * np.cos(3 * x)) * 65 + person.number) ** 8 * _bump(x, y, 0, eye_y - 0.38, 0.35, 0.11)
        crow = np.sin((y - eye_y) * 75 + 6 * side) ** 6 * _bump(side, y, eye_x + 0.22, eye_y + 0.02, 0.05, 0.07)
        shade -= 0.13 * (person.age - 0.2) * (lines + 1.3 * crow)
    spots = np.zeros((h, w), np.float32)
    for mx, my, size, strength in person.spots:
        centre = (round((mx - LEFT) * fine * 16), round((my - TOP) * fine * 16))
        cv2.circle(spots, centre, max(round(size * fine * 16), 8), float(strength), -1, cv2.LINE_AA, 4)
    skin *= 1 - blur(spots, 0.005)[..., None] * np.float32([0.45, 0.6, 0.65])

    # Lips: cupid's bow above, fuller below, darker in the line between.
    u = x / person.mouth_width
    body = np.clip(1 - u**2, 0, None)
    upper = 0.085 * person.lips * body**0.7 * (1 - 0.25 * np.exp(-((u / 0.14) ** 2)))
    lower = 0.115 * person.lips * body**0.6
    lip = blur(((y > mouth_y - upper) & (y < mouth_y + lower)), 0.012)
    grain = noise(rng, (h, w), (0.2 * fine, 0.025 * fine), 1)
    lip_rgb = base_rgb * np.float32(person.lip_gain) * (1 + 0.04 * grain[..., None]) * np.float32(0.97)
    skin += (lip * 0.85)[..., None] * (lip_rgb - skin)
    shade -= 0.12 * lip * (y < mouth_y)
    shade -= 0.5 * np.exp(-(((y - mouth_y) / 0.011) ** 2)) * blur(body > 0.02, 0.01)
    shade -= 0.22 * _bump(side, y, person.mouth_width, mouth_y, 0.025, 0.025)

    # Beard: dense hair or stubble on jaw, chin and upper lip.
    if person.beard > 0:
        jaw = smoothstep(y, mouth_y - 0.30 + 0.25 * (side < 0.3), mouth_y + 0.12) * smoothstep(
            side * 0.9 + (y - mouth_y) * 0.8, 0.12, 0.32
        )
        moustache = _bump(side, y, 0.1, mouth_y - 0.13, 0.16, 0.045) * 1.1
        cheek_line = smoothstep(side + (y + 0.1) * 0.45, person.face_width * 0.83, person.face_width * 0.98)
        beard = np.clip(np.maximum(np.maximum(jaw, cheek_line * smoothstep(y, -0.15, 0.1)), moustache), 0, 1) * (
            1 - lip
        )
        bristle = noise(rng, (h, w), (0.035 * fine, 0.018 * fine), 1)
        beard = blur(beard, 0.02) * np.clip(person.beard * (1 + 0.3 * bristle), 0, 0.93)
        skin += beard[..., None] * (hair_rgb * (0.9 + 0.15 * bristle[..., None]) - skin)

    # Brows: short strokes along an arch.
    arch = eye_y - 0.215 - 0.06 * person.brow_arch + 0.5 * (1 + person.brow_arch) * (side - eye_x - 0.03) ** 2
    reach = np.clip(1 - ((side - eye_x - 0.005) / 0.21) ** 4, 0, None)
    stroke = noise(rng, (h, w), (0.05 * fine, 0.03 * fine), 1)
    thick = person.brow_thick * (0.045 - 0.06 * np.clip(side - eye_x, 0, None))
    brow = blur(np.exp(-(((y - arch) / thick) ** 2)) * (reach > 0.05), 0.012) * np.clip(0.85 + 0.22 * stroke, 0, 1)
    brow_rgb = hair_rgb * (0.75 if person.hair_rgb[0] < 0.45 else 0.48)
    skin += (brow * person.brow_dark)[..., None] * (brow_rgb - skin)

    inside = outline(person, x, y)
    face = blur(inside > 0, 0.006)
    ear_x = person.face_width + 0.02
    ear = blur(1 - ((side - ear_x) / 0.10) ** 2 - ((y + 0.06 - 0.3 * (side - ear_x)) / 0.23) ** 2 > 0, 0.01)
    shade -= (1 - face) * (0.14 + 0.35 * _bump(side, y, ear_x + 0.005, -0.05, 0.045, 0.12))
    shade -= 0.30 * smoothstep(-inside, -0.16, 0.02) * smoothstep(y, 0.1, 0.7)  # the jaw turns away from the light
    cover, strands = _hair(person, rng, x, y, fine)
    contact = np.clip(blur(cover, 0.06) - cover, 0, 1)
    shade -= 0.45 * contact * (person.hair_style != "buzz")

    skull = 1 - ((x / (person.face_width + 0.2)) ** 2 + ((y + 0.12) / 1.28) ** 2)
    depth = np.maximum(0.72 * skull, -0.5)
    # Shading wants a rounder ball than the depth that moves pixels (which must stay single-valued when turned).
    ball = 0.95 * np.sqrt(
        np.clip(1.06 - (side / (person.face_width + 0.06)) ** 2.4 - (np.abs(y + 0.1) / 1.25) ** 2.4, 0.02, None)
    )
    relief = _relief(person, x, y)
    surface = ball * 0.62 + relief * (1 - cover)
    surface = blur(surface, 0.012) + cover * (0.012 * strands + 0.04 * blur(cover, 0.08))
    grad_y, grad_x = np.gradient(surface)
    normal = np.dstack([-grad_x * fine, -grad_y * fine, np.ones_like(surface)])
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)

    locks = hair_rgb * (1 + 0.17 * np.tanh(strands)[..., None] * np.float32([1, 0.97, 0.92]))
    locks *= (0.72 + 0.28 * smoothstep(-y, -0.9, 0.6))[..., None]
    albedo = skin * np.clip(shade, 0.1, None)[..., None]
    alpha = np.maximum(np.maximum(face, ear), cover)
    # Of what is seen, not of the pixel: or skin would shine through along the edge of hair against the room.
    albedo += (cover / np.maximum(alpha, 1e-3))[..., None] * (locks - albedo)
    if person.hair_style == "buzz":
        alpha = np.maximum(face, ear)
    gloss = (0.03 + 0.07 * person.shine) * (1 - cover) * (
        1 - 0.6 * np.clip(person.beard, 0, 1) * (y > 0.2)
    ) + 0.10 * lip
    gloss = gloss + cover * np.clip(0.08 + 0.05 * strands, 0, None) * (person.hair_style != "curly")

    inner = smoothstep(inside, 0.02, 0.10) * smoothstep(y, eye_y - 0.42, eye_y - 0.30)
    rims = np.zeros((h, w), np.float32)
    if person.glasses:
        to_px = lambda px, py: (round((px - LEFT) * fine * 16), round((py - TOP) * fine * 16))  # noqa: E731
        line = max(1, round((0.028 if person.glasses == 1 else 0.045) * fine))
        for sign in (-1, 1):
            axes = (round(0.235 * fine * 16), round((0.205 if person.glasses == 1 else 0.165) * fine * 16))
            cv2.ellipse(rims, to_px(sign * (eye_x + 0.01), eye_y + 0.03), axes, 0, 0, 360, 1.0, line, cv2.LINE_AA, 4)
            cv2.line(
                rims,
                to_px(sign * (eye_x + 0.24), eye_y),
                to_px(sign * (person.face_width + 0.02), eye_y - 0.04),
                1.0,
                line,
                cv2.LINE_AA,
                4,
            )
        cv2.line(rims, to_px(-eye_x + 0.23, eye_y), to_px(eye_x - 0.23, eye_y), 1.0, line, cv2.LINE_AA, 4)

    def half(image):
        return cv2.resize(np.float32(image), (w // 2, h // 2), interpolation=cv2.INTER_AREA)

    return Head(
        person,
        float(scale),
        half(albedo * 255),
        half(alpha),
        half(normal),
        half(gloss),
        half(depth + relief),
        half(inner),
        half(rims),
    )
