"""`tfdeepfake explain`: where in a video's faces a network looks, and what its maps are worth."""

import argparse

from tfdeepfake.cli.flags import Once, add_fields, given_fields
from tfdeepfake.explain.settings import ExplainSettings
from tfdeepfake.files import check_output_folder
from tfdeepfake.verdict.settings import JudgeSettings
from tfdeepfake.vocabulary import DETECTORS

# What a map does not depend on, or what is of verdicts alone.
NOT_HERE = ("debug", "tta", "video_rule", "batch_size", "workers", "isolate", "memory_mb")


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("explain", help="where in a video's faces a network looks, and what its maps are worth")
    p.add_argument("path", metavar="VIDEO", help="video or image")
    p.add_argument("--model", action=Once, help="saved model folder, run folder or name of a published detector")
    p.add_argument("--source", metavar="NAME", help="--model is a file of weights of this published detector")
    p.add_argument("--out", required=True, help="folder for index.html, contact sheets, annotated.mp4 and maps.npz")
    p.add_argument("--mask", help="video of where it was manipulated: the part of the map inside is printed")
    p.add_argument("--detector", choices=DETECTORS, help="face detector instead of the recipe's own")
    p.add_argument("--detector-weights", help="path of the BlazeFace file when it cannot be downloaded")
    add_fields(p, ExplainSettings)
    add_fields(p, JudgeSettings, leave_out=NOT_HERE)
    return p


def run(args: argparse.Namespace) -> int:
    from tfdeepfake.cli.predict import print_line
    from tfdeepfake.quiet import load_backend

    settings = ExplainSettings(**given_fields(args, ExplainSettings))
    judge_settings = JudgeSettings(**given_fields(args, JudgeSettings))
    check_output_folder(args.out)
    from tfdeepfake.data import video
    from tfdeepfake.verdict import batch, named

    # What cannot be read should not cost a download, nor the start of TensorFlow.
    video.probe(args.path, judge_settings.time_limit_s, judge_settings.stream, judge_settings.frame_rate)
    located = named.locate(args.model, args.source, log=print_line)
    folder, judge_settings = located.ready(print_line), located.affordable(judge_settings, print_line)
    load_backend()
    from tfdeepfake.explain.video import explain_video

    network = batch.load_network(folder, args.detector, args.detector_weights, log=print_line, with_layers=True)
    about = explain_video(args.path, network, args.out, settings, judge_settings, args.mask, print)
    return 0 if about["status"] == "scored" else 1
