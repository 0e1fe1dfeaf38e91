"""Perceptual hashes of images, and the search for near ones."""

import cv2
import numpy as np
import pytest

from tfds_builders.audit import hashes as duplicates
from tfds_builders.audit.hashes import DISTANCE, FIRST_DISTANCE, WORDS, image_hash, near_pairs


def random_image(seed, side=96):
    """A grey image of random spots, coarse and fine: without fine ones half of the signs are those of noise."""
    rng = np.random.default_rng(seed)
    coarse, fine = (cv2.resize(rng.normal(size=(n, n)), (side, side), interpolation=cv2.INTER_CUBIC) for n in (9, 36))
    return np.clip(128 + 30 * coarse + 25 * fine, 0, 255).astype(np.uint8)


def bits(a, b):
    return int(np.bitwise_count(a ^ b).sum())


@pytest.mark.parametrize(
    "change",
    [
        lambda x: cv2.imdecode(cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_GRAYSCALE),
        lambda x: cv2.resize(x, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        lambda x: cv2.resize(x, (200, 200)),
        lambda x: (x * 0.7 + 40).astype(np.uint8),
        lambda x: cv2.GaussianBlur(x, (0, 0), 1.5),
    ],
)
def test_a_changed_copy_is_near_and_another_image_is_not(change):
    for seed in range(20):
        own = image_hash(change(random_image(seed)))
        assert own.shape == (WORDS,) and own.dtype == np.uint64
        assert bits(own, image_hash(random_image(seed))) <= DISTANCE
        assert bits(own, image_hash(random_image(seed + 1000))) > DISTANCE


def test_flat_images_have_no_hash():
    rng = np.random.default_rng(0)
    assert image_hash(np.full((64, 80), 90, np.uint8)) is None
    assert image_hash(rng.integers(88, 92, (64, 80)).astype(np.uint8)) is None


def hashes(rng, rows):
    return rng.integers(0, 1 << 63, (rows, WORDS), dtype=np.uint64)


@pytest.mark.parametrize("pieces", [1 << 21, 700])
def test_the_search_finds_what_comparing_all_pairs_finds(monkeypatch, pieces):
    monkeypatch.setattr(duplicates, "_MOST_CANDIDATES", pieces)
    monkeypatch.setattr(duplicates, "_QUERIES", 64)
    rng = np.random.default_rng(1)
    queries = hashes(rng, 150)
    base = queries[rng.integers(0, 100, 1200)].copy()
    for row in base:
        for bit in rng.integers(0, 256, rng.integers(0, 80)):
            row[bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    base[:200] = queries[0]  # the same frame many times
    different = np.bitwise_count(queries[:, None] ^ base[None]).astype(int)
    all_bits = different.sum(-1)
    near = (all_bits <= DISTANCE) & (different[..., 0] <= FIRST_DISTANCE)
    pairs = [row for piece in near_pairs(queries, base) for row in zip(*map(np.ndarray.tolist, piece), strict=True)]
    assert len(pairs) == near.sum() > 400 and near.sum() < all_bits.size / 10
    assert {(q, b) for q, b, _ in pairs} == set(zip(*(x.tolist() for x in np.nonzero(near)), strict=True))
    assert all(all_bits[q, b] == d for q, b, d in pairs)


def test_nothing_is_near_an_empty_list():
    rng = np.random.default_rng(0)
    assert not list(near_pairs(hashes(rng, 3), hashes(rng, 0))) and not list(near_pairs(hashes(rng, 0), hashes(rng, 3)))
