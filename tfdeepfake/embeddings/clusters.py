"""Embeddings to points in space and clusters (P1 3.3): PCA, t-SNE; HDBSCAN, k-means, DBSCAN; purity beside chance.

What each takes is written beside it (P1 Figs. 3.7, 3.10, 3.11). scikit-learn's t-SNE in three dimensions is the
Barnes-Hut one: it holds about 90 neighbours of each point (P = 3 x perplexity, a few hundred MB for 130,000 points) and
takes most of the time. Beyond `LANDMARKS` points it places that many, drawn at random; each other point is put among
the landmarks that are its nearest neighbours by PCA, and belongs to the cluster of the nearest.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

COMPONENTS, PERPLEXITY = 50, 50.0
LEAST_CLUSTER = 5
SMALL = 2_000
# Exact t-SNE of more takes hours; every point beyond is placed among its neighbours.
LANDMARKS, NEIGHBOURS = 5_000, 5


class Points(NamedTuple):
    """Embeddings in space.

    Args:
      reduced: float32 [N, C], by PCA.
      places: float32 [N, 3], by t-SNE of them.
      pca_places: float32 [N, 3], the first three components.
      explained: part of the variance that the C components hold, 0..1.
      perplexity: that was used; less than asked for where there are few points.
      seconds: {name of the step: s}.
      landmarks: int64 [M], the points that t-SNE placed itself; all N where there are no others.
      nearest: int64 [N], for each point which of these M is its nearest.
    """

    reduced: np.ndarray
    places: np.ndarray
    pca_places: np.ndarray
    explained: float
    perplexity: float
    seconds: dict
    landmarks: np.ndarray
    nearest: np.ndarray


def reduce(
    values: np.ndarray,
    components: int = COMPONENTS,
    perplexity: float = PERPLEXITY,
    seed: int = 0,
    landmarks: int = LANDMARKS,
) -> Points:
    """PCA, then t-SNE to three dimensions of what it leaves (P1 3.3.2.2).

    Args:
      values: float32 [N, D], N of 5 or more.
      components: C of PCA, no more than N and D allow.
      perplexity: of t-SNE, about how many neighbours each point heeds; no more than (N - 1) / 3.
      seed: of both.
      landmarks: points that t-SNE itself places at most; the others are put among them.
    Returns:
      Points.
    Raises:
      ValueError: fewer than 5 points.
    """
    if len(values) < 5:
        raise ValueError(f"values needs 5 points or more, got {len(values)}.")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    seconds, components = {}, min(components, *values.shape)
    chosen = np.arange(len(values))
    if len(values) > landmarks:
        chosen = np.sort(np.random.default_rng(seed).choice(len(values), max(landmarks, 5), replace=False))
    perplexity = min(perplexity, (len(chosen) - 1) / 3)
    start = time.perf_counter()
    pca = PCA(components, random_state=seed).fit(values)
    reduced = pca.transform(values).astype(np.float32)
    seconds[f"PCA to {components}"] = time.perf_counter() - start
    start = time.perf_counter()
    tsne = TSNE(3, perplexity=perplexity, init="pca" if components >= 3 else "random", random_state=seed)
    # Threads wait for each other in each of its 1,000 steps: for few points that takes longer than it saves.
    with threadpool_limits(1 if len(chosen) < SMALL else None):
        places = tsne.fit_transform(reduced[chosen]).astype(np.float32)
    several = len(chosen) < len(values)
    seconds[f"t-SNE to 3 of {len(chosen)}" if several else "t-SNE to 3"] = time.perf_counter() - start
    nearest = np.arange(len(values))
    if several:
        start = time.perf_counter()
        places, nearest = _among(reduced, chosen, places)
        seconds["places of the others"] = time.perf_counter() - start
    three = np.zeros((len(values), 3), np.float32)
    three[:, : min(3, components)] = reduced[:, :3]
    explained = float(pca.explained_variance_ratio_.sum())
    return Points(reduced, places, three, explained, float(perplexity), seconds, chosen, nearest)


def _among(reduced, chosen, places):
    """(places [N, 3] of all points, number of the nearest landmark of each), from the places of the landmarks."""
    from sklearn.neighbors import NearestNeighbors

    count = min(NEIGHBOURS, len(chosen))
    away, near = NearestNeighbors(n_neighbors=count).fit(reduced[chosen]).kneighbors(reduced)
    # As t-SNE weighs neighbours: by a bell whose width is the distance to the farthest of them.
    weight = np.exp(-0.5 * (away / np.maximum(away[:, -1:], 1e-12)) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)
    out = np.einsum("nk,nkd->nd", weight, places[near]).astype(np.float32)
    nearest = near[:, 0]
    out[chosen], nearest[chosen] = places, np.arange(len(chosen))
    return out, nearest


class Clustering(NamedTuple):
    """Which cluster each point is in.

    Args:
      clusters: int64 [N], from 0, the largest first; -1 is noise, in no cluster.
      seconds: that it took.
      settings: what it was given, as text.
    """

    clusters: np.ndarray
    seconds: float
    settings: str

    @property
    def count(self) -> int:
        return int(self.clusters.max()) + 1


def cluster_all(points: Points, least: int = LEAST_CLUSTER, seed: int = 0) -> dict[str, Clustering]:
    """`cluster` of the landmarks; every other point belongs where its nearest landmark does."""
    own = cluster(points.places[points.landmarks], least, seed)
    if len(points.landmarks) == len(points.places):
        return own
    return {
        name: one._replace(clusters=_by_size(one.clusters[points.nearest]), settings=f"{one.settings}, of landmarks")
        for name, one in own.items()
    }


def cluster(places: np.ndarray, least: int = LEAST_CLUSTER, seed: int = 0) -> dict[str, Clustering]:
    """Clusters of points by three algorithms.

    HDBSCAN needs no number of clusters (P1 3.3.3.1); k-means gets the number that HDBSCAN finds. DBSCAN's radius is
    that within which nine of ten points have `least` neighbours.

    Args:
      places: float32 [N, 3].
      least: points of a cluster at least.
      seed: of k-means.
    Returns:
      {"hdbscan", "kmeans", "dbscan": Clustering}.
    """
    from sklearn.cluster import DBSCAN, HDBSCAN, KMeans
    from sklearn.neighbors import NearestNeighbors

    least = min(least, max(2, len(places) // 2))
    found = {"hdbscan": _timed(HDBSCAN(min_cluster_size=least, copy=True).fit_predict, places, f"at least {least}")}
    k = max(2, min(found["hdbscan"].count, len(places)))
    found["kmeans"] = _timed(KMeans(k, n_init=3, random_state=seed).fit_predict, places, f"k = {k}")
    distances = NearestNeighbors(n_neighbors=least).fit(places).kneighbors(places)[0][:, -1]
    radius = max(float(np.percentile(distances, 90)), 1e-6)
    found["dbscan"] = _timed(DBSCAN(eps=radius, min_samples=least).fit_predict, places, f"radius {radius:.3g}")
    return found


def _timed(fit: Callable, places, settings):
    start = time.perf_counter()
    numbers = np.asarray(fit(places), np.int64)
    seconds = time.perf_counter() - start
    return Clustering(_by_size(numbers), seconds, settings)


def _by_size(numbers):
    """The same clusters, numbered from the largest."""
    names, counts = np.unique(numbers[numbers >= 0], return_counts=True)
    order = {int(name): k for k, name in enumerate(names[np.argsort(-counts, kind="stable")])}
    return np.array([order.get(int(number), -1) for number in numbers], np.int64)


class Purity(NamedTuple):
    """How far clusters hold one kind.

    Args:
      value: part of the clustered points that are of their cluster's commonest kind, 0..1; None without clusters.
      chance: the same with kinds dealt out at random, mean over 50 deals; interval: (low, high), 95 % of them.
      kinds: how many there are.
      known: part of the clustered points whose kind is known; the others are left out.
      reason: why there is no value.
    """

    value: float | None
    chance: float | None
    interval: tuple[float, float] | None
    kinds: int
    known: float
    reason: str = ""


def purity(clusters: np.ndarray, kinds: np.ndarray, deals: int = 50, seed: int = 0) -> Purity:
    """Purity of clusters beside chance; small clusters are pure by themselves, and chance tells how far.

    Args:
      clusters: int64 [N], -1 for noise, which does not count.
      kinds: object [N], texts; "" where not known.
      deals: random ones; seed: of them.
    """
    clustered = clusters >= 0
    use = clustered & (kinds != "")
    known = float(use.sum() / max(1, clustered.sum()))
    names, numbers = np.unique(kinds[use].astype(str), return_inverse=True)
    if not use.any():
        return Purity(None, None, None, 0, known, "no clustered point has a kind")
    if len(names) < 2:
        return Purity(None, None, None, 1, known, f"all are {names[0]}")
    groups = np.unique(clusters[use], return_inverse=True)[1]

    def value(of):
        table = np.bincount(groups * len(names) + of, minlength=(groups.max() + 1) * len(names))
        return float(table.reshape(-1, len(names)).max(axis=1).sum() / len(of))

    rng = np.random.default_rng(seed)
    dealt = [value(rng.permutation(numbers)) for _ in range(deals)]
    low, high = np.percentile(dealt, (2.5, 97.5))
    return Purity(value(numbers), float(np.mean(dealt)), (float(low), float(high)), len(names), known)
