"""Face detectors side by side: frames/s and the fraction of frames with a face.

    python benchmarks/face_detectors.py VIDEO ... [--frames 16] [--heights 540 720 1080] [--rounds 3]

Every video is sampled at equally spaced frames, resized so that its shorter side has each of the heights, and
given to every detector in turn, all in one process; a line is the median over the rounds. The detectors: this
project's MTCNN with all frames of a video in one call and one by one, its BlazeFace, the `mtcnn` package one by one
and in one call, facenet-pytorch and dlib where they are installed. A face counts from the detector's own usual
confidence (0.9 for the packages).
"""

import argparse
import os
import statistics
import sys
import time

for variable in ("TF_CPP_MIN_LOG_LEVEL", "GLOG_minloglevel", "ABSL_MIN_LOG_LEVEL"):
    os.environ.setdefault(variable, "3")

import numpy as np  # noqa: E402


def one_by_one(detect):
    return lambda frames: [detect([frame])[0] for frame in frames]


def detectors(blazeface_file):
    """Returns {name: function of a list of uint8 [H, W, 3] that returns the number of faces of each}."""
    from tfdeepfake.data import faces
    from tfdeepfake.errors import InputError

    ours = faces.make_detector("mtcnn")
    by_name = {"MTCNN, one call": ours, "MTCNN, one by one": one_by_one(ours)}
    try:
        by_name["BlazeFace"] = faces.make_detector("blazeface", weights=blazeface_file)
    except InputError as error:
        print(f"BlazeFace is left out: {error}", file=sys.stderr)
    counted = {name: lambda frames, f=f: [len(d) for d in f(frames)] for name, f in by_name.items()}

    from mtcnn import MTCNN

    package = MTCNN()

    def confident(faces_per_frame):
        return [sum(face["confidence"] >= 0.9 for face in frame) for frame in faces_per_frame]

    counted["mtcnn package, one by one"] = lambda frames: confident([package.detect_faces(f) for f in frames])
    counted["mtcnn package, one call"] = lambda frames: confident(package.detect_faces(frames))
    try:
        from facenet_pytorch import MTCNN as Facenet

        facenet = Facenet(keep_all=True)

        def facenet_counts(frames):
            boxes, scores = facenet.detect(np.stack(frames))
            return [0 if b is None else int((s >= 0.9).sum()) for b, s in zip(boxes, scores, strict=True)]

        counted["facenet-pytorch, one call"] = facenet_counts
    except ImportError:
        print("facenet-pytorch is left out: it is not installed.", file=sys.stderr)
    try:
        import dlib

        hog = dlib.get_frontal_face_detector()
        counted["dlib HOG"] = lambda frames: [len(hog(frame, 0)) for frame in frames]
    except ImportError:
        print("dlib is left out: it is not installed.", file=sys.stderr)
    return counted


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--frames", type=int, default=16, help="sampled frames per video")
    parser.add_argument("--heights", type=int, nargs="+", default=[540, 720, 1080], help="shorter side in px")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--blazeface", help="path of the BlazeFace network; downloaded when not given")
    arguments = parser.parse_args()

    from tfdeepfake.data import video
    from tfdeepfake.data.faces.boxes import resize

    counted = detectors(arguments.blazeface)
    clips = []
    for path in arguments.videos:
        indices = video.spaced_indices(video.probe(path).frame_count, arguments.frames)
        clips.append(video.read_frames(path, indices).frames)
    print(f"{len(clips)} videos, {sum(map(len, clips))} frames, median of {arguments.rounds} rounds")
    print(f"{'shorter side':>12}  {'detector':<26} {'frames/s':>9} {'ms/frame':>9} {'found':>7} {'faces':>6}")
    for side in arguments.heights:
        scaled = []
        for frames in clips:
            scale = side / min(frames.shape[1:3])
            size = round(frames.shape[1] * scale), round(frames.shape[2] * scale)
            scaled.append([resize(frame, *size) for frame in frames])
        seconds = {name: [] for name in counted}
        counts = {}
        for turn in range(arguments.rounds + 1):
            for name, detect in counted.items():
                # The first round only warms up: one frame of each clip is enough.
                given = [frames[:1] for frames in scaled] if turn == 0 else scaled
                start = time.perf_counter()
                counts[name] = np.concatenate([detect(frames) for frames in given])
                if turn:
                    seconds[name].append((time.perf_counter() - start) / len(counts[name]))
        for name in counted:
            each = statistics.median(seconds[name])
            print(
                f"{side:>12}  {name:<26} {1 / each:>9.1f} {1000 * each:>9.1f} {np.mean(counts[name] > 0):>7.1%} "
                f"{counts[name].sum():>6}",
                flush=True,
            )


if __name__ == "__main__":
    main()
