"""A network's embeddings of a split in a folder: arrays, clusters, contact sheets, a page with a plot that turns."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake import model_inputs
from tfdeepfake.embeddings.clusters import COMPONENTS, LANDMARKS, PERPLEXITY, Clustering, cluster_all, purity, reduce
from tfdeepfake.embeddings.features import Embeddings, embed_data, thumbnails
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.run import check_data, open_fitting
from tfdeepfake.files import atomic_path, read_json, write_json
from tfdeepfake.model_folder import find_model_folder, load_model

if TYPE_CHECKING:
    from tfdeepfake.data.batches.prepared import PreparedData

SCHEMA = 1
RESULT, ARRAYS, TABLE, PAGE, SHEETS = "embeddings.json", "embeddings.npz", "clusters.csv", "index.html", "clusters"
# Clusters with a contact sheet, the largest; faces on each.
SHEETS_WRITTEN, FACES = 40, 12


def embed(
    folder: Path | str,
    data: str | None = None,
    split: str = "test",
    data_dir: str | None = None,
    out_dir: Path | str = "embeddings",
    components: int = COMPONENTS,
    perplexity: float = PERPLEXITY,
    num_points: int | None = None,
    landmarks: int = LANDMARKS,
    least: int = 5,
    seed: int = 0,
    batch_size: int = 16,
    log: Callable[[str], None] = print,
) -> dict:
    """Embeddings to PCA, t-SNE and three clusterings, with purity by label, method, identity and subgroup.

    Args:
      folder: saved model folder or run folder.
      data, data_dir: prepared data set and where it lies; the run's own when not given.
      split: of it.
      out_dir: gets index.html, embeddings.npz, clusters.csv, embeddings.json and clusters/ with the contact sheets.
      components, perplexity, seed: see `clusters.reduce`.
      num_points: so many examples, drawn at random, are reduced and clustered; all when not given.
      landmarks: see `clusters.reduce`.
      least: points of a cluster at least.
      batch_size: examples at a time.
      log: called with lines for the user.
    Returns:
      dict, the content of embeddings.json.
    Raises:
      InputError: no model or data, data of another recipe than the network's, or fewer than 5 examples.
    """
    folder, out_dir = Path(folder), Path(out_dir)
    own = folder / "config.json"
    if data is None and own.is_file():
        config = read_json(own, "Give the data set with --data NAME.")
        data, data_dir = config.get("data"), data_dir or config.get("data_dir")
    if data is None:
        raise InputError(folder, "is a saved model folder and names no data set.", "Add --data NAME.")
    check_data(folder, data, data_dir)
    model, recipe = load_model(find_model_folder(folder))
    reads = model_inputs.input_type(model), model_inputs.wants_flow(model)
    prepared = open_fitting(data, data_dir, recipe, *reads)
    rows = embed_data(model, prepared, split, batch_size)
    total, numbers = len(rows.values), np.arange(len(rows.values))
    if num_points is not None and num_points < total:
        numbers = np.sort(np.random.default_rng(seed).choice(total, num_points, replace=False))
        rows = rows.chosen(numbers)
    if len(numbers) < 5:
        raise InputError(prepared.version, f"has {len(numbers)} examples in {split!r}.", "At least 5 are needed.")
    log(f"{len(numbers)} of {total} embeddings of {rows.values.shape[1]} numbers; reducing them ...")
    points = reduce(rows.values, components, perplexity, seed, landmarks)
    clusterings = cluster_all(points, least, seed)
    about = {
        "schema": SCHEMA,
        "model": str(folder),
        "network": recipe.network,
        "data": prepared.version,
        "split": split,
        "num_examples": total,
        "num_points": len(numbers),
        "num_landmarks": len(points.landmarks),
        "embedding_size": int(rows.values.shape[1]),
        "variance_kept": points.explained,
        "perplexity": points.perplexity,
        "seconds": points.seconds | {name: one.seconds for name, one in clusterings.items()},
        "clusterings": {name: _summary(one, rows) for name, one in clusterings.items()},
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    _write_arrays(out_dir, rows, points, clusterings)
    sheets = _write_sheets(out_dir, model, prepared, split, numbers, clusterings["hdbscan"], points.places)
    about["sheets"] = [name for name, _ in sheets]
    write_json(out_dir / RESULT, about)
    from tfdeepfake.embeddings.page import write_page

    write_page(out_dir / PAGE, about, rows, points, clusterings, sheets)
    for line in lines_of(about):
        log(line)
    log(f"The page: {out_dir / PAGE}")
    return about


def _summary(clustering: Clustering, rows: Embeddings):
    by_kind = {name: purity(clustering.clusters, kinds)._asdict() for name, kinds in rows.groups().items()}
    return {
        "clusters": clustering.count,
        "noise": float((clustering.clusters < 0).mean()),
        "settings": clustering.settings,
        "seconds": clustering.seconds,
        "purity": by_kind,
    }


def _write_arrays(out_dir, rows, points, clusterings):
    numbered = {f"cluster_{name}": one.clusters for name, one in clusterings.items()}
    with atomic_path(out_dir / ARRAYS) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(
            stream, embeddings=rows.values, places=points.places, pca=points.reduced, label=rows.labels, **numbered
        )
    columns = {**rows.keys, "label": rows.labels} | rows.subgroups | numbered
    with atomic_path(out_dir / TABLE) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def _write_sheets(out_dir, model, prepared: "PreparedData", split, numbers, clustering, places):
    """[(file name, uint8 [H, W, 3])] of the largest clusters: the faces nearest to the middle of each."""
    from tfdeepfake.data.video.write import write_image

    wanted = {}
    for number in range(min(clustering.count, SHEETS_WRITTEN)):
        members = np.flatnonzero(clustering.clusters == number)
        away = np.linalg.norm(places[members] - places[members].mean(axis=0), axis=1)
        wanted[number] = numbers[members[np.argsort(away, kind="stable")[:FACES]]].tolist()
    images = thumbnails(model, prepared, split, {row for rows in wanted.values() for row in rows})
    sheets = []
    for number, rows in wanted.items():
        name = f"{SHEETS}/cluster_{number + 1:03d}.jpg"
        image = np.concatenate([images[row] for row in rows], axis=1)
        (out_dir / SHEETS).mkdir(exist_ok=True)
        write_image(out_dir / name, image)
        sheets.append((name, image))
    return sheets


def lines_of(about: dict) -> list[str]:
    """Clusterings, purity and times as text."""
    lines = [f"{name:12} {seconds:8.2f} s" for name, seconds in about["seconds"].items()]
    for name, one in about["clusterings"].items():
        some = "1 cluster" if one["clusters"] == 1 else f"{one['clusters']} clusters"
        lines.append(f"{name}: {some} ({one['settings']}), {100 * one['noise']:.1f} % noise")
        for kind, value in one["purity"].items():
            if value["value"] is None:
                lines.append(f"  by {kind}: undefined ({value['reason']})")
                continue
            low, high = value["interval"]
            chance = f"chance {value['chance']:.3f} [{low:.3f}, {high:.3f}]"
            lines.append(f"  by {kind}: {value['value']:.3f}, {chance}, {value['kinds']} kinds")
    return lines
