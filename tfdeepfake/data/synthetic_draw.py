"""Draws a head: a baked texture with depth and normals, turned, lit and moved frame by frame.

Everything lives in head units: the nose bridge's foot is near (0, 0), x to the right of the picture, y down,
the chin at y = 1, the eyes near y = -0.2. A face box of a detector is about 1.75 units high.
"""

import functools
from typing import NamedTuple

import cv2
import numpy as np

LEFT, TOP, RIGHT, BOTTOM = -1.35, -1.65, 1.35, 1.6  # the texture's extent
# Skin from light to dark, sRGB 0..1; a person's tone lies near one of them.
SKIN_RGB = np.float32([
    [0.95, 0.80, 0.71], [0.91, 0.73, 0.61], [0.83, 0.63, 0.49], [0.73, 0.53, 0.39],
    [0.59, 0.40, 0.28], [0.45, 0.30, 0.21], [0.34, 0.22, 0.165],
])  # fmt: skip
HAIR_RGB = np.float32([
    [0.10, 0.09, 0.09], [0.19, 0.13, 0.10], [0.33, 0.22, 0.14], [0.48, 0.34, 0.22],
    [0.70, 0.56, 0.36], [0.52, 0.25, 0.12], [0.55, 0.54, 0.53], [0.78, 0.77, 0.75],
])  # fmt: skip
EYE_RGB = np.float32([[0.28, 0.17, 0.10], [0.38, 0.25, 0.13], [0.38, 0.42, 0.26], [0.33, 0.48, 0.60], [0.45, 0.50, 0.53]])
HAIR_STYLES = ("bald", "buzz", "short", "part", "fringe", "bob", "long", "curly", "tied")


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


class Light(NamedTuple):
    """`direction` points to the lamp (x right, y down, z to the camera), length 1; colours are RGB gains."""

    direction: np.ndarray
    key_rgb: np.ndarray
    ambient_rgb: np.ndarray


def noise(rng, shape, cell_px, octaves=3):
    """Smooth random field, float32 `shape`, about N(0, 1), with features of `cell_px` (y, x) and finer."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        size = [max(2, int(np.ceil(n * 2**octave / c))) for n, c in zip(shape, cell_px)]
        grid = rng.standard_normal(size, dtype=np.float32)
        total += cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) * 0.6**octave
    return total / max(float(total.std()), 1e-6)


def smoothstep(value, low, high):
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def outline(person, x, y):
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
        strands = noise(rng, shape, (0.1 * scale, 0.1 * scale), 2)
    else:
        # Strands run away from the parting: noise stretched along the radius about a point above it.
        angle = np.arctan2(x - part * 0.6, y + 1.75)
        radius = np.hypot(x - part * 0.6, y + 1.75)
        grid = noise(rng, (24, 512), (6, 3.5), 2)
        wobble = 3 * np.sin(radius * 4 + person.number)
        strands = cv2.remap(
            grid, np.float32(256 + angle * 140 + wobble), np.float32(radius * 6), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
    ragged = 0.02 * strands + 0.02 * noise(rng, shape, (0.15 * scale, 0.15 * scale), 1)
    if style == "curly":
        ragged *= 2
    width = person.face_width + volume
    top = 1 - (np.abs(x) / width) ** 2.3 - (np.abs(y + 0.3) / (0.93 + volume)) ** 2.3
    skull = top * 0.45 + ragged > 0
    sides = {"bob": 0.75, "long": 1.35, "curly": 0.15, "fringe": 0.12}.get(style, -0.12)
    if style in ("bob", "long"):
        flare = width + 0.04 + 0.10 * smoothstep(y, -0.3, 0.9)
        skull |= (np.abs(x) + ragged < flare) & (y > -0.3) & (y < sides + 2 * ragged)
    hairline = person.hairline + {"fringe": 0.30, "bald": 0}.get(style, 0)
    bend = {"part": 0.45, "short": 0.2, "long": 0.9, "bob": 0.9, "tied": 0.5, "fringe": 0.05}.get(style, 0.3)
    offset = part * 0.35 if style in ("part", "long", "bob") else 0.0
    line = hairline + bend * np.abs(x - offset) ** 1.7 - (0.06 if style == "tied" else 0)
    inner = person.face_width * (0.985 - 0.10 * smoothstep(y, -0.8, -0.3) * (style in ("long", "bob", "curly", "fringe")))
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
def bake_head(person, scale):
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
    shade -= 0.22 * person.socket * _bump(side, y, eye_x - 0.06, eye_y - 0.10, 0.19, 0.06)
    shade -= (0.06 + 0.12 * person.age) * _bump(side, y, eye_x, eye_y + 0.12, 0.15, 0.035)
    crease = eye_y - 0.098 + 1.6 * (side - eye_x) ** 2 + 0.1 * (side - eye_x) * person.eye_tilt
    shade -= 0.3 * np.exp(-(((y - crease) / 0.014) ** 2)) * (np.abs(side - eye_x) < 0.16)
    shade -= 0.20 * _bump(x, y, 0, nose_y + 0.135, person.nose_width * 0.9, 0.03)
    shade -= 0.75 * _bump(side, y, person.nose_width * 0.5, nose_y + 0.10, 0.042, 0.017)
    shade -= 0.22 * np.exp(-(((side - person.nose_width * 1.08 - 0.25 * (y - nose_y - 0.04) ** 2 * 10) / 0.016) ** 2)) * np.exp(-(((y - nose_y - 0.05) / 0.05) ** 2))
    shade -= 0.10 * _bump(x, y, 0, mouth_y + 0.165, 0.15, 0.03)
    fold = person.nose_width + 0.05 + 0.32 * (y - nose_y)
    shade -= (0.05 + 0.20 * person.age) * np.exp(-(((side - fold) / 0.022) ** 2)) * smoothstep(y, nose_y - 0.02, nose_y + 0.1) * (1 - smoothstep(y, mouth_y - 0.05, mouth_y + 0.1))
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
        jaw = smoothstep(y, mouth_y - 0.30 + 0.25 * (side < 0.3), mouth_y + 0.12) * smoothstep(side * 0.9 + (y - mouth_y) * 0.8, 0.12, 0.32)
        moustache = _bump(side, y, 0.1, mouth_y - 0.13, 0.16, 0.045) * 1.1
        cheek_line = smoothstep(side + (y + 0.1) * 0.45, person.face_width * 0.83, person.face_width * 0.98)
        beard = np.clip(np.maximum(np.maximum(jaw, cheek_line * smoothstep(y, -0.15, 0.1)), moustache), 0, 1) * (1 - lip)
        bristle = noise(rng, (h, w), (0.05 * fine, 0.022 * fine), 1)
        beard = blur(beard, 0.02) * np.clip(person.beard * (1 + 0.45 * bristle), 0, 0.93)
        skin += beard[..., None] * (hair_rgb * (0.9 + 0.15 * bristle[..., None]) - skin)

    # Brows: short strokes along an arch.
    arch = eye_y - 0.215 - 0.06 * person.brow_arch + 0.5 * (1 + person.brow_arch) * (side - eye_x - 0.03) ** 2
    reach = np.clip(1 - ((side - eye_x - 0.005) / 0.21) ** 4, 0, None)
    stroke = noise(rng, (h, w), (0.05 * fine, 0.03 * fine), 1)
    thick = person.brow_thick * (0.045 - 0.06 * np.clip(side - eye_x, 0, None))
    brow = blur(np.exp(-(((y - arch) / thick) ** 2)) * (reach > 0.05), 0.012) * np.clip(0.8 + 0.35 * stroke, 0, 1)
    brow_rgb = hair_rgb * 0.75 if person.hair_rgb[0] < 0.6 else hair_rgb * 0.62
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
    ball = 0.95 * np.sqrt(np.clip(1.06 - (side / (person.face_width + 0.06)) ** 2.4 - (np.abs(y + 0.1) / 1.25) ** 2.4, 0.02, None))
    relief = _relief(person, x, y)
    surface = ball * 0.62 + relief * (1 - cover)
    surface = blur(surface, 0.012) + cover * (0.012 * strands + 0.04 * blur(cover, 0.08))
    grad_y, grad_x = np.gradient(surface)
    normal = np.dstack([-grad_x * fine, -grad_y * fine, np.ones_like(surface)])
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)

    locks = hair_rgb * (1 + (0.24 + 0.12 * (person.hair_style == "curly")) * strands[..., None] * np.float32([1, 0.97, 0.92]))
    locks *= (0.72 + 0.28 * smoothstep(-y, -0.9, 0.6))[..., None]
    albedo = skin * np.clip(shade, 0.1, None)[..., None]
    albedo += cover[..., None] * (locks - albedo)
    alpha = np.maximum(np.maximum(face, ear), cover)
    if person.hair_style == "buzz":
        alpha = np.maximum(face, ear)
    gloss = (0.05 + 0.10 * person.shine) * (1 - cover) * (1 - 0.6 * np.clip(person.beard, 0, 1) * (y > 0.2)) + 0.10 * lip
    gloss = gloss + cover * np.clip(0.08 + 0.05 * strands, 0, None) * (person.hair_style != "curly")

    inner = smoothstep(inside, 0.02, 0.10) * smoothstep(y, eye_y - 0.42, eye_y - 0.30)
    rims = np.zeros((h, w), np.float32)
    if person.glasses:
        to_px = lambda px, py: (round((px - LEFT) * fine * 16), round((py - TOP) * fine * 16))  # noqa: E731
        line = max(1, round((0.028 if person.glasses == 1 else 0.045) * fine))
        for sign in (-1, 1):
            axes = (round(0.235 * fine * 16), round((0.205 if person.glasses == 1 else 0.165) * fine * 16))
            cv2.ellipse(rims, to_px(sign * (eye_x + 0.01), eye_y + 0.03), axes, 0, 0, 360, 1.0, line, cv2.LINE_AA, 4)
            cv2.line(rims, to_px(sign * (eye_x + 0.24), eye_y), to_px(sign * (person.face_width + 0.02), eye_y - 0.04), 1.0, line, cv2.LINE_AA, 4)
        cv2.line(rims, to_px(-eye_x + 0.23, eye_y), to_px(eye_x - 0.23, eye_y), 1.0, line, cv2.LINE_AA, 4)
    half = lambda image: np.ascontiguousarray(cv2.resize(np.float32(image), (w // 2, h // 2), interpolation=cv2.INTER_AREA))  # noqa: E731
    return Head(person, float(scale), half(albedo * 255), half(alpha), half(normal), half(gloss), half(depth + relief), half(inner), half(rims))


def window(pose, width, height):
    """Frame rectangle x0, y0, x1, y1 (px) that a head at `pose` can touch."""
    reach_x, up, down = 1.55 * pose["scale"], 1.75 * pose["scale"], 1.75 * pose["scale"]
    x0, y0 = max(0, int(pose["x"] - reach_x)), max(0, int(pose["y"] - up))
    return x0, y0, min(width, int(pose["x"] + reach_x) + 1), min(height, int(pose["y"] + down) + 1)


def head_coordinates(head, pose, box):
    """Where in the head's texture each pixel of a frame rectangle looks: float32 x, y in units, [h, w] each.

    A texture point (x, y) at depth z is seen at x cos(yaw) + z sin(yaw), y cos(pitch) + z sin(pitch), then
    rolled, scaled and moved. The inverse needs z at the answer: three rounds of a fixed point are enough.
    """
    x0, y0, x1, y1 = box
    column = (np.arange(x0, x1, dtype=np.float32) - pose["x"]) / pose["scale"]
    row = ((np.arange(y0, y1, dtype=np.float32) - pose["y"]) / pose["scale"])[:, None]
    cos, sin = np.cos(pose["roll"]), np.sin(pose["roll"])
    a = ((column * cos + row * sin) / np.cos(pose["yaw"])).astype(np.float32)
    b = ((row * cos - column * sin) / np.cos(pose["pitch"])).astype(np.float32)
    move_x, move_y = float(np.tan(pose["yaw"])), float(np.tan(pose["pitch"]))
    x, y = a, b
    for _ in range(3):
        z = cv2.remap(
            head.depth, (x - LEFT) * head.scale - 0.5, (y - TOP) * head.scale - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        x, y = a - z * move_x, b - z * move_y
    return x, y


def mouth_lines(person, expression, x):
    """y of the upper and the lower edge of the mouth's opening at x, and the closed line's y (units)."""
    smile, jaw = expression["smile"], expression["jaw"]
    u = np.clip(x / person.mouth_width, -1, 1)
    line = person.mouth_y - 0.05 * smile * u**2
    lens = 1 - u**2
    return line - 0.035 * jaw * lens, line + 0.155 * jaw * lens, line


def _deform(person, expression, x, y):
    """Moves texture coordinates for speech, smile and brows: returns source x, y of the skin."""
    jaw, spread, smile, brow = (expression[k] for k in ("jaw", "spread", "smile", "brow"))
    mouth_y = person.mouth_y
    near = np.exp(-((x / 0.5) ** 2)) * np.exp(-(((y - mouth_y) / 0.28) ** 2))
    x = x * (1 - 0.20 * spread * near)
    upper, lower, line = mouth_lines(person, expression, x)
    rise = (upper - line) * np.exp(-np.abs(y - upper) / 0.12)
    drop = (lower - line) * np.exp(-np.abs(y - lower) / 0.2)
    chin = 0.10 * jaw * np.exp(-((x / 0.75) ** 4)) * smoothstep(y, mouth_y, mouth_y + 0.32)
    moved = y - np.where(y > (upper + lower) / 2, drop + chin, rise)
    moved = moved - (line - mouth_y) * near
    moved += 0.05 * brow * np.exp(-(((y - person.eye_y + 0.25) / 0.16) ** 2)) * (np.abs(x) < person.face_width)
    return x, moved


def light_head(head, light, pose):
    """uint8 RGB texture under the room's light, which stays when the head turns."""
    yaw, pitch, roll = pose["yaw"], pose["pitch"], pose["roll"]
    lx, ly, lz = (float(v) for v in light.direction)
    lx, ly = lx * np.cos(roll) + ly * np.sin(roll), ly * np.cos(roll) - lx * np.sin(roll)
    lx, lz = lx * np.cos(yaw) - lz * np.sin(yaw), lz * np.cos(yaw) + lx * np.sin(yaw)
    ly, lz = ly * np.cos(pitch) - lz * np.sin(pitch), lz * np.cos(pitch) + ly * np.sin(pitch)
    facing = cv2.transform(head.normal, np.float32([[lx, ly, lz]]))
    shine = np.clip(cv2.transform(head.normal, np.float32([[lx * 0.5, ly * 0.5, lz * 0.5 + 0.5]])) / 0.92, 0, 1)
    shine = (shine * shine) ** 2
    shine = (shine * shine) ** 2 * head.gloss * 255
    # Red light travels further under skin: it wraps around the shadow's edge.
    lit = np.dstack([np.clip((facing + wrap) / (1 + wrap), 0, None) for wrap in (0.38, 0.26, 0.22)])
    lit = lit * light.key_rgb + light.ambient_rgb
    return cv2.add(cv2.multiply(head.albedo, lit), cv2.merge([shine] * 3), dtype=cv2.CV_8U)


def _eye(person, expression, side, x, y, scale, glow):
    """Colour (RGB 0..255) and cover of one eye's opening; x, y are texture coordinates of a patch."""
    u = (x - side * person.eye_x) * side / person.eye_width
    lens = np.clip(1 - u * u, 0, None)
    tilt = -0.02 * person.eye_tilt * u
    lid = person.eye_open * (1 - expression["blink"])
    upper = person.eye_y + tilt + 0.012 - (0.088 * lid - 0.03 * (1 - lid)) * lens**0.75
    lower = person.eye_y + tilt + 0.012 + (0.042 - 0.008 * expression["smile"]) * lens
    cover = np.clip((y - upper) * scale + 0.5, 0, 1) * np.clip((lower - y) * scale + 0.5, 0, 1) * (lens > 0)
    ix = x - side * person.eye_x - 0.045 * expression["gaze_x"]
    iy = y - person.eye_y + 0.005 - 0.02 * expression["gaze_y"]
    r = np.hypot(ix, iy)
    iris = np.clip((0.076 - r) * scale + 0.5, 0, 1)
    pupil = np.clip((0.032 - r) * scale + 0.5, 0, 1)
    white = 226 - 40 * np.abs(u) ** 2 - 70 * np.exp(-np.clip(y - upper, 0, None) / 0.03)
    rgb = np.dstack([white, white * 0.965, white * 0.94])
    ring = (0.75 + 0.5 * np.clip(iy / 0.07 + 0.3, -0.5, 1) - 0.5 * smoothstep(r, 0.055, 0.076))[..., None]
    rgb += iris[..., None] * (np.float32(person.eye_rgb) * 255 * ring - rgb)
    rgb *= 1 - 0.92 * pupil[..., None]
    glint = np.exp(-(((ix - 0.022 * glow) / 0.014) ** 2) - ((iy + 0.026) / 0.014) ** 2)
    lash = np.exp(-(((y - upper) / 0.016) ** 2)) * lens**0.25 * (0.55 + 0.3 * person.lashes)
    lash += 0.25 * np.exp(-(((y - lower) / 0.012) ** 2)) * lens**0.5
    return rgb, cover, np.clip(lash, 0, 1), glint


def draw_head(plate, head, light, pose, expression, box):
    """Draws the head over a rectangle of a frame.

    Args:
      plate: uint8 [h, w, 3], the rectangle without the head.
      head: `bake_head(...)`.
      pose: dict x, y (px in the frame), scale (px/unit), yaw, pitch, roll (rad).
      expression: dict jaw, spread, smile, brow, blink, gaze_x, gaze_y.
      box: the rectangle's x0, y0, x1, y1 in the frame.
    Returns:
      (uint8 [h, w, 3], x, y): the picture and its texture coordinates before the expression's deformation.
    """
    person, s = head.person, head.scale
    x, y = head_coordinates(head, pose, box)
    sx, sy = _deform(person, expression, x, y)
    map_x, map_y = (sx - LEFT) * s - 0.5, (sy - TOP) * s - 0.5
    texture = light_head(head, light, pose)
    rgb = cv2.remap(texture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.remap(head.alpha, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    level = float(np.mean(light.ambient_rgb) + 0.55 * np.mean(light.key_rgb))

    def patch(cx, cy, rx, ry):
        """Slice of the rectangle around a texture point, generous for small turns."""
        z = 0.65
        px = cx * np.cos(pose["yaw"]) + z * np.sin(pose["yaw"])
        py = cy * np.cos(pose["pitch"]) + z * np.sin(pose["pitch"])
        cos, sin = np.cos(pose["roll"]), np.sin(pose["roll"])
        px, py = px * cos - py * sin, py * cos + px * sin
        px, py = pose["x"] + px * pose["scale"] - box[0], pose["y"] + py * pose["scale"] - box[1]
        rx, ry = rx * pose["scale"] + 3, ry * pose["scale"] + 3
        return slice(max(0, int(py - ry)), max(0, int(py + ry))), slice(max(0, int(px - rx)), max(0, int(px + rx)))

    for side in (-1, 1):
        where = patch(side * person.eye_x, person.eye_y, 0.3, 0.22)
        colour, cover, lash, glint = _eye(person, expression, side, x[where], y[where], pose["scale"], float(np.sign(light.direction[0])))
        skin = rgb[where].astype(np.float32)
        skin += cover[..., None] * (colour * np.clip(level * 0.92, 0.3, 1.05) + 220 * glint[..., None] - skin)
        skin *= 1 - 0.85 * lash[..., None]
        rgb[where] = np.clip(skin, 0, 255).astype(np.uint8)
    if expression["jaw"] > 0.02:
        where = patch(0, person.mouth_y + 0.05, person.mouth_width + 0.14, 0.3)
        mx, my = sx[where], y[where]
        upper, lower, _ = mouth_lines(person, expression, mx)
        gap = np.clip((my - upper) * pose["scale"] + 0.5, 0, 1) * np.clip((lower - my) * pose["scale"] + 0.5, 0, 1)
        gap *= np.abs(mx) < person.mouth_width
        teeth = smoothstep(my, person.mouth_y - 0.045, person.mouth_y - 0.02) * (1 - smoothstep(my, person.mouth_y + 0.015, person.mouth_y + 0.03))
        teeth = teeth * np.clip(1.15 - (mx / person.mouth_width) ** 2 * 1.7, 0, 1)
        tongue = smoothstep(my, lower - 0.085, lower - 0.02) * np.clip(1 - (mx / (person.mouth_width * 0.8)) ** 2, 0, 1)
        inside = np.float32([52, 20, 20]) + teeth[..., None] * np.float32([158, 176, 166]) + tongue[..., None] * np.float32([88, 42, 44])
        skin = rgb[where].astype(np.float32)
        skin += gap[..., None] * (inside * np.clip(level, 0.3, 1.05) - skin)
        rgb[where] = np.clip(skin, 0, 255).astype(np.uint8)
    if person.glasses:
        where = patch(0, person.eye_y, person.face_width + 0.15, 0.3)
        rims = cv2.remap(head.glasses, (x[where] - LEFT) * s - 0.5, (y[where] - TOP) * s - 0.5, cv2.INTER_LINEAR)[..., None]
        colour = np.float32(person.glasses_rgb) * 255 * level
        rgb[where] = (rgb[where] * (1 - 0.9 * rims) + 0.9 * rims * colour).astype(np.uint8)
    return cv2.blendLinear(rgb, plate, alpha, 1 - alpha), x, y
