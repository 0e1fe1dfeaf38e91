"""Draws what is behind a person, and the camera's own traces (exposure, noise)."""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tfdeepfake.data.synthetic.head import noise, smoothstep

if TYPE_CHECKING:
    from tfdeepfake.data.synthetic.people import Scene


PAD = 16  # px drawn beyond the frame, so that camera shake never shows an edge


def darker(colour: tuple, gain: float) -> tuple:
    """RGB tuple for OpenCV: the colour times a gain, within 0..255."""
    return tuple(float(np.clip(c * gain, 0, 255)) for c in colour)


def _box(image, x0, y0, x1, y1, colour):
    cv2.rectangle(image, (round(x0), round(y0)), (round(x1), round(y1)), colour, -1, cv2.LINE_AA)


def _picture(image, rng, x, y, w, h):
    """A framed picture with a few strokes of a landscape."""
    wood = rng.uniform(20, 120)
    _box(
        image, x + 3, y + 4, x + w + 4, y + h + 5, darker(image[int(y) % image.shape[0], int(x) % image.shape[1]], 0.75)
    )
    _box(image, x, y, x + w, y + h, (wood, wood * 0.8, wood * 0.6))
    _box(image, x + 3, y + 3, x + w - 3, y + h - 3, (228, 224, 216))
    x, y, w, h = x + 7, y + 7, w - 14, h - 14
    if w < 4 or h < 4:
        return
    sky, land = rng.uniform(110, 215, 3), rng.uniform(40, 140, 3)
    sky, land = 0.5 * sky + 0.5 * sky.mean(), 0.5 * land + 0.5 * land.mean()
    _box(image, x, y, x + w, y + h, tuple(sky))
    hills = [(x + w * t, y + h * (0.5 + 0.2 * np.sin(t * 7 + wood))) for t in np.linspace(0, 1, 9)] + [
        (x + w, y + h),
        (x, y + h),
    ]
    cv2.fillPoly(image, [np.int32(np.round(hills))], tuple(land), cv2.LINE_AA)


def _shelf(image, rng, x0, x1, y0, y1):
    """Book shelf from (x0, y0) to (x1, y1)."""
    wood = rng.uniform(60, 150)
    colour = (wood, wood * 0.74, wood * 0.52)
    _box(image, x0, y0, x1, y1, darker(colour, 0.55))
    rows = int(rng.integers(3, 5))
    step = (y1 - y0) / rows
    for row in range(rows):
        base = y0 + (row + 1) * step - 4
        x = x0 + 4
        while x < x1 - 8:
            w, h = rng.uniform(5, 13), step * rng.uniform(0.55, 0.85)
            if rng.random() < 0.12:
                x += w * 2
                continue
            tint = rng.uniform(40, 190, 3)
            book = tuple((0.4 * tint + 0.6 * tint.mean()) * (1.05, 0.98, 0.9) * rng.uniform(0.6, 1.15))
            _box(image, x, base - h, min(x + w - 1, x1 - 5), base, book)
            _box(image, x, base - h * 0.8, min(x + w - 1, x1 - 5), base - h * 0.72, darker(book, 1.25))
            x += w
        _box(image, x0, base, x1, base + 5, colour)
    _box(image, x0, y0, x0 + 4, y1, colour)
    _box(image, x1 - 4, y0, x1, y1, darker(colour, 0.8))


def _window(image, rng, x0, x1, y0, y1):
    """Bright window with a view, frame and bars."""
    top, bottom = (
        rng.uniform(290, 360) * np.array([0.93, 0.98, 1.0]),
        rng.uniform(150, 260) * np.array([0.88, 1.0, 0.80]),
    )
    h = max(2, int(y1 - y0))
    ramp = smoothstep(np.linspace(0, 1, h), 0.35, 0.75)[:, None, None]
    view = np.float32(top) * (1 - ramp) + np.float32(bottom) * ramp
    a, b = max(0, int(x0)), min(image.shape[1], int(x1))
    c = max(0, int(y0))
    image[c : int(y0) + h, a:b] = view[c - int(y0) :][: image.shape[0] - c]
    bar = tuple([float(rng.uniform(190, 238))] * 3)
    for x in (x0, (x0 + x1) / 2, x1):
        _box(image, x - 3, y0 - 3, x + 3, y1 + 3, bar)
    for y in (y0, y0 + (y1 - y0) * 0.45, y1):
        _box(image, x0 - 3, y - 3, x1 + 3, y + 3, bar)
    _box(image, x0 - 9, y1 + 3, x1 + 9, y1 + 10, darker(bar, 0.85))


@functools.lru_cache(maxsize=4)
def draw_room(scene: "Scene", width: int, height: int) -> np.ndarray:
    """Background of a `Scene`: uint8 [height + 2 PAD, width + 2 PAD, 3], lit and a little out of focus."""
    rng = np.random.default_rng([scene.seed, scene.number, 5])
    h, w = height + 2 * PAD, width + 2 * PAD
    unit = h / 272.0
    image = np.empty((h, w, 3), np.float32)
    wall = np.float32(scene.wall_rgb)
    image[:] = wall
    kind = scene.room
    if kind in ("pictures", "door", "office") and rng.random() < 0.5:
        _box(image, 0, h * 0.66, w, h, darker(wall, rng.uniform(0.6, 0.85)))
        _box(image, 0, h * 0.65, w, h * 0.67, darker(wall, 1.12))
    if rng.random() < 0.4:  # the corner of the room: the second wall takes less light
        x = rng.uniform(0.1, 0.9) * w
        far = x if x > w / 2 else 0
        image[:, int(far) : int(w if x > w / 2 else x)] *= rng.uniform(0.78, 0.92)
    side = rng.choice([-1, 1])
    near = lambda t: w * (0.5 + side * t)  # noqa: E731
    span = lambda a, b: sorted((near(a), near(b)))  # noqa: E731
    if kind == "window":
        _window(image, rng, *span(0.10, 0.46), -6, h * rng.uniform(0.5, 0.7))
        if rng.random() < 0.6:
            a = near(-0.32)
            _picture(image, rng, a - 28 * unit, h * 0.15, 56 * unit, 66 * unit)
    elif kind == "shelf":
        _shelf(image, rng, *span(rng.uniform(-0.1, 0.12), 0.52), rng.uniform(0, 0.12) * h, h)
    elif kind == "pictures":
        for t in (-0.38, -0.2, 0.22, 0.4):
            if rng.random() < 0.75:
                a, b = rng.uniform(36, 62, 2) * unit
                _picture(image, rng, near(t) - a / 2, h * rng.uniform(0.06, 0.25), a, b)
    elif kind == "curtain":
        x = np.arange(w)
        folds = 1 + 0.14 * np.sin(x / (5.0 * unit) + 2.5 * np.sin(x / (23.0 * unit))) + 0.05 * np.sin(x / (2.1 * unit))
        cloth = np.float32(rng.uniform(90, 200, 3))
        a, b = (int(v) for v in span(0.05, 0.5))
        image[:, a:b] = cloth * folds[None, a:b, None] * np.linspace(1.05, 0.85, h)[:, None, None]
    elif kind == "door":
        a, b = span(0.12, 0.42)
        colour = darker((210, 190, 160), rng.uniform(0.5, 1.1))
        _box(image, a - 6, h * 0.05, b + 6, h, darker(colour, 0.8))
        _box(image, a, h * 0.08, b, h, colour)
        for y0, y1 in ((0.14, 0.42), (0.5, 0.95)):
            _box(image, a + 12, h * y0, b - 12, h * y1, darker(colour, 0.9))
            _box(image, a + 15, h * y0 + 3, b - 13, h * y1 - 2, darker(colour, 1.04))
        cv2.circle(image, (round(a + 7), round(h * 0.55)), round(3 * unit), (190, 170, 90), -1, cv2.LINE_AA)
    else:
        a, b = span(-0.48, -0.15)
        _box(image, a - 3, h * 0.19, b + 3, h * 0.51, (120, 120, 122))
        _box(image, a, h * 0.2, b, h * 0.5, (240, 242, 240))
        for row in range(3):
            y = h * (0.26 + 0.07 * row)
            line = [(round(a + 8), round(y)), (round(b - rng.uniform(10, 50) * unit), round(y))]
            cv2.line(image, *line, (70, 80, 120), 1, cv2.LINE_AA)
        _shelf(image, rng, *span(0.24, 0.52), h * 0.25, h)
    if rng.random() < 0.35:  # a plant on the other side
        root = np.array([near(-rng.uniform(0.33, 0.45)), h * 0.86])
        for _ in range(22):
            angle, length = rng.uniform(-2.7, -0.45), rng.uniform(25, 62) * unit
            tip = root + length * np.array([np.cos(angle), np.sin(angle)])
            middle = (root + tip) / 2 + rng.uniform(-7, 7, 2)
            leaf = darker((66, 112, 58), rng.uniform(0.5, 1.3))
            cv2.polylines(image, [np.int32([root, middle, tip])], False, leaf, 2, cv2.LINE_AA)
            centre, axes = tuple(int(v) for v in (middle + tip) / 2), (round(length * 0.24), 4)
            cv2.ellipse(image, centre, axes, np.degrees(angle), 0, 360, leaf, -1, cv2.LINE_AA)
        _box(image, root[0] - 16 * unit, root[1] - 4, root[0] + 16 * unit, h, (150, 96, 70))
    image *= 1 + 0.012 * noise(rng, (h, w), (40 * unit, 40 * unit), 4)[..., None]
    # The light falls off across the room; a window is its own lamp (drawn above 255, it stays bright).
    across = np.linspace(-1, 1, w, dtype=np.float32)[None, :, None] * scene.light.direction[0]
    down = np.linspace(-1, 1, h, dtype=np.float32)[:, None, None]
    lit = np.float32(scene.light.key_rgb) * 0.45 + np.float32(scene.light.ambient_rgb)
    image *= (0.95 + 0.18 * across - 0.08 * down) * lit * scene.room_gain
    image = cv2.GaussianBlur(np.clip(image, 0, 255), (0, 0), scene.focus_blur_px)
    return image.astype(np.uint8)


def camera_table(scene: "Scene") -> np.ndarray:
    """Exposure, contrast and white balance as a uint8 [1, 256, 3] look-up table."""
    t = np.arange(256, dtype=np.float32)[:, None] / 255
    curve = t + scene.contrast * (t * t * (3 - 2 * t) - t)
    return np.clip(255 * curve * scene.exposure * np.float32(scene.balance_rgb), 0, 255).astype(np.uint8)[None]


def sensor_noise(scene: "Scene", seed: int, width: int, height: int, count: int) -> Iterator[np.ndarray]:
    """Yields int16 [height, width, 3] noise per frame: mostly luma, slightly correlated like a demosaiced sensor's.

    Each frame is another crop of one large field: drawing 230 thousand normals a frame would cost more than the head.
    """
    rng = np.random.default_rng([seed, 3])
    extra = 97
    field = rng.standard_normal((height + extra, width + extra, 3), dtype=np.float32)
    field = 0.45 * field + 0.75 * field[..., :1]
    field = cv2.GaussianBlur(field, (0, 0), 0.55)
    field = np.round(field * (scene.noise_level / field.std())).astype(np.int16)
    for _ in range(count):
        y, x = rng.integers(extra, size=2)
        yield field[y : y + height, x : x + width]
