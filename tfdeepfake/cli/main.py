"""`tfdeepfake VERB`: finds the verb, runs it, turns errors into one line. Everything heavy is imported by the verb."""

import argparse
import sys

from tfdeepfake import __version__
from tfdeepfake.cli import audit, convert, evaluate, export, faces, grid, models, perturb, predict, prepare, train
from tfdeepfake.errors import InputError

VERBS = (predict, prepare, train, grid, audit, evaluate, faces, perturb, export, convert, models)


def parser():
    """The parser of all verbs; each verb's file adds its own and sets `run`."""
    about = "Finds faked faces in videos, and trains the networks that do."
    all_verbs = argparse.ArgumentParser(prog="tfdeepfake", description=about)
    all_verbs.add_argument("--version", action="version", version=__version__)
    verbs = all_verbs.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add(verbs).set_defaults(run=verb.run)
    return all_verbs


def main(argv=None):
    """Runs one verb. Returns the exit code: 0 done, 1 done, but files failed or data leak, 2 nothing could be done."""
    args = parser().parse_args(argv)
    try:
        return args.run(args) or 0
    except InputError as error:
        print(f"tfdeepfake: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tfdeepfake: interrupted; what was finished is kept.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
