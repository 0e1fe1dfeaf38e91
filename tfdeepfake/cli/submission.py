"""`tfdeepfake submission`: Kaggle's filename,label of test files, from models or from scores that are there."""

import argparse
import functools
import sys
import time
from pathlib import Path

from tfdeepfake.cli.flags import SHORTER, need_above_zero, need_whole
from tfdeepfake.cli.named_model import is_name
from tfdeepfake.cli.process_age import process_age_s
from tfdeepfake.errors import InputError, remedy_where_missing
from tfdeepfake.files import check_output_file, check_output_folder, read_json
from tfdeepfake.verdict.settings import JudgeSettings


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("submission", help="Kaggle's submission.csv: filename,label of every test file")
    p.add_argument(
        "members",
        nargs="+",
        metavar="MODEL_OR_SCORES",
        help="scores.csv of the test files, or with --videos a run or saved model folder or a detector's name; "
        "several are averaged",
    )
    p.add_argument("--videos", metavar="DIR", help="the test files, which models judge")
    p.add_argument("--out", default="submission.csv", help="[submission.csv]; verdicts go to a folder beside it")
    p.add_argument(
        "--validation",
        nargs="+",
        default=[],
        metavar="SCORES",
        help="labelled scores, one file for each member (default: the scores_validation.csv of runs)",
    )
    p.add_argument(
        "--prior",
        type=float,
        help="what files without a score get: the fraction of fakes in training [that of runs, else of validation]",
    )
    p.add_argument("--clip", type=float, help="cut probabilities so far from 0 and 1 (default: chosen on validation)")
    p.add_argument(
        "--budget-s",
        type=float,
        help="with --videos: seconds for all files and models, start included; files not reached get the prior",
    )
    p.add_argument("--num-samples", *SHORTER["num_samples"], type=int, help="as for predict, with --videos")
    p.add_argument("--files", metavar="CSV", help="whose column filename lists what is asked for, in the place of all")
    return p


def run(args: argparse.Namespace) -> None:
    for name, value, most in (("prior", args.prior, 1), ("clip", args.clip, 0.5)):
        if value is not None and not 0 <= value <= most:
            raise InputError(f"--{name}", f"needs a number 0..{most:g}, got {value:g}.")
    need_above_zero(args, "budget_s")
    start = time.perf_counter() - process_age_s()
    check_output_file(args.out)
    need_whole(args, num_samples=(1, None))
    if args.videos is None and (names := [text for text in args.members if is_name(text)]):
        raise InputError(names[0], "is a model.", "Add --videos DIR with the test files.")
    if args.videos is None and args.num_samples is not None:
        raise InputError("--num-samples", "is not used with scores that are there.", "Leave it out.")
    if args.videos is not None and not Path(args.videos).exists():  # which should not cost a download
        remedy = remedy_where_missing(args.videos, "Give the folder of the test files.")
        raise InputError(args.videos, "does not exist.", remedy)
    members = [_Member(*_located(text, args.num_samples)) for text in args.members]
    if args.videos is None and (models := [member for member in members if member.is_model]):
        raise InputError(models[0].path, "is a model.", "Add --videos DIR with the test files.")
    validation = args.validation or [member.validation for member in members]
    if None in validation:
        validation = []
    priors = [member.prior for member in members]
    prior = sum(priors) / len(priors) if args.prior is None and None not in priors else args.prior
    from tfdeepfake.evaluation.submission import submission, submission_lines

    scores = []
    for number, member in enumerate(members):
        # What one model leaves of the time is the next ones'.
        now, after = time.perf_counter(), len(members) - number
        budget_s = None if args.budget_s is None else max(1e-9, (args.budget_s - (now - start)) / after)
        scores.append(member.scores(args.videos, Path(args.out), number, budget_s))
    late = sorted({name for member in members for name in member.not_reached})
    facts = submission(scores, args.out, validation, prior, args.clip, args.files, late)
    print("\n".join(submission_lines(facts, args.out)))


def _located(text, num_samples):
    """(folder or scores, JudgeSettings or None) of a member; of a published detector the samples as of `predict`."""
    if text and not is_name(text):
        return Path(text), None if num_samples is None else JudgeSettings(num_samples=num_samples)
    from tfdeepfake.cli.predict import print_line
    from tfdeepfake.verdict import named

    located = named.locate(text, log=print_line)
    return located.ready(print_line), located.affordable(JudgeSettings(num_samples=num_samples), print_line)


def _fraction_of_fakes(path):
    """Of the training examples of a run; None where it does not say."""
    examples = list((read_json(path).get("examples") or {}).values()) if path.is_file() else []
    return 1 - examples[0] / sum(examples) if sum(examples) else None  # real comes first


class _Member:
    """One of the detectors: a folder of a model or run, or scores."""

    def __init__(self, path, settings):
        from tfdeepfake.model_folder import RECIPE_FILE  # which loads numpy

        self.path, self.settings = path, settings
        self.is_model = path.is_dir() and not (path / "scores.csv").is_file()
        run = path if (path / "config.json").is_file() else path.parent
        there = run / "scores_validation.csv"
        is_run = self.is_model and (run == path or (path / RECIPE_FILE).is_file())
        self.validation = there if is_run and there.is_file() else None
        self.prior = _fraction_of_fakes(run / "versions.json") if is_run else None
        self.not_reached = []

    def scores(self, videos, out, number, budget_s):
        """scores.csv; a model judges the videos first, and goes on where it was stopped."""
        if not self.is_model:
            return self.path / "scores.csv" if self.path.is_dir() else self.path
        folder = out.with_name(f"{out.stem}-{number + 1}-{self.path.resolve().name}")
        check_output_folder(folder)
        from tfdeepfake.verdict.batch import judge_many

        log = functools.partial(print, file=sys.stderr, flush=True)
        options = {"settings": self.settings, "budget_s": budget_s, "guarded": True}
        judged = judge_many(videos, self.path, folder, log=log, **options)
        self.not_reached = judged["not_reached"]
        return folder / "scores.csv"
