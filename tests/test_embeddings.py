"""`tfdeepfake embed`: embeddings in stored order, points and clusters, purity beside chance, a page with its script."""

import base64
import csv
import hashlib
import json
import re

import keras
import numpy as np
import pytest

from tfdeepfake.cli.main import main
from tfdeepfake.embeddings import clusters
from tfdeepfake.embeddings.features import Embeddings
from tfdeepfake.embeddings.page import write_page
from tfdeepfake.model_folder import write_recipe
from tfdeepfake.recipe import DataRecipe, Recipe


def groups(count=4, each=20, size=12, seed=0):
    """float32 [count * each, size] around `count` places far apart, and the number of each."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(count), each)
    return (rng.normal(0, 20, (count, size))[numbers] + rng.normal(0, 0.5, (len(numbers), size))).astype(
        np.float32
    ), numbers


@pytest.fixture(scope="module")
def grouped():
    values, numbers = groups()
    return values, numbers, clusters.reduce(values, perplexity=8)


def test_groups_that_are_apart_are_found_by_all_three():
    places, numbers = groups(size=3)
    kinds = np.array([f"person {n}" for n in numbers], object)
    for name, one in clusters.cluster(places).items():
        pure = clusters.purity(one.clusters, kinds)
        assert one.count == 4 and pure.value == 1 and pure.interval[1] < 0.6, name
        sizes = np.bincount(one.clusters[one.clusters >= 0])
        assert (np.diff(sizes) <= 0).all(), "the largest cluster comes first"


def test_neighbours_stay_neighbours(grouped):
    """PCA keeps all of 12 numbers; in space nine of ten points lie next to one of their own group."""
    _, numbers, points = grouped
    assert points.reduced.shape == (80, 12) and points.places.shape == (80, 3) and points.explained > 0.999
    away = np.linalg.norm(points.places[:, None] - points.places[None], axis=-1) + 1e9 * np.eye(80)
    assert (numbers[away.argmin(axis=1)] == numbers).mean() > 0.9


def test_perplexity_and_components_give_way_to_few_points():
    points = clusters.reduce(groups(2, 4, 3)[0])
    assert points.perplexity == pytest.approx(7 / 3) and points.reduced.shape == (8, 3)
    with pytest.raises(ValueError, match="5 points"):
        clusters.reduce(np.zeros((4, 3), np.float32))


def test_beyond_the_landmarks_points_lie_among_their_neighbours():
    values, numbers = groups(4, 60)
    points = clusters.reduce(values, perplexity=8, landmarks=60)
    assert len(points.landmarks) == len(np.unique(points.landmarks)) == 60 and points.places.shape == (240, 3)
    assert (numbers[points.landmarks[points.nearest]] == numbers).all()
    np.testing.assert_array_equal(points.nearest[points.landmarks], np.arange(60))
    away = np.linalg.norm(points.places[:, None] - points.places[None], axis=-1) + 1e9 * np.eye(240)
    assert (numbers[away.argmin(axis=1)] == numbers).mean() > 0.95
    for name, one in clusters.cluster_all(points).items():
        assert len(one.clusters) == 240 and "of landmarks" in one.settings, name
        assert (one.clusters == one.clusters[points.landmarks][points.nearest]).all()
        assert (np.diff(np.bincount(one.clusters[one.clusters >= 0])) <= 0).all(), "the largest cluster comes first"


def test_purity_stands_beside_that_of_kinds_dealt_out():
    rng = np.random.default_rng(0)
    of = rng.integers(0, 10, 400)
    unrelated = clusters.purity(of, rng.choice(np.array(["a", "b"], object), 400))
    assert unrelated.interval[0] - 0.02 < unrelated.value < unrelated.interval[1] + 0.02
    assert clusters.purity(of, np.array([f"{n % 2}" for n in of], object)).value == 1
    half = np.where(np.arange(400) % 2, "", "a").astype(object)
    half[0] = "b"
    assert clusters.purity(of, half).known == pytest.approx(0.5)
    assert "all are" in clusters.purity(of, np.full(400, "a", object)).reason
    assert clusters.purity(np.full(5, -1), np.full(5, "a", object)).value is None


def test_the_page_holds_its_own_script_and_no_name_ends_it(grouped, tmp_path):
    values, numbers, points = grouped
    names = np.array([f"</script><b>{n}" for n in numbers], object)
    keys = {name: names for name in ("data_set", "method", "video", "source")}
    rows = Embeddings(values, (numbers % 2).astype(np.int8), keys, {})
    found = clusters.cluster(points.places)
    purity = {"label": clusters.purity(numbers, names)._asdict()}
    about = {
        "network": "x", "data": "y", "split": "test", "num_points": 80, "num_landmarks": 80, "num_examples": 80,
        "embedding_size": 12,
        "variance_kept": 1.0, "perplexity": 8.0, "seconds": points.seconds,
        "clusterings": {name: {"clusters": 1, "noise": 0.0, "settings": "", "purity": purity} for name in found},
    }  # fmt: skip
    write_page(tmp_path / "index.html", about, rows, points, found, [("a.jpg", np.zeros((8, 16, 3), np.uint8))])
    page = (tmp_path / "index.html").read_text()
    assert "http://" not in page and "https://" not in page and page.count("</script>") == 2
    data = json.loads(re.search(r'id="points">(.*?)</script>', page, re.S)[1])
    assert len(data["places"]) == 240 and sum(abs(value) <= 1000 for value in data["places"]) > 220
    assert set(data["kinds"]) == {"label", "method", "identity", *(f"cluster ({name})" for name in found)}
    script = re.search(r"<script>(.*)</script>", page, re.S)[1]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in page.split("<title>")[0]


def test_embed_from_the_command_line(tmp_path, capsys):
    """Every example once, in stored order, with its keys; the embeddings are those of the network."""
    from support import tiny_networks
    from support.prepared import write_prepared

    from tfdeepfake.data.batches import pipeline
    from tfdeepfake.model_folder import save_model
    from tfdeepfake.recipe import Recipe

    tiny_networks.register()
    data_dir, name = write_prepared(tmp_path / "data")
    prepared = pipeline.open_data(name, data_dir)
    keras.utils.set_random_seed(0)
    model = tiny_networks.tiny_clip()
    save_model(tmp_path / "model", model, Recipe("tiny_clip", {}, prepared.recipe))
    given = [
        "--data",
        name,
        "--data-dir",
        data_dir,
        "--out",
        str(tmp_path / "out"),
        "--batch-size",
        "3",
        "--least",
        "2",
    ]
    assert main(["embed", str(tmp_path / "model"), *given]) == 0
    out = tmp_path / "out"
    arrays, about = np.load(out / "embeddings.npz"), json.loads((out / "embeddings.json").read_text())
    part = keras.Model(model.input, model.get_layer("embedding").output)
    (inputs, label, keys), *_ = pipeline.scoring_batches(
        prepared, "test", "clip", 8, with_keys=True
    ).as_numpy_iterator()
    np.testing.assert_allclose(arrays["embeddings"], part.predict_on_batch(inputs), atol=1e-5)
    rows = list(csv.DictReader(open(out / "clusters.csv")))
    assert [row["video"] for row in rows] == [video.decode() for video in keys["video"]]
    assert [int(row["label"]) for row in rows] == label[:, 0].astype(int).tolist()
    assert about["num_points"] == about["num_examples"] == 8 and about["embedding_size"] == 8
    assert set(about["clusterings"]["hdbscan"]["purity"]) == {"label", "method", "identity"}
    assert all((out / sheet).exists() for sheet in about["sheets"]) and (out / "index.html").exists()
    printed = capsys.readouterr().out
    assert "t-SNE" in printed and "by label" in printed
    assert main(["embed", str(tmp_path / "model"), "--out", str(out)]) == 2
    assert "--data" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["evaluate", "embed", "correlate", "calibrate"])
def test_data_that_are_not_there_are_told_before_weights_are_read(tmp_path, capsys, verb):
    """Those of a large network take longer to read than a slip takes to be told: this folder has none at all."""
    (tmp_path / "model").mkdir()
    write_recipe(tmp_path / "model", Recipe("clip_vit_l14", data=DataRecipe(input_type="frame", num_frames=2)))
    told = ["--data", "video_folder", "--data-dir", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    assert main([verb, str(tmp_path / "model"), *told]) == 2
    assert "video_folder: is not prepared below" in capsys.readouterr().err
