"""Draws a baked head into a frame: turned, lit by the room, speaking and blinking."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

from tfdeepfake.data.synthetic.head import LEFT, TOP, smoothstep

if TYPE_CHECKING:
    from tfdeepfake.data.synthetic.head import Head
    from tfdeepfake.data.synthetic.people import Identity, Light


def window(pose: dict, width: int, height: int, reach: tuple = (1.55, 1.75, 1.75)) -> tuple[int, int, int, int]:
    """Frame rectangle x0, y0, x1, y1 (px) that a head at `pose` can touch; `reach` is to either side, up, down."""
    beside, above, below = (pose["scale"] * r for r in reach)
    x0, y0 = max(0, int(pose["x"] - beside)), max(0, int(pose["y"] - above))
    return x0, y0, min(width, int(pose["x"] + beside) + 1), min(height, int(pose["y"] + below) + 1)


def head_coordinates(head: "Head", pose: dict, box: tuple) -> tuple[np.ndarray, np.ndarray]:
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
            head.depth,
            (x - LEFT) * head.scale - 0.5,
            (y - TOP) * head.scale - 0.5,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        x, y = a - z * move_x, b - z * move_y
    return x, y


def mouth_lines(person: "Identity", expression: dict, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y of the upper and the lower edge of the mouth's opening at x, and the closed line's y (units)."""
    smile, jaw = expression["smile"], expression["jaw"]
    u = np.clip(x / person.mouth_width, -1, 1)
    line = person.mouth_y - 0.05 * smile * u**2
    lens = 1 - u**2
    return line - 0.035 * jaw * lens, line + 0.155 * jaw * lens, line


def _rows(pose, box, low, high):
    """Rows of the rectangle whose y in head units can lie between low and high, whatever the turn."""
    slack = 0.65 * abs(np.sin(pose["pitch"])) + 1.0 * abs(np.sin(pose["roll"]))
    first, last = (pose["y"] + pose["scale"] * v - box[1] for v in (low - slack, high + slack))
    return slice(max(0, int(first)), max(0, int(last) + 1))


def _deform(person, expression, x, y, rows_brow, rows_mouth):
    """Moves texture coordinates for speech, smile and brows: returns source x, y of the skin.

    Each edit is worked out only in the rows it can reach.
    """
    jaw, spread, smile, brow = (expression[k] for k in ("jaw", "spread", "smile", "brow"))
    mouth_y = person.mouth_y
    sx, sy = x.copy(), y.copy()
    x, y = x[rows_brow], y[rows_brow]
    sy[rows_brow] += 0.05 * brow * np.exp(-(((y - person.eye_y + 0.25) / 0.16) ** 2)) * (np.abs(x) < person.face_width)
    x, y = sx[rows_mouth], sy[rows_mouth]
    near = np.exp(-((x / 0.5) ** 2) - ((y - mouth_y) / 0.28) ** 2)
    x = x * (1 - 0.20 * spread * near)
    upper, lower, line = mouth_lines(person, expression, x)
    below = y > (upper + lower) / 2
    edge, reach = np.where(below, lower, upper), np.where(below, np.float32(1 / 0.2), np.float32(1 / 0.12))
    shift = (edge - line) * np.exp(-np.abs(y - edge) * reach)
    square = (x / 0.75) ** 2
    chin = 0.10 * jaw * np.exp(-square * square) * smoothstep(y, mouth_y, mouth_y + 0.32)
    sx[rows_mouth] = x
    sy[rows_mouth] = y - shift - chin * below - (line - mouth_y) * near
    return sx, sy


def light_head(head: "Head", light: "Light", pose: dict) -> np.ndarray:
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


def draw_head(plate: np.ndarray, head: "Head", light: "Light", pose: dict, expression: dict, box: tuple) -> tuple:
    """Draws the head over a rectangle of a frame.

    Args:
      plate: uint8 [h, w, 3], the rectangle without the head.
      head: `bake_head(...)`.
      pose: dict x, y (px in the frame), scale (px/unit), yaw, pitch, roll (rad).
      expression: dict jaw, spread, smile, brow, blink, gaze_x, gaze_y.
      box: the rectangle's x0, y0, x1, y1 in the frame.
    Returns:
      (uint8 [h, w, 3], x, y): the image and its texture coordinates before the expression's deformation.
    """
    person, s = head.person, head.scale
    x, y = head_coordinates(head, pose, box)
    brow, mouth = _rows(pose, box, -0.8, -0.1), _rows(pose, box, 0.1, 1.5)
    sx, sy = _deform(person, expression, x, y, brow, mouth)
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
        colour, cover, lash, glint = _eye(
            person, expression, side, x[where], y[where], pose["scale"], float(np.sign(light.direction[0]))
        )
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
        teeth = smoothstep(my, person.mouth_y - 0.045, person.mouth_y - 0.02) * (
            1 - smoothstep(my, person.mouth_y + 0.015, person.mouth_y + 0.03)
        )
        teeth = teeth * np.clip(1.15 - (mx / person.mouth_width) ** 2 * 1.7, 0, 1)
        tongue = smoothstep(my, lower - 0.085, lower - 0.02) * np.clip(1 - (mx / (person.mouth_width * 0.8)) ** 2, 0, 1)
        inside = (
            np.float32([52, 20, 20])
            + teeth[..., None] * np.float32([158, 176, 166])
            + tongue[..., None] * np.float32([88, 42, 44])
        )
        skin = rgb[where].astype(np.float32)
        skin += gap[..., None] * (inside * np.clip(level, 0.3, 1.05) - skin)
        rgb[where] = np.clip(skin, 0, 255).astype(np.uint8)
    if person.glasses:
        where = patch(0, person.eye_y, person.face_width + 0.15, 0.3)
        rims = cv2.remap(head.glasses, (x[where] - LEFT) * s - 0.5, (y[where] - TOP) * s - 0.5, cv2.INTER_LINEAR)[
            ..., None
        ]
        colour = np.float32(person.glasses_rgb) * 255 * level
        rgb[where] = (rgb[where] * (1 - 0.9 * rims) + 0.9 * rims * colour).astype(np.uint8)
    return cv2.blendLinear(rgb, plate, alpha, 1 - alpha), x, y
