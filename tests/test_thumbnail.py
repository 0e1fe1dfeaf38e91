"""Clips in a grid, the mask, the frames' positions; TALL++'s graph block and consistency loss."""

import keras
import numpy as np
import pytest
from keras import ops

from tfdeepfake import losses, models
from tfdeepfake.layers import thumbnail as grid
from tfdeepfake.layers.graph_reasoning import SemanticConsistency, graph_reasoning, semantic_consistency

SWIN = {"embed_dim": 8, "depths": (1, 2), "heads": (1, 2), "windows": (4, 2), "drop_path": 0.0}
TALL = {"input_size": (16, 16), "thumbnail_size": (32, 32), "mask_px": 4, "backbone_args": SWIN}


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()


def random_clip(batch=3, frames=4, height=12, width=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (batch, frames, height, width, 3)).astype(np.float32)


def tiled(clip, **kwargs):
    """Sub-frames side by side as they are, without any resizing."""
    rows, columns = kwargs.get("rows", 2), kwargs.get("columns", 2)
    height, width = clip.shape[2:4]
    size = {"size": (rows * height, columns * width), "tile_size": (height, width)}
    return np.asarray(grid.thumbnail(clip, **size | kwargs))


def cell(image, row, column, height=12, width=16):
    return image[:, row * height : (row + 1) * height, column * width : (column + 1) * width]


def shown(clip, **kwargs):
    """Which frame each cell shows, None for an empty one: rows of the grid."""
    image, rows, columns = tiled(clip, **kwargs), kwargs.get("rows", 2), kwargs.get("columns", 2)

    def which(place):
        numbers = [t for t in range(clip.shape[1]) if np.array_equal(place, clip[:, t])]
        return numbers[0] if numbers else None

    return [[which(cell(image, r, c)) for c in range(columns)] for r in range(rows)]


def test_p4_table_8_layouts():
    clip = random_clip()
    assert shown(clip, rows=4, columns=1) == [[0], [1], [2], [3]]  # (a)
    assert shown(clip, rows=1, columns=4) == [[0, 1, 2, 3]]  # (b)
    assert shown(clip, snake=True) == [[0, 1], [3, 2]]  # (c)
    assert shown(clip) == [[0, 1], [2, 3]]  # (d)


def test_p4_table_9_orders():
    clip = random_clip()
    assert shown(clip, order="reverse") == [[3, 2], [1, 0]]
    assert shown(clip[:, :3], empty=1, fill=(9.0, 8.0, 7.0)) == [[0, 1], [2, None]]
    assert shown(clip[:, :2], empty=2) == [[0, 1], [None, None]]
    image = tiled(clip[:, :3], empty=1, fill=(9.0, 8.0, 7.0))
    assert (cell(image, 1, 1) == [9.0, 8.0, 7.0]).all()
    assert shown(clip[:, :3], empty=1, order="reverse") == [[2, 1], [0, None]]


@pytest.mark.parametrize("side", [3, 4])
def test_p4_table_10_larger_grids(side):
    clip = random_clip(frames=side**2)
    assert sum(shown(clip, rows=side, columns=side), []) == list(range(side**2))


def test_published_resizing():
    """112 px enlarged to 224, tiled to 448, shrunk to 224: each frame weighted 1/8, 3/4, 1/8 along both axes."""
    clip = random_clip(2, 4, 14, 14)
    got = np.asarray(grid.thumbnail(clip, size=(28, 28)))
    blur = 0.75 * np.eye(14) + 0.125 * (np.eye(14, k=1) + np.eye(14, k=-1))
    blur[0, 0] = blur[-1, -1] = 0.875  # what would come from beyond the frame comes from its edge
    for frame, (r, c) in enumerate(grid.cells(2, 2)):
        expected = np.einsum("ph,bhwc,qw->bpqc", blur, clip[:, frame], blur)
        np.testing.assert_allclose(cell(got, r, c, 14, 14), expected, rtol=1e-4, atol=1e-3)


def test_no_downsampling_keeps_every_pixel():
    clip = random_clip(height=16, width=16)
    image = np.asarray(grid.thumbnail(clip, size=(32, 32), tile_size=(16, 16)))
    np.testing.assert_array_equal(cell(image, 1, 0, 16, 16), clip[:, 2])


@pytest.mark.parametrize(
    "frames, arguments, message",
    [
        (
            3,
            {},
            r"needs rows \* columns = 2 \* 2 = 4 frames, got 3 \(shape \(8, 3, 112, 112, 3\)\): rows=1, columns=3 w",
        ),
        (
            4,
            {"empty": 1},
            r"clip needs rows \* columns - empty = 2 \* 2 - 1 = 3 frames, got 4 .* rows=2, columns=2 would hold",
        ),
        (4, {"rows": 0}, "rows needs a positive integer, got 0"),
        (4, {"order": "backwards"}, "order needs one of .*'backwards'"),
        (4, {"empty": 4}, "empty needs 0 to 3 of the 4 cells, got 4"),
        (4, {"mask_px": -1}, "mask_px needs a whole number"),
    ],
)
def test_wrong_arguments_are_refused(frames, arguments, message):
    with pytest.raises(ValueError, match=message):
        grid.thumbnail(keras.KerasTensor((8, frames, 112, 112, 3)), **arguments)


def test_a_network_says_how_many_frames_it_needs():
    with pytest.raises(ValueError, match=r"rows \* columns = 3 \* 3 = 9 frames, got 4"):
        models.build("tall_swin", rows=3, columns=3)
    with pytest.raises(ValueError, match="backbone needs one of .*'vgg'"):
        models.build("tall_plus_plus", backbone="vgg")
    with pytest.raises(ValueError, match="window of 14 does not divide the map of 75 x 75|multiples of 32 px"):
        models.build("tall_swin", thumbnail_size=(300, 300))


def test_mask_is_one_square_per_clip_at_one_place_in_training_only():
    clip = 1 + random_clip(64, 4, 20, 24)  # no pixel is 0
    layer = grid.FrameMask(6, (0.0, 0.0, 0.0), seed=1)
    np.testing.assert_array_equal(layer(clip), clip)
    masked = np.asarray(layer(clip, training=True))
    gone = (masked == 0).all(-1)
    np.testing.assert_array_equal(masked[~gone], clip[~gone])
    assert (gone == gone[:, :1]).all(), "frames of a clip are masked at different places"
    sides = gone[:, 0].any(2).sum(1), gone[:, 0].any(1).sum(1)
    areas = gone[:, 0].sum((1, 2))
    np.testing.assert_array_equal(areas, sides[0] * sides[1])
    assert areas.max() == 36 and areas.min() >= 1  # cut off at the lower and right edge
    starts = gone[:, 0].any(2).argmax(1)
    assert len(set(starts)) > 10, "clips share their place"
    again = grid.FrameMask(6, (0.0, 0.0, 0.0), seed=1)
    np.testing.assert_array_equal(again(clip, training=True), masked)
    assert not np.array_equal(layer(clip, training=True), masked), "the next batch has the same places"


def test_random_order_is_per_clip_and_in_training_only():
    clip = random_clip(32)
    layer = grid.FrameShuffle(seed=0)
    np.testing.assert_array_equal(layer(clip), clip)
    mixed = np.asarray(layer(clip, training=True))
    orders = set()
    for before, after in zip(clip, mixed, strict=True):
        order = tuple(next(t for t in range(4) if np.array_equal(before[t], frame)) for frame in after)
        assert sorted(order) == [0, 1, 2, 3]
        orders.add(order)
    assert len(orders) > 8


def test_mask_and_order_survive_export_of_the_configuration():
    for layer in (grid.FrameMask(5, (1.0, 2.0, 3.0), 4), grid.FrameShuffle(3), grid.FramePosition(3, 2, True)):
        again = layer.__class__.from_config(layer.get_config())
        assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("snake", [False, True])
def test_positions_follow_the_frames(snake):
    layer = grid.FramePosition(2, 2, snake)
    layer.build((None, 4, 6, 5))
    vectors = np.random.default_rng(0).normal(size=(1, 4, 5)).astype(np.float32)
    layer.embedding.assign(vectors)
    added = np.asarray(layer(np.zeros((1, 4, 6, 5), np.float32)))
    for frame, (r, c) in enumerate(grid.cells(2, 2, snake)):
        assert (added[0, 2 * r : 2 * r + 2, 3 * c : 3 * c + 3] == vectors[0, frame]).all()


def test_regions_are_what_the_frames_have_of_a_map():
    x = np.arange(14 * 14, dtype=np.float32).reshape(1, 14, 14, 1)
    regions = np.asarray(grid.cell_regions(x, 2, 2))
    assert regions.shape == (1, 4, 7, 7, 1)
    np.testing.assert_array_equal(regions[0, 1], x[0, :7, 7:])
    snake = np.asarray(grid.cell_regions(x, 2, 2, snake=True))
    np.testing.assert_array_equal(snake[0, 2], x[0, 7:, 7:])
    odd = np.asarray(grid.cell_regions(x[:, :7, :7], 2, 2))
    assert odd.shape == (1, 4, 4, 4, 1)
    np.testing.assert_array_equal(odd[0, 3], x[0, 3:7, 3:7])
    assert np.asarray(grid.cell_regions(x[:, :7, :7], 3, 3)).shape == (1, 9, 3, 3, 1)
    with pytest.raises(ValueError, match="2 x 2 is too small for a grid of 3 x 3"):
        grid.cell_regions(x[:, :2, :2], 3, 3)


def test_graph_reasoning_by_the_formula():
    inputs = keras.Input((3, 4, 6))
    model = keras.Model(inputs, graph_reasoning(inputs, inner=5))
    for variable in model.trainable_variables:
        variable.assign(np.random.default_rng(len(variable.path)).normal(size=variable.shape))
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype(np.float32)

    def dense(name, nodes):
        kernel, bias = model.get_layer(f"graph_{name}").get_weights()
        return nodes @ kernel + bias

    nodes = x.reshape(2, 12, 6).astype(np.float64)
    scores = np.einsum("bnd,bmd->bnm", dense("theta", nodes), dense("phi", nodes)) / 5**0.5
    edges = np.exp(scores - scores.max(-1, keepdims=True))
    edges /= edges.sum(-1, keepdims=True)
    expected = nodes + dense("out", np.maximum(edges @ dense("g", nodes), 0))
    np.testing.assert_allclose(model(x), expected.reshape(x.shape), rtol=1e-4, atol=1e-4)


def test_graph_reasoning_adds_two_million_parameters():
    """P4 Table 6: 2 M more for each of the four networks."""
    for channels, inner in ((1024, 512), (768, 512), (1792, 256), (2048, 256)):
        inputs = keras.Input((7, 7, channels))
        assert 1.5e6 < keras.Model(inputs, graph_reasoning(inputs, inner)).count_params() < 2.5e6


def test_semantic_consistency_by_hand():
    features = np.random.default_rng(0).normal(size=(3, 4, 2, 2, 5)).astype(np.float32)
    got = np.asarray(semantic_consistency(features))
    expected = [np.mean([np.mean((f[t] - f[t - 1]) ** 2) for t in (1, 2, 3)]) for f in features.astype(np.float64)]
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    same = np.repeat(features[:, :1], 4, axis=1)
    np.testing.assert_array_equal(semantic_consistency(same), np.zeros(3))
    with pytest.raises(ValueError, match="2 frames or more, got shape"):
        semantic_consistency(features[:, :1])


def test_cross_entropy_of_classes():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (8, 5)).astype(np.float32), rng.integers(0, 5, (8, 1))
    expected = keras.losses.sparse_categorical_crossentropy(labels[:, 0], logits, from_logits=True)
    np.testing.assert_allclose(losses.get("ce")(labels, logits), expected, rtol=1e-5)
    one, sides = logits[:, :1], (labels > 2).astype(np.float32)
    np.testing.assert_allclose(losses.ce(sides, one), losses.bce(sides, one))
    # Two classes are one logit, their difference.
    np.testing.assert_allclose(
        losses.ce(sides, logits[:, :2]), losses.bce(sides, logits[:, 1:2] - logits[:, :1]), rtol=1e-4, atol=1e-6
    )


def test_tall_plus_plus_trains_on_cross_entropy_plus_half_the_consistency_loss():
    model = models.build("tall_plus_plus", **TALL | {"mask_px": 0}, graph_inner=8)
    clip, labels = random_clip(4, 4, 16, 16), np.array([[0.0], [1.0], [1.0], [0.0]])
    logits, reasoned = keras.Model(model.input, [model.output, model.get_layer("graph").output])({"frames": clip})
    consistency = np.mean(semantic_consistency(grid.cell_regions(reasoned, 2, 2)))
    entropy = np.mean(losses.bce(labels, logits))
    assert consistency > 0
    model.compile(keras.optimizers.SGD(0.0), losses.bce)
    fitted = model.fit({"frames": clip}, labels, batch_size=4, verbose=0).history["loss"][0]
    np.testing.assert_allclose(fitted, entropy + 0.5 * consistency, rtol=1e-4)
    # Evaluation is cross-entropy alone, so that networks compare.
    np.testing.assert_allclose(model.evaluate({"frames": clip}, labels, verbose=0), entropy, rtol=1e-4)


def test_consistency_loss_makes_frames_alike():
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Dense(3, use_bias=False, name="d")(inputs)
    model = keras.Model(inputs, SemanticConsistency(alpha=1.0)(x))
    model.compile(keras.optimizers.SGD(1.0), lambda y, p: ops.zeros_like(ops.sum(p, axis=(1, 2, 3))))
    maps = np.random.default_rng(0).normal(size=(8, 4, 4, 3)).astype(np.float32)
    history = model.fit(maps, np.zeros((8, 1)), batch_size=8, epochs=5, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]


def test_without_graph_and_loss_the_network_is_tall():
    model = models.build("tall_plus_plus", **TALL, graph=False, consistency=0.0)
    plain = models.build("tall_swin", **TALL)
    plain.set_weights(model.get_weights())
    clip = random_clip(2, 4, 16, 16)
    np.testing.assert_array_equal(plain({"frames": clip}), model({"frames": clip}))


@pytest.mark.parametrize("backbone", ["vit", "small"])
def test_tall_plus_plus_over_other_backbones(backbone):
    args = {"vit": {"patch": 8, "embed_dim": 8, "depth": 2, "heads": 2}, "small": {}}[backbone]
    model = models.build("tall_plus_plus", **TALL | {"backbone_args": args}, backbone=backbone, graph_inner=4)
    assert model.get_layer("graph").output.shape[1:] == model.get_layer("features").output.shape[1:]
    assert np.isfinite(model({"frames": random_clip(2, 4, 16, 16)}, training=True)).all()


def test_order_of_frames_matters_to_tall():
    model = models.build("tall_swin", **TALL)
    clip = random_clip(4, 4, 16, 16)
    assert np.abs(np.asarray(model({"frames": clip})) - model({"frames": clip[:, ::-1]})).min() > 0


def test_mask_is_part_of_training_only():
    model = models.build("tall_swin", **TALL)
    clip = random_clip(2, 4, 16, 16)
    np.testing.assert_array_equal(model({"frames": clip}), model({"frames": clip}, training=False))
    # drop_path and dropout are 0: what differs is the mask.
    assert np.abs(np.asarray(model({"frames": clip}, training=True)) - model({"frames": clip})).max() > 0


def test_whole_frames_are_seen_one_by_one():
    """P4 Table 7, variants 1, 4 and 5: Swin over frames, with the graph block and the loss, without a thumbnail."""
    args = {"input_size": (32, 32), "whole_frames": True, "backbone_args": SWIN}
    plain, image = models.build("tall_swin", **args), models.build("swin_b", input_size=(32, 32), **SWIN)
    for layer in plain.layers:
        if layer.weights:
            layer.set_weights(image.get_layer(layer.name).get_weights())
    clip = random_clip(2, 4, 32, 32)
    of_frames = np.asarray(image(clip.reshape(8, 32, 32, 3))).reshape(2, 4, 1)
    np.testing.assert_allclose(np.asarray(plain({"frames": clip})), of_frames.mean(1), atol=1e-5)
    token = models.build("tall_vit", **args | {"backbone_args": {"patch": 8, "embed_dim": 8, "depth": 1, "heads": 2}})
    assert token({"frames": clip}).shape == (2, 1)
    whole = models.build("tall_plus_plus", graph_inner=4, **args)
    assert whole.count_params() > plain.count_params()
    whole({"frames": clip}, training=True)
    (loss,) = whole.losses
    whole({"frames": np.repeat(clip[:, :1], 4, axis=1)}, training=True)
    assert float(loss) > 1e-6 and float(whole.losses[0]) < 1e-9, "equal frames are consistent"
