"""Near-duplicate images: a perceptual hash of each, and all near pairs of two long lists of hashes.

The hash holds the signs of an image's lowest cosine frequencies, which re-encoding, another size, brightness and
contrast hardly change (the idea of "pHash", C. Zauner, Implementation and Benchmarking of Perceptual Image Hash
Functions, 2010). It has 256 bits instead of the usual 64, because crops of faces resemble each other.

DISTANCE is measured on face crops of 224 px (MTCNN, 8 frames of each of 36 public clips). Frames of videos encoded
again with CRF 35, halved in size, made brighter or darker are within 48 bits of one of the original's in 92 to 99 % of
cases, with all of that at once in 70 %. Of 627 pairs of different videos, each in seven versions, the only two within
48 bits are of one recording; frames of the next two differ in 71.
"""

import itertools
from collections.abc import Iterator

import numpy as np

WORDS = 4  # of 64 bits; the first holds the 8 x 8 lowest frequencies
SIDE_PX = 64
# Grey levels: signs of an image with a smaller standard deviation are those of noise.
FLAT_STD = 4.0
DISTANCE = 48
# Two hashes are only near when their first words differ in no more bits than this; then one of that word's four
# 16-bit bands differs in no more than _RADIUS, by which they are looked up without comparing all pairs.
FIRST_DISTANCE = 11
_RADIUS = FIRST_DISTANCE // 4
_QUERIES = 2048
_MOST_CANDIDATES = 1 << 21


def image_hash(grey: np.ndarray) -> np.ndarray | None:
    """Perceptual hash.

    Args:
      grey: uint8 [H, W].
    Returns:
      uint64 [WORDS], or None of a flat image: all of those would be alike.
    """
    import cv2

    # By area, so that an image and its enlarged copy give the same small one.
    small = cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    if small.std() < FLAT_STD:
        return None
    signs = cv2.dct(small)[:16, :16] > 0
    signs[0, 0] = False  # the mean brightness
    blocks = (signs[:8, :8], signs[:8, 8:], signs[8:, :8], signs[8:, 8:])
    return np.concatenate([np.packbits(block) for block in blocks]).view(np.uint64)


def near_pairs(
    queries: np.ndarray, base: np.ndarray, distance: int = DISTANCE
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All pairs of near hashes, without comparing each with each.

    Args:
      queries, base: uint64 [Q, WORDS] and [B, WORDS].
      distance: bits in which near hashes differ at most; and in the first words at most `FIRST_DISTANCE`.
    Yields:
      (rows of queries, rows of base, distances), int64 [N] each, in pieces of at most some millions; each pair once.
    """
    if not len(queries) or not len(base):
        return
    masks = [sum(1 << bit for bit in bits) for n in range(_RADIUS + 1) for bits in itertools.combinations(range(16), n)]
    masks = np.array(masks, np.uint16)
    query_first, base_first = (np.ascontiguousarray(x[:, 0]) for x in (queries, base))
    query_bands, base_bands = (x.view(np.uint16).reshape(-1, 4) for x in (query_first, base_first))
    for band in range(4):
        order = np.argsort(base_bands[:, band], kind="stable")
        sorted_first = base_first[order]
        start = np.concatenate([[0], np.cumsum(np.bincount(base_bands[:, band], minlength=1 << 16))])
        for at in range(0, len(queries), _QUERIES):
            keys = query_bands[at : at + _QUERIES, band, None] ^ masks
            for query, place in _candidates(start[keys], start[keys.astype(np.int64) + 1]):
                query += at
                close = np.bitwise_count(query_first[query] ^ sorted_first[place]) <= FIRST_DISTANCE
                query, candidates = query[close], order[place[close]]
                bits = np.bitwise_count(queries[query] ^ base[candidates]).sum(-1, dtype=np.int64)
                differing = np.bitwise_count(query_bands[query, :band] ^ base_bands[candidates, :band])
                # A pair that an earlier band has yielded is not yielded again.
                new = (bits <= distance) & (differing > _RADIUS).all(-1)
                if new.any():
                    yield query[new], candidates[new], bits[new]


def _candidates(first, end):
    """Pieces of (query, place): row q of `first` and `end`, int64 [Q, masks], has ranges of places."""
    counts = (end - first).ravel()
    first, total = first.ravel(), np.cumsum(counts)
    before = 0
    while before < len(counts):
        done = total[before - 1] if before else 0
        after = max(before + 1, int(np.searchsorted(total, done + _MOST_CANDIDATES, side="right")))
        number = counts[before:after]
        within = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
        row = np.repeat(np.arange(before, after), number)
        yield row // (len(counts) // len(end)), first[row] + within
        before = after
