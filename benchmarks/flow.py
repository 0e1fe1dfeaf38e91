"""Optical flow methods side by side: time, warp error, and the bytes and the error in px of a stored map.

    python benchmarks/flow.py [--video FILE] [--pairs 30] [--stride-frames 1]

Without --video the scene is synthetic and its true motion known (a textured disc that drifts, turns and grows over a
textured background), and the true end-point error is printed too. Per size and method, over all pairs:

    ms          median time of a pair, methods in turn within one process
    warp        mean grey-level difference between a frame and the next one warped back along the flow; the difference
                without any flow stands in the line "none"
    EPE         mean distance in px from the true flow (synthetic scene only)
    bytes       of a packed map as grey PNG, as the data sets store it; float32 stands in the last column
    stored EPE  mean and largest distance in px between a map and the map read back from storage
"""

import argparse
import statistics
import time

import cv2
import numpy as np

from tfdeepfake.data import flow as flows

SIZES = ((224, 224), (108, 192))


def grain(rng, height, width):
    noise = cv2.GaussianBlur(rng.normal(0, 1, (height, width, 3)).astype(np.float32), (0, 0), 1.5)
    return 128 + 45 * noise / noise.std()


def synthetic_scene(count, height, width, seed=0):
    """Frames uint8 [count, H, W, 3] and the true flow between neighbours, float32 [count - 1, H, W, 2]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    back, disc = grain(rng, height * 2, width * 2), grain(rng, height * 2, width * 2)
    radius = 0.3 * height

    def place(t):
        """Affine maps image -> texture (background, disc) and the disc's mask."""
        turn, scale = 0.02 * t, 1 + 0.004 * t
        centre = np.float32([width / 2 + 6 * np.sin(0.4 * t), height / 2 + 4 * np.cos(0.3 * t)])
        rotate = np.float32([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / scale
        middle = np.float32([width, height])
        to_disc = np.column_stack([rotate, middle - rotate @ centre])
        to_back = np.float32([[1, 0, width / 2 + 0.7 * t], [0, 1, height / 2]])
        return to_back, to_disc, np.hypot(x - centre[0], y - centre[1]) < radius * scale

    def apply(matrix, points_x, points_y):
        return (matrix[0, 0] * points_x + matrix[0, 1] * points_y + matrix[0, 2],
                matrix[1, 0] * points_x + matrix[1, 1] * points_y + matrix[1, 2])  # fmt: skip

    def look(texture, matrix):
        return cv2.remap(texture, *[m.astype(np.float32) for m in apply(matrix, x, y)], cv2.INTER_LINEAR)

    def motion(before, after):
        """Where each pixel's texture point lies in the next frame, minus the pixel."""
        u, v = apply(before, x, y)
        inverse = cv2.invertAffineTransform(after)
        to_x, to_y = apply(inverse, u, v)
        return np.stack([to_x - x, to_y - y], axis=-1)

    frames, truth = [], []
    for t in range(count):
        to_back, to_disc, mask = place(t)
        frames.append(np.where(mask[..., None], look(disc, to_disc), look(back, to_back)))
        if t + 1 < count:
            next_back, next_disc, _ = place(t + 1)
            truth.append(np.where(mask[..., None], motion(to_disc, next_disc), motion(to_back, next_back)))
    noisy = np.stack(frames) + rng.normal(0, 2, (count, height, width, 3))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), np.stack(truth).astype(np.float32)


def methods():
    """{name: function (before, after: uint8 [H, W]) -> float32 [H, W, 2]}; DIS presets for comparison only."""
    by_name = {}
    for preset in ("ULTRAFAST", "FAST", "MEDIUM"):
        dis = cv2.DISOpticalFlow_create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset}"))
        by_name[f"dis {preset.lower()}"] = lambda before, after, dis=dis: dis.calc(before, after, None)
    by_name["farneback"] = flows.flow_method("farneback")
    return by_name


def warp_error(before, after, flow):
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    back = cv2.remap(after, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(np.abs(back.astype(np.float32) - before).mean())


def compare(frames, truth):
    """Prints a line per method for one size."""
    height, width = frames.shape[1:3]
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    pairs = list(zip(greys[:-1], greys[1:], strict=True))
    still = np.zeros((height, width, 2), np.float32)
    ms = {name: [] for name in methods()}
    maps = {name: [] for name in methods()}
    calculators = methods()
    for calculate in calculators.values():
        calculate(*pairs[0])
    for pair in pairs:
        for name, calculate in calculators.items():
            start = time.perf_counter()
            maps[name].append(calculate(*pair))
            ms[name].append((time.perf_counter() - start) * 1e3)
    print(f"\n{height} x {width}, {len(pairs)} pairs")
    print(f"{'':14}{'ms':>7}{'warp':>7}{'EPE':>7}{'bytes':>9}{'stored EPE mean/max':>22}{'float32 bytes':>15}")
    none = statistics.mean(warp_error(*pair, still) for pair in pairs)
    distance = "-" if truth is None else f"{np.linalg.norm(truth, axis=-1).mean():.2f}"
    print(f"{'none':14}{'':7}{none:7.2f}{distance:>7}")
    for name, flow in maps.items():
        flow = np.stack(flow)
        packed, max_px = flows.pack_flow(flow)
        size = statistics.mean(len(cv2.imencode(".png", image)[1]) for image in packed)
        stored = np.linalg.norm(flows.unpack_flow(packed, max_px) - flow, axis=-1)
        warp = statistics.mean(warp_error(*pair, one) for pair, one in zip(pairs, flow, strict=True))
        distance = "-" if truth is None else f"{np.linalg.norm(flow - truth, axis=-1).mean():.2f}"
        print(
            f"{name:14}{statistics.median(ms[name]):7.2f}{warp:7.2f}{distance:>7}{size:9.0f}"
            f"{stored.mean():13.4f} /{stored.max():7.4f}{flow[0].nbytes:15}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", help="measure on this video instead of a synthetic scene")
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--stride-frames", type=int, default=1, help="distance of the two frames of a pair")
    args = parser.parse_args()
    print(f"OpenCV {cv2.__version__}, {cv2.getNumThreads()} threads; {args.video or 'synthetic scene'}")
    for height, width in SIZES:
        if args.video:
            from tfdeepfake.data import video

            wanted = np.arange(args.pairs + 1) * args.stride_frames
            wanted = wanted[wanted < video.probe(args.video).frame_count]
            read = video.read_frames(args.video, wanted).frames
            frames = np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in read])
            compare(frames, None)
        else:
            frames, truth = synthetic_scene(args.pairs * args.stride_frames + 1, height, width)
            compare(frames[:: args.stride_frames], truth if args.stride_frames == 1 else None)


if __name__ == "__main__":
    main()
