"""`tfdeepfake protocol`: the papers' tables, each a folder of scores, and of runs where it trains, with a page."""

import argparse
import fnmatch
import sys

from tfdeepfake.cli.flags import check_fraction, need_whole
from tfdeepfake.cli.presets import load_preset, load_trained
from tfdeepfake.cli.presets import presets as known_presets
from tfdeepfake.errors import InputError
from tfdeepfake.files import check_output_folder
from tfdeepfake.protocols.names import PROTOCOLS

OPTIONS = (
    "data_dir", "split", "allow", "perturbations", "severities", "keep_copies", "presets", "set", "jobs", "groups",
    "votes",
)  # fmt: skip


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser(
        "protocol",
        help="the papers' tables: models scored on many data, or trained by presets and scored",
        epilog="\n".join(f"{name}: {one.about}" for name, one in PROTOCOLS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("name", metavar="NAME", choices=tuple(PROTOCOLS), help=", ".join(PROTOCOLS))
    where = "run folders or saved model folders; NAME=FOLDER gives a name; reproduce: names of published detectors too"
    p.add_argument("--models", nargs="+", metavar="RUN", help=where)
    where = "what is trained, see `tfdeepfake presets`; a pattern takes all that fit"
    p.add_argument("--presets", nargs="+", metavar="PRESET", help=where)
    p.add_argument(
        "--set",
        nargs="+",
        metavar="[PRESETS:]FIELD=VALUE",
        help="settings of `tfdeepfake train` that are not the presets', for all of them or those that a pattern names, "
        """for example epochs=3 'p3_*:network_args={"width": 8}'; the table's title tells them""",
    )
    p.add_argument("--jobs", type=int, help="runs that are trained at once, where memory allows [1]")
    p.add_argument(
        "--data",
        nargs="+",
        required=True,
        help="prepared data sets (cross_data: several); robustness: a folder with real/ and fake/, or a CSV file,label",
    )
    where = "folder of runs, scores and tables; the same command again resumes"
    p.add_argument("--run-dir", required=True, help=where)
    where = "print what would be trained and scored and how long, and do nothing"
    p.add_argument("--plan", action="store_true", help=where)
    p.add_argument("--data-dir", help="where prepared data sets are kept")
    p.add_argument("--split", help="of prepared data sets [test]")
    where = "of the recipe in which prepared data may differ; with --presets also `any`"
    p.add_argument("--allow", nargs="+", metavar="FIELD", help=where)
    p.add_argument("--perturbations", nargs="+", metavar="NAME", help="robustness: fewer than all seven")
    p.add_argument("--severities", nargs="+", type=int, metavar="N", help="robustness: fewer than 1 2 3 4 5")
    where = "ensemble: models that vote, or presets of ensembles, whose members are models [all together]"
    p.add_argument("--groups", nargs="+", metavar="[NAME=]A+B", help=where)
    p.add_argument("--votes", nargs="+", metavar="VOTE", help="ensemble: fewer than soft hard adaptive")
    p.add_argument("--keep-copies", action="store_true", help="robustness: perturbed copies stay in the run folder")
    where = "end with code 3, and list the videos without a score, where a cell has fewer than this fraction scored"
    p.add_argument("--min-coverage", type=float, metavar="FRACTION", help=where)
    p.add_argument("--resamples", type=int, default=1000, help="of the bootstrap; 0 for no intervals [1000]")
    return p


def run(args: argparse.Namespace) -> int:
    need_whole(args, resamples=(0, None), severities=(1, 5), jobs=(1, None))
    check_fraction("--min-coverage", args.min_coverage)
    protocol = PROTOCOLS[args.name]
    given = {name: value for name in OPTIONS if (value := getattr(args, name))}
    for name in given:
        if name not in protocol.options:
            raise InputError(f"--{name.replace('_', '-')}", f"is not used with {args.name}.", "Leave it out.")
    if not protocol.several_data and len(args.data) > 1:
        raise InputError("--data", f"{args.name} takes one, got {len(args.data)}.", "Give each a folder of its own.")
    needed = "presets" if protocol.trains else "models"
    if not getattr(args, needed):
        raise InputError(f"--{needed}", f"{args.name} needs one or more.", "See: tfdeepfake protocol --help")
    if protocol.trains and args.models:
        raise InputError("--models", f"is not used with {args.name}.", "Leave it out.")
    check_output_folder(args.run_dir)
    return (_train if protocol.trains else _score)(args, given)


def _log(line):
    print(line, file=sys.stderr, flush=True)


def _score(args, given):
    """A protocol of models that are there."""
    if "groups" in given:
        given["groups"] = dict(_group(text) for text in given["groups"])
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    from tfdeepfake.protocols.protocol import run as run_protocol

    return run_protocol(
        args.name,
        args.models,
        args.data,
        args.run_dir,
        plan=args.plan,
        resamples=args.resamples,
        min_coverage=args.min_coverage,
        command=args.command_line,
        log=_log,
        **given,
    )


def _group(text):
    """(name, members) of `--groups`."""
    name, equals, members = text.partition("=")
    if not equals and "+" not in text:
        return text, list(load_preset(text).stages)
    return name, [one.strip() for one in (members if equals else text).split("+")]


def _train(args, given):
    """A protocol that trains presets."""
    from tfdeepfake.protocols.rows import overrides_of

    overrides = overrides_of(given.pop("set", ()))
    chosen = [name for text in given.pop("presets") for name in fnmatch.filter(known_presets(), text) or [text]]
    for name in chosen:
        load_trained(name)
    presets, left = {}, list(chosen)
    while left:
        name = left.pop()
        presets[name] = load_preset(name)
        left += [stage for stage in presets[name].stages if stage not in presets]
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    from tfdeepfake.protocols import trained

    jobs = given.pop("jobs", 1)
    plan = trained.plan_of(args.name, presets, chosen, overrides, args.data[0], args.run_dir, **given)
    if args.plan:
        from tfdeepfake.protocols.training_time import plan_lines

        print("\n".join(plan_lines(plan, _log)))
        return 0
    return trained.run(plan, jobs, args.resamples, args.command_line, _log, args.min_coverage)
