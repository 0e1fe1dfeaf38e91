"""The page of embeddings: a plot that turns, drawn by a script of its own inside the page."""

import base64
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from tfdeepfake.embeddings.clusters import Clustering, Points
from tfdeepfake.embeddings.features import Embeddings
from tfdeepfake.report import html, palette
from tfdeepfake.vocabulary import DRAWN_DATA

# Points of the plot, drawn at random where there are more: a browser turns so many smoothly, and they take 1 MB.
PLOTTED = 12_000
SHEETS_SHOWN, SHEET_SIDE_PX = 24, 860
NOISE = "no cluster"


def write_page(
    path: Path | str,
    about: dict,
    rows: Embeddings,
    points: Points,
    clusterings: dict[str, Clustering],
    sheets: list[tuple],
) -> None:
    """Writes the page.

    Args:
      path: index.html.
      about: content of embeddings.json.
      rows, points, clusterings: of all points.
      sheets: [(file, uint8 [H, W, 3])] of HDBSCAN's clusters, the largest first.
    """
    from markupsafe import Markup

    some = np.arange(len(rows.values))
    if len(some) > PLOTTED:
        some = np.sort(np.random.default_rng(0).choice(some, PLOTTED, replace=False))
    kinds = {f"cluster ({name})": _cluster_names(one.clusters) for name, one in clusterings.items()}
    kinds = rows.groups() | kinds
    script = html.environment().loader.get_source(html.environment(), "turning_plot.js")[0]
    data = {
        "places": _whole_numbers(points.places[some]),
        "kinds": {name: _coded(texts[some]) for name, texts in kinds.items()},
        "noise": NOISE,
        "own": {name: palette.LIGHT[name] for name in ("fake", "real")},
    }
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    html.write_page(
        path,
        "embeddings.html",
        title="What the network makes of these faces",
        about=about,
        is_drawn=about["data"].partition("/")[0].partition(":")[0] == DRAWN_DATA,
        kinds=list(kinds),
        num_plotted=len(some),
        # "<" could end the element that the text stands in.
        points=Markup(json.dumps(data).replace("<", "\\u003c")),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        sheets=[
            {
                "image": html.embedded(Image.fromarray(image), SHEET_SIDE_PX, 78),
                "text": describe(rows, clusterings["hdbscan"].clusters == number),
            }
            for number, (_, image) in enumerate(sheets[:SHEETS_SHOWN])
        ],
    )


def _cluster_names(clusters):
    return np.array([NOISE if number < 0 else f"{number + 1}" for number in clusters], object)


def _whole_numbers(places):
    """Places centred and scaled to -1000..1000, one after the other."""
    centred = places - np.median(places, axis=0)
    # A few points far off shall not make the others small: they lie outside, a step away.
    radius = np.percentile(np.linalg.norm(centred, axis=1), 97)
    return np.rint(centred * (850 / max(float(radius), 1e-9))).astype(int).ravel().tolist()


def _coded(texts):
    """{"names": each text once, the commonest first; "of": number of each point's}."""
    names = [name for name, _ in Counter(texts.tolist()).most_common()]
    number = {name: k for k, name in enumerate(names)}
    return {"names": [name or "not known" for name in names], "of": [number[text] for text in texts.tolist()]}


def describe(rows: Embeddings, members: np.ndarray) -> str:
    """What a cluster holds: its size, and the commonest kind of each grouping with its part.

    Args:
      rows: all embeddings.
      members: bool [N].
    """
    parts = [f"{int(members.sum())} points"]
    for name, kinds in rows.groups().items():
        (kind, count), *_ = Counter(kinds[members].tolist()).most_common(1)
        parts.append(f"{name} {kind or 'not known'} {100 * count / members.sum():.0f} %")
    return ", ".join(parts)
