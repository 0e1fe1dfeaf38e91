"""`tfdeepfake VERB`: finds the verb, runs it, turns errors into one line. Everything heavy is imported by the verb."""

import argparse
import atexit
import difflib
import errno
import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from tfdeepfake import __version__
from tfdeepfake.cli import (
    audit,
    calibrate,
    compare,
    convert,
    correlate,
    detectors,
    embed,
    ensemble,
    evaluate,
    explain,
    export,
    faces,
    grid,
    models,
    perturb,
    predict,
    prepare,
    presets,
    protocol,
    serve,
    submission,
    train,
)
from tfdeepfake.errors import InputError

VERBS = (
    predict,
    detectors,
    prepare,
    train,
    presets,
    grid,
    ensemble,
    audit,
    evaluate,
    calibrate,
    compare,
    protocol,
    submission,
    explain,
    embed,
    correlate,
    faces,
    perturb,
    export,
    serve,
    convert,
    models,
)


# What the system says of a disk or a place that no verb foresaw; other errors of its are faults of this program.
FULL_OR_REFUSED = frozenset(
    getattr(errno, name) for name in "ENOSPC EDQUOT EFBIG EROFS EACCES EPERM ENOTDIR EISDIR ENAMETOOLONG".split()
)


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line, as every other error is said, instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ").rstrip(".")
        self.exit(2, f"{self.prog}: {message}. See `{self.prog} --help`.\n")

    def parse_known_args(self, args=None, namespace=None) -> tuple[argparse.Namespace, list[str]]:
        """Refuses what is not known here, where the verb and its flags are."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            flag = unknown[0].partition("=")[0]
            near = difflib.get_close_matches(flag, self._option_string_actions, n=2)
            self.error(f"{flag} is not known here" + (f"; near it: {', '.join(near)}" if near else ""))
        return parsed, unknown


def parser() -> argparse.ArgumentParser:
    """The parser of all verbs; each verb's file adds its own and sets `run`."""
    about = "Finds faked faces in videos, and trains the networks that do."
    all_verbs = Parser(prog="tfdeepfake", description=about)
    all_verbs.add_argument("--version", action="version", version=__version__)
    verbs = all_verbs.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add(verbs).set_defaults(run=verb.run)
    return all_verbs


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb. Returns the exit code: 0 done, 1 done, but files failed or data leak, 2 nothing could be done,
    3 done, but fewer videos have a score than was asked for."""
    # When the process ends, which else searches all objects for garbage: 3 s with several large networks.
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
    args = parser().parse_args(argv)
    args.command_line = [
        "tfdeepfake",
        *(sys.argv[1:] if argv is None else argv),
    ]  # for pages that say how they came about
    try:
        return args.run(args) or 0
    except InputError as error:
        _tell(_by_flag(error, args.command_line))
        return 2
    except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in FULL_OR_REFUSED:
            raise
        _tell(f"{error.filename or 'output'}: the system refuses it ({error.strerror}).")
        return 2
    except KeyboardInterrupt:
        print("tfdeepfake: interrupted; what was finished is kept.", file=sys.stderr)
        return 130


def _tell(error):
    from tfdeepfake.report.text import printable

    print(f"tfdeepfake: {printable(str(error))}", file=sys.stderr)


def _by_flag(error, typed):
    """The error with an argument named as the user typed it: `--batch-size` where the library says `batch_size`."""
    flag = "--" + error.subject.replace("_", "-")
    if any(word.partition("=")[0] == flag for word in typed):
        return InputError(flag, error.problem, error.remedy)
    return error


if __name__ == "__main__":
    sys.exit(main())
