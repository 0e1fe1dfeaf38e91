"""The perturbations of P4 Sec. 4.5 on a synthetic face: an image of 7 x 5, and the PSNR of each severity.

    python benchmarks/perturbations.py [--out docs/perturbations.png] [--frames 8]

Prints the PSNR in dB of each perturbation at severities 1 to 5 against the original clip, 320 x 256 px, and the time of
a frame. The image shows the middle of one frame; its first column is the original clip.
"""

import argparse
import time

import cv2
import numpy as np

from tfdeepfake.data import synthetic
from tfdeepfake.data.perturb import PERTURBATIONS, SEVERITIES, perturb

HEIGHT_PX, WIDTH_PX = 256, 320
CELL_PX, GAP_PX, TOP_PX, LEFT_PX = 92, 2, 18, 104
# The face, at the size it has in the frame.
SHOWN = np.s_[80 : 80 + CELL_PX, 112 : 112 + CELL_PX]


def synthetic_clip(frames):
    """A talking head, uint8 [frames, H, W, 3]."""
    parts = synthetic.identity(0, 5), synthetic.scene(0, 5), synthetic.motion(5, frames)
    return np.stack(list(synthetic.draw_video(*parts, WIDTH_PX, HEIGHT_PX)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out")
    parser.add_argument("--frames", type=int, default=8)
    args = parser.parse_args()
    clip = synthetic_clip(args.frames)
    pitch = CELL_PX + GAP_PX
    sheet = np.full((TOP_PX + len(PERTURBATIONS) * pitch, LEFT_PX + 6 * pitch, 3), 255, np.uint8)

    def write(text, at):
        cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (40, 40, 40), 1, cv2.LINE_AA)

    for column, text in enumerate(("original", *map(str, SEVERITIES))):
        write(text, (LEFT_PX + column * pitch + 4, 12))
    print(f"{'PSNR in dB, severity':20}" + "".join(f"{s:8d}" for s in SEVERITIES) + "  ms/frame")
    for row, name in enumerate(PERTURBATIONS):
        write(name.replace("_", " "), (4, TOP_PX + row * pitch + CELL_PX // 2))
        shown, start = [clip[0]], time.perf_counter()
        perturbed = [perturb(clip, name, severity)[0] for severity in SEVERITIES]
        took_ms = 1e3 * (time.perf_counter() - start) / len(SEVERITIES) / len(clip)
        shown += [one[0] for one in perturbed]
        psnr_db = [10 * np.log10(255**2 / np.mean((r.astype(np.float64) - clip) ** 2)) for r in perturbed]
        print(f"{name:20}" + "".join(f"{one:8.2f}" for one in psnr_db) + f"{took_ms:10.2f}")
        for column, frame in enumerate(shown):
            top, at = TOP_PX + row * pitch, LEFT_PX + column * pitch
            sheet[top : top + CELL_PX, at : at + CELL_PX] = frame[SHOWN]
    if args.out:
        # 5 bits a channel: half the file.
        cv2.imwrite(args.out, ((sheet & 0xF8) | (sheet >> 5))[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
