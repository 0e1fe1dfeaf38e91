"""Reducers and clusterings of embeddings beside each other (P1 Figs. 3.7, 3.10, 3.11): seconds, and peak memory.

    python benchmarks/embeddings.py 1000 3000
    python benchmarks/embeddings.py 130000 --size 1792
    python benchmarks/embeddings.py 130000 --without-tsne

Points are drawn around 100 places in 512 dimensions (--size), as `tfdeepfake embed` would get them, and go through its
steps: beyond 5,000 points (--landmarks) t-SNE places these alone. "kept" is the fraction of a thousand points whose
nearest other point in space is of the same place. --without-tsne clusters the first three principal components.
"""

import argparse
import resource
import time

import numpy as np

from tfdeepfake.embeddings import clusters


def drawn(count, size=512, places=100, seed=0):
    rng = np.random.default_rng(seed)
    centres, of = rng.normal(0, 1, (places, size)).astype(np.float32), rng.integers(0, places, count)
    values = rng.standard_normal((count, size), np.float32)
    values *= 0.5
    values += centres[of]
    return values, of


def kept(places, of, count=1000):
    from sklearn.neighbors import NearestNeighbors

    chosen = np.random.default_rng(1).choice(len(places), min(count, len(places)), replace=False)
    near = NearestNeighbors(n_neighbors=2).fit(places).kneighbors(places[chosen])[1][:, 1]
    return float((of[near] == of[chosen]).mean())


def pca_alone(values):
    from sklearn.decomposition import PCA

    start = time.perf_counter()
    places = PCA(3, random_state=0).fit_transform(values)
    return places, time.perf_counter() - start


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("counts", type=int, nargs="+", help="points")
    p.add_argument("--without-tsne", action="store_true")
    p.add_argument("--size", type=int, default=512, help="numbers of an embedding [512]")
    p.add_argument("--landmarks", type=int, default=clusters.LANDMARKS, help="points that t-SNE places itself [5000]")
    args = p.parse_args()
    for count in args.counts:
        (values, of), used = drawn(count, args.size), time.process_time()
        places, seconds = pca_alone(values)
        times = {"PCA to 3 alone": seconds}
        if args.without_tsne:
            clusterings = clusters.cluster(places)
        else:
            points = clusters.reduce(values, landmarks=args.landmarks)
            places, times = points.places, times | points.seconds
            clusterings = clusters.cluster_all(points)
        times |= {name: one.seconds for name, one in clusterings.items()}
        print(f"{count} points: " + ", ".join(f"{name} {value:.2f} s" for name, value in times.items()))
        counted = ", ".join(f"{name} {one.count}" for name, one in clusterings.items())
        print(f"  clusters: {counted}; kept {kept(places, of):.3f}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"  {time.process_time() - used:.0f} s of processor in all")
        print(f"  peak memory so far {peak:.0f} MiB, of which the embeddings {values.nbytes / 2**20:.0f}", flush=True)


if __name__ == "__main__":
    main()
