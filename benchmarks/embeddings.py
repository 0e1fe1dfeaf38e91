"""Reducers and clusterings of embeddings beside each other (P1 Figs. 3.7, 3.10, 3.11): seconds, and peak memory.

    python benchmarks/embeddings.py 1000 3000
    python benchmarks/embeddings.py 130000 --without-tsne

Points are drawn around 100 places in 512 dimensions, as `tfdeepfake embed` would get them. --without-tsne clusters the
first three principal components.
"""

import argparse
import resource
import time

import numpy as np

from tfdeepfake.embeddings import clusters


def drawn(count, size=512, places=100, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 1, (places, size)).astype(np.float32)
    return centres[rng.integers(0, places, count)] + rng.normal(0, 0.5, (count, size)).astype(np.float32)


def pca_alone(values):
    from sklearn.decomposition import PCA

    start = time.perf_counter()
    places = PCA(3, random_state=0).fit_transform(values)
    return places, time.perf_counter() - start


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("counts", type=int, nargs="+", help="points")
    p.add_argument("--without-tsne", action="store_true")
    args = p.parse_args()
    for count in args.counts:
        values = drawn(count)
        places, seconds = pca_alone(values)
        times = {"PCA to 3 alone": seconds}
        if not args.without_tsne:
            points = clusters.reduce(values)
            places, times = points.places, times | points.seconds
        found = clusters.cluster(places)
        times |= {name: one.seconds for name, one in found.items()}
        print(f"{count} points: " + ", ".join(f"{name} {value:.2f} s" for name, value in times.items()))
        print("  clusters: " + ", ".join(f"{name} {one.count}" for name, one in found.items()))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"  peak memory so far {peak:.0f} MiB, of which the embeddings {values.nbytes / 2**20:.0f}", flush=True)


if __name__ == "__main__":
    main()
