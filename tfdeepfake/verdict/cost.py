"""What judging costs, said first: faces to score, multiply-accumulates for each, and the time they will take here."""

from collections.abc import Callable
from typing import Any


def cost_text(count: int, unit: str, gmacs: float | None, seconds: float | None) -> str:
    """Such as "32 faces to score, 15.1 GMACs each, about 10 s".

    Args:
      count: inputs of the network that are still to score.
      unit: what one is, "face" or "clip".
      gmacs: 10^9 multiply-accumulates for one, None where not known.
      seconds: they will take, None before anything was measured.
    """
    parts = [f"{count} {unit}{'' if count == 1 else 's'} to score"]
    if gmacs:
        parts.append(f"{gmacs:.3g} GMACs each" if count != 1 else f"{gmacs:.3g} GMACs")
    if seconds is not None:
        parts.append("less than a second" if seconds < 1 else f"about {seconds:.0f} s")
    return ", ".join(parts)


def on_bar(bar: Any, unit: str, gmacs: float | None) -> Callable[[int, int, float | None], None]:
    """A function for `inference.score` that says the cost behind a tqdm bar; its first batch measures this machine.

    Args:
      bar: tqdm bar; one that is not shown is left alone.
      unit, gmacs: see `cost_text`.
    """
    measured = {"inputs": 0, "seconds": 0.0, "batches": 0}

    def tell(done, total, seconds):
        if bar.disable:
            return
        if seconds is not None:
            if measured["batches"] == 1:  # a network's first batch may have been compiled: the others tell better
                measured.update(inputs=0, seconds=0.0)
            measured["batches"] += 1
            measured["inputs"] += done - tell.done
            measured["seconds"] += seconds
        tell.done = done
        each = measured["seconds"] / measured["inputs"] if measured["inputs"] else None
        left = total - done
        text = cost_text(left, unit, gmacs, None if each is None else left * each) if left else ""
        bar.set_postfix_str(text)

    tell.done = 0
    return tell
