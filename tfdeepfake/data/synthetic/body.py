"""Draws neck, shoulders and clothes, and long hair behind them."""

import functools
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tfdeepfake.data.synthetic.head import noise, smoothstep
from tfdeepfake.data.synthetic.room import PAD, darker

if TYPE_CHECKING:
    from tfdeepfake.data.synthetic.people import Identity, Scene


TOP = -0.45  # the image's first row, in head units from the head's centre: hidden behind every face


def _curve(points, steps=12):
    """Closed outline through rounded corners: Chaikin-like by a moving mean over densely placed points."""
    points = np.float32(points)
    at = np.linspace(0, len(points) - 1, steps * len(points))
    dense = np.stack([np.interp(at, range(len(points)), points[:, k]) for k in (0, 1)], axis=1)
    kernel = np.ones(steps) / steps
    padded = np.pad(dense, ((steps // 2, steps - 1 - steps // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(padded[:, k], kernel, "valid") for k in (0, 1)], axis=1)


@functools.lru_cache(maxsize=4)
def draw_body(
    person: "Identity", scene: "Scene", width: int, height: int, scale: float, x_px: float, y_px: float
) -> tuple:
    """The body of a head at (x_px, y_px), `scale` px per head unit.

    Returns:
      (uint8 [h, width + 2 PAD, 3], float32 cover [h, width + 2 PAD], first row in the frame): it has PAD columns
      beyond the frame on either side and PAD rows below.
    """
    rng = np.random.default_rng([scene.seed, scene.number, 9, person.number])
    top = max(0, int(y_px + TOP * scale))
    h, w = height + PAD - top, width + 2 * PAD
    cx, cy = x_px + PAD, y_px - top
    ux = ((np.arange(w, dtype=np.float32) - cx) / scale)[None]
    uy = ((np.arange(h, dtype=np.float32) - cy) / scale)[:, None]

    def fill(mask, points, value=255):
        """Polygon in head units, drawn with 1/16 px and smooth edges."""
        px = np.int32(np.round((np.float32([cx, cy]) + np.float32(points) * scale) * 16))
        cv2.fillPoly(mask, [px], value, cv2.LINE_AA, 4)
        return mask

    empty = lambda: np.zeros((h, w), np.uint8)  # noqa: E731
    neck, light = person.neck, scene.light
    lx = float(light.direction[0])
    lit, dim = (np.float32(light.key_rgb) * k + np.float32(light.ambient_rgb) for k in (0.62, 0.25))
    rgb, cover = np.zeros((h, w, 3), np.float32), np.zeros((h, w), np.float32)

    if person.hair_style in ("long", "bob"):
        low, wide = (1.15 if person.hair_style == "long" else 0.72), person.face_width + 0.12
        shape = [(-wide, -0.3), (wide, -0.3), (wide * 1.04, low), (wide * 0.5, low + 0.12), (-wide * 0.5, low + 0.12)]
        back = cv2.GaussianBlur(
            fill(empty(), _curve(shape + [(-wide * 1.04, low), (-wide, -0.3)])), (0, 0), 0.04 * scale
        )
        strands = noise(rng, (h, w), (1.5 * scale, 0.05 * scale), 2)
        cover = back / np.float32(255)
        rgb += np.float32(person.hair_rgb) * 255 * (0.55 + 0.10 * strands[..., None]) * lit

    throat = [(-neck, 0.3), (-neck * 0.93, 1.0), (-neck * 1.22, 1.25), (-neck * 1.5, 1.46), (-0.7, 2.6), (0.7, 2.6)]
    throat += [(neck * 1.5, 1.46), (neck * 1.22, 1.25), (neck * 0.93, 1.0), (neck, 0.3)]
    mask = fill(empty(), throat) / np.float32(255)
    across = np.clip(ux / neck, -1.3, 1.3)
    turn = 0.62 + 0.38 * np.sqrt(np.clip(1.05 - 0.62 * across**2, 0, None)) + 0.22 * across * lx - 0.20 * across**2
    chin = smoothstep(uy + 0.10 * ux * lx, 0.95, 1.38)  # the chin's shadow ends here
    pit = 1 - 0.05 * np.exp(-(((np.abs(ux) - 0.30 + 0.17 * (uy - 0.8)) / 0.05) ** 2))
    pit = pit - 0.10 * np.exp(-((ux / 0.07) ** 2) - ((uy - 1.5) / 0.06) ** 2)
    skin = np.float32(person.skin_rgb) * 243 * (np.clip(turn, 0.2, 1.2) * pit)[..., None]
    skin = skin * (chin[..., None] * lit + (1 - chin[..., None]) * 0.62 * dim)
    rgb += mask[..., None] * (skin - rgb)
    cover = np.maximum(cover, mask)

    slope = person.shoulder
    right = [(neck * 1.02, 1.16), (neck * 1.5, 1.34), (1.15, 1.38 + slope), (1.62, 1.62 + slope), (1.9, 2.3), (2.0, 5)]
    cloth_mask = fill(empty(), _curve([(-a, b) for a, b in right[::-1]] + right))
    arc = np.linspace(np.pi, 0, 14)
    collars = {
        "vee": [(-neck * 1.2, 1.3), (0, 1.98), (neck * 1.2, 1.3)],
        "high": [(-neck, 1.13), (-neck * 0.5, 1.19), (0, 1.21), (neck * 0.5, 1.19), (neck, 1.13)],
        "shirt": [(-neck * 1.1, 1.25), (0, 1.75), (neck * 1.1, 1.25)],
    }
    gap = collars.get(scene.collar, [(neck * 1.35 * np.cos(t), 1.3 + 0.24 * np.sin(t)) for t in arc])
    fill(cloth_mask, [(-neck * 1.06, 0.9), *gap, (neck * 1.06, 0.9)], 0)
    cloth_mask = cloth_mask / np.float32(255)
    colour = np.float32(scene.clothes_rgb)
    cloth = np.empty((h, w, 3), np.float32)
    cloth[:] = colour
    drape = uy + 0.10 * ux**2
    if scene.pattern == "stripes":
        cloth *= (1 - 0.35 * smoothstep(np.sin(drape * 30), -0.1, 0.3))[..., None]
    elif scene.pattern == "checks":
        cloth *= (1 - 0.14 * smoothstep(np.sin(ux * 24), 0.2, 0.5) - 0.14 * smoothstep(np.sin(drape * 24), 0.2, 0.5))[
            ..., None
        ]
    folds = noise(rng, (h, w), (0.8 * scale, 0.3 * scale), 2)
    form = 0.84 + 0.18 * np.clip(1 - np.abs(ux) / 1.9, 0, 1) + 0.16 * lx * ux / 1.9 + 0.05 * folds
    form = form * (0.80 + 0.20 * smoothstep(cv2.GaussianBlur(cloth_mask, (0, 0), 0.06 * scale), 0.35, 0.97))
    form = form * (1 + 0.02 * rng.standard_normal((h, w), dtype=np.float32))
    shadow = cv2.GaussianBlur(fill(empty(), [(-neck * 1.3, 0.9), *gap, (neck * 1.3, 0.9)]), (0, 0), 0.07 * scale)
    form = form * (1 - 0.25 * shadow / 255)
    cloth = np.clip(cloth * form[..., None], 0, 255) * lit
    rgb += cloth_mask[..., None] * (cloth - rgb)
    cover = np.maximum(cover, cloth_mask)
    if scene.collar == "shirt":
        for sign in (-1, 1):
            flap = np.float32([(neck * 1.02, 1.06), (neck * 1.6, 1.34), (neck * 0.95, 1.80), (0.03, 1.60)]) * [sign, 1]
            for offset, gain in ((0.035, 0.62), (0.0, 1.0 + 0.12 * sign * lx)):
                part = fill(empty(), flap + [0, offset])[..., None] / np.float32(255)
                rgb += part * (np.float32(darker(colour * lit, gain)) - rgb)
                cover = np.maximum(cover, part[..., 0])
    return np.clip(rgb, 0, 255).astype(np.uint8), cover, top
