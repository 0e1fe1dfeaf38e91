"""`tfdeepfake faces`: a contact sheet of face tracks and crops, to look at."""

import argparse

from tfdeepfake.cli.flags import need_whole
from tfdeepfake.vocabulary import ALIGNMENTS, DETECTORS


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("faces", help="contact sheet of face tracks and crops, to look at")
    p.add_argument("path", help="video or image")
    p.add_argument("--out", default="faces.png", help="image file, its suffix decides the format [faces.png]")
    p.add_argument("--detector", choices=DETECTORS, default="mtcnn")
    p.add_argument("--detector-weights", help="path of the BlazeFace file when it cannot be downloaded")
    p.add_argument("--num-frames", type=int, default=16, help="frames of the video [16]")
    p.add_argument(
        "--alignment",
        choices=("none", *ALIGNMENTS),
        default="none",
        help="crops by five landmarks, as the authors of that name cut them [none: one upright box for all frames]",
    )
    return p


def run(args: argparse.Namespace) -> None:
    need_whole(args, num_frames=(1, None))
    from tfdeepfake.data.video.write import image_name

    out = image_name(args.out)
    from tfdeepfake.data.faces import write_contact_sheet

    write_contact_sheet(
        args.path,
        out,
        detector=args.detector,
        weights=args.detector_weights,
        num_frames=args.num_frames,
        alignment=args.alignment,
    )
