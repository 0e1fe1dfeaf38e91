"""`tfdeepfake detectors`: published detectors by name, what is known of them, and whether they are here."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfdeepfake.errors import InputError

if TYPE_CHECKING:
    from tfdeepfake.published.fetch import Listed


ACTIONS = ("list", "fetch", "remove")


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("detectors", help="published detectors by name: size, licence, accuracy; fetch, remove")
    p.add_argument("action", nargs="?", choices=ACTIONS, default="list", help="[list]")
    p.add_argument("name", nargs="?", help="which one to fetch or remove")
    p.add_argument("--to", metavar="DIR", help="fetch into this folder, for a machine without a network")
    return p


def run(args: argparse.Namespace) -> None:
    from tfdeepfake.published.fetch import fetch_all
    from tfdeepfake.published.sources import find_published
    from tfdeepfake.verdict import named
    from tfdeepfake.weights.download import size_text

    if args.to is not None and args.action != "fetch":
        raise InputError("--to", f"says where to fetch to; this is {args.action}.", "Leave it out.")
    if args.action == "list":
        print("\n".join(table(args.name)))
        return
    if args.name is None:
        raise InputError(args.action, "needs the name of a detector.", "`tfdeepfake detectors` lists them.")
    if args.action == "fetch":
        for path in fetch_all(args.name, to=args.to, log=print).values():
            print(path)
        if args.to is None and find_published(args.name).is_detector:
            # So that its first verdict starts as the later ones do.
            folder = named.published(args.name, print).ready(print)
            from tfdeepfake.compiled import accelerator, choice

            if not accelerator.has_accelerator():
                choice.compile_ahead(folder, print)
    else:
        print(f"{args.name}: {size_text(named.remove(args.name))} freed.")


def table(name: str | None = None) -> Iterator[str]:
    """Yields the lines of the list: a line of figures for each detector, and two of what is known of it.

    Args:
      name: one of them alone.
    Raises:
      InputError: no detector has this name.
    """
    from tfdeepfake.published.fetch import listing
    from tfdeepfake.published.sources import find_published

    if name is not None:
        find_published(name)
    rows = [row for row in listing() if row.known.is_detector and name in (None, row.source)]
    width = max((len(row.source) for row in rows), default=4)
    columns = f"{{:{width}}}  {{:20}}  {{:>14}}  {{:>6}}  {{}}"
    yield columns.format("name", "network", "size", "GMACs", "here")
    for row in rows:
        known = row.known
        cost = f"{known.gmacs:.3g}" if known.gmacs else "?"
        yield columns.format(row.source, known.network, known.size, cost, here(row))
        yield f"    licence: {known.licence}; data: {known.trained_on} ({known.data_terms})"
        yield f"    accuracy: {known.accuracy or 'nothing stated'}"
    yield "GMACs: 10^9 multiply-accumulates for one face, or one clip of a face. Licence: of the weights; the terms of"
    yield "the data that they were trained on stand in brackets. UNSURE: by the interval of the samples and by faces"
    yield "that were not looked at; limits of blur, size and other measures of a face were measured for none of them."


def here(row: "Listed") -> str:
    """Whether a detector is on this machine: "yes", "fetched", "in part", "3 of 7 files", "no", or by hand."""
    from tfdeepfake.verdict import named

    if named.is_ready(row.source):
        return "yes"
    if row.members:
        count = sum(member.cached is not None and member.cached.is_whole for member in row.members)
        return "fetched" if count == len(row.members) else f"{count} of {len(row.members)} files" if count else "no"
    if row.cached:
        return "fetched" if row.cached.is_whole else "in part"
    return "no" if row.address else "get it by hand: tfdeepfake convert"
