"""MACs against TensorFlow's profiler and counts by hand; the table's rows, file and errors."""

import csv
import math

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.tiny_models import TINY

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.profiling import macs
from tfdeepfake.profiling import table as model_table


@pytest.fixture(autouse=True)
def fresh():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()


def profiled(model):
    """FLOPs by kind of operation as TensorFlow's profiler counts them in the frozen graph, batch of 1."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = [{t.name: tf.TensorSpec((1, *t.shape[1:]), "float32") for t in model.inputs}]
    function = tf.function(lambda x: model(x, training=False), input_signature=signature).get_concrete_function()
    graph = convert_variables_to_constants_v2(function).graph
    option = tf.compat.v1.profiler.ProfileOptionBuilder
    options = option(option.float_operation()).with_empty_output().build()
    with graph.as_default():
        tree = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)
    flops = {}
    while tree.children:
        tree = tree.children[0]
        flops[tree.name] = tree.float_ops
    return flops, {node.type for node in graph.get_operations()}


COUNTED = {"Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2"}
PROFILED = [
    "meso4", "two_stream_video", "resnet3d_18", "r2plus1d_18", "cnn3d", "i3d", "light3d", "xception",
    "efficientnet_b4_att", "swin_b", "tall_swin", "tall_plus_plus",
]  # fmt: skip


@pytest.mark.parametrize("name", PROFILED)
def test_flops_equal_those_of_tensorflows_profiler(name):
    model = models.build(name, **TINY[name])
    flops, kinds = profiled(model)
    # The profiler has no rule for these: a network that has them cannot be compared.
    assert not kinds & {"Einsum", "TensorListReserve", "XlaCallModule"}
    expected = sum(flops.get(kind, 0) for kind in COUNTED)
    # Heads of few outputs are sums of products there (layers/exact.py), not matrix products.
    head = 2 * math.prod(model.get_layer("logits").kernel.shape)
    assert 2 * sum(macs.count(model).values()) == expected + head
    assert flops["AddV2"] < 0.5 * expected, "the operations left out are no small part"


# GFLOPs that torchvision states for these networks (its key "_ops"; MACs in our words), with 400 or 1000 outputs.
@pytest.mark.parametrize(
    "name, arguments, stated",
    [
        ("r3d_18", {"num_classes": 400}, 40.697),
        ("mc3_18", {"num_classes": 400}, 43.343),
        ("r2plus1d_18", {"num_classes": 400}, 40.519),
        ("swin_b", {"num_classes": 1000}, 15.431),
        ("vit_b", {"num_classes": 1000, "input_size": (384, 384), "pool": "avg"}, 55.484),
        ("efficientnet_b4", {"num_classes": 1000, "input_size": (380, 380)}, 4.394),
    ],
)
def test_macs_of_published_networks(name, arguments, stated):
    assert sum(macs.count(models.build(name, **arguments)).values()) / 1e9 == pytest.approx(stated, abs=6e-4)


def of(outputs, *inputs):
    return macs.count(keras.Model(list(inputs), outputs))


def test_layers_by_hand():
    x = keras.Input((8, 6, 4), name="x")
    assert of(layers.Conv2D(10, 3, padding="same", name="a")(x), x) == {"a": 8 * 6 * 9 * 4 * 10}
    assert of(layers.Conv2D(10, 3, strides=2, name="b")(x), x) == {"b": 3 * 2 * 9 * 4 * 10}
    assert of(layers.Conv2D(10, 3, groups=2, name="c")(x), x) == {"c": 6 * 4 * 9 * 2 * 10}
    assert of(layers.DepthwiseConv2D(3, depth_multiplier=2, name="d")(x), x) == {"d": 6 * 4 * 9 * 8}
    assert of(layers.SeparableConv2D(10, 3, name="e")(x), x) == {"e": 6 * 4 * (9 * 4 + 4 * 10)}
    assert of(layers.Conv2DTranspose(10, 3, strides=2, name="f")(x), x) == {"f": 8 * 6 * 9 * 4 * 10}
    assert of(layers.Dense(5, name="g")(x), x) == {"g": 8 * 6 * 4 * 5}
    assert of(layers.EinsumDense("...c,cd->...d", 7, name="h")(x), x) == {"h": 8 * 6 * 4 * 7}
    y = keras.Input((9, 4), name="y")
    assert of(layers.Conv1D(10, 3, dilation_rate=2, name="i")(y), y) == {"i": 5 * 3 * 4 * 10}
    assert of(layers.LSTM(5, name="j")(y), y) == {"j": 9 * (4 + 5) * 4 * 5}
    assert of(layers.GRU(5, name="k")(y), y) == {"k": 9 * (4 + 5) * 3 * 5}
    nothing = layers.BatchNormalization()(layers.MaxPooling2D(2)(layers.ReLU()(x)))
    assert of(nothing, x) == {}


def test_operations_by_hand():
    x, y = keras.Input((5, 4), name="x"), keras.Input((5, 4), name="y")
    table = np.zeros((4, 6), "float32")
    assert list(of(ops.matmul(x, table), x).values()) == [5 * 4 * 6]
    assert list(of(x @ ops.transpose(y, (0, 2, 1)), x, y).values()) == [5 * 5 * 4]
    assert list(of(ops.einsum("bnc,bmc->bnm", x, y), x, y).values()) == [5 * 5 * 4]
    assert list(of(ops.einsum("...c,cd->...d", x, table), x).values()) == [5 * 4 * 6]
    assert list(of(ops.tensordot(x, table, axes=1), x).values()) == [5 * 4 * 6]
    assert list(of(ops.dot(x, table), x).values()) == [5 * 4 * 6]
    q = keras.Input((5, 2, 4), name="q")
    assert list(of(ops.dot_product_attention(q, q, q), q).values()) == [2 * 5 * 5 * (4 + 4)]
    z = keras.Input((8, 6, 4), name="z")
    assert list(of(ops.conv(z, np.zeros((3, 3, 4, 10), "float32")), z).values()) == [6 * 4 * 9 * 4 * 10]


def test_time_folded_into_the_batch_counts_every_frame():
    clip = keras.Input((3, 8, 6, 4), name="clip")
    x = layers.Conv2D(10, 3, padding="same", name="conv")(ops.reshape(clip, (-1, 8, 6, 4)))
    assert of(x, clip) == {"conv": 3 * 8 * 6 * 9 * 4 * 10}
    model = keras.Model(clip, x)
    assert macs.count(model, batch_size=2) == {"conv": 2 * 3 * 8 * 6 * 9 * 4 * 10}


def test_a_layer_used_twice_counts_twice_and_only_in_its_own_graph():
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    dense = layers.Dense(5, name="dense")
    both = layers.Add()([dense(x), dense(y)])
    assert of(both, x, y) == {"dense": 2 * 4 * 5} and of(dense(x), x) == {"dense": 4 * 5}


def test_groups_count_as_defined_not_as_computed():
    name = "resnext3d_50"
    model = models.build(name, **TINY[name])
    layer = model.get_layer("layer1_0_conv2")
    expected = 27 * layer.output.shape[-1] ** 2 // layer.groups * math.prod(layer.output.shape[1:-1])
    assert layer.groups > 1 and macs.count(model)["layer1_0_conv2"] == expected


def test_counting_leaves_the_model_as_it_was():
    model = models.build("tall_plus_plus", **TINY["tall_plus_plus"])
    before = [len(layer._inbound_nodes) for layer in model.layers]
    counts = macs.count(model)
    assert [len(layer._inbound_nodes) for layer in model.layers] == before
    assert macs.count(model) == counts and model.get_layer("features").output.shape[0] is None


def test_what_cannot_be_counted_is_an_error():
    x = keras.Input((None, 4), name="x")
    with pytest.raises(ValueError, match=r"inputs of fixed size, got x of shape \(None, None, 4\)"):
        of(layers.Dense(5)(x), x)
    clip = keras.Input((3, 8, 6, 4), name="clip")
    with pytest.raises(ValueError, match="no rule counts the MACs of a ConvLSTM2D"):
        of(layers.ConvLSTM2D(2, 3)(clip), clip)


def test_p3_table_6():
    lines = [line for line in model_table.PRINTED if line.row.startswith("P3")]
    trained = []
    for line in lines:
        model = models.build(line.network, **line.arguments)
        trained.append(sum(math.prod(v.shape) for v in model.trainable_variables))
    assert trained[0] == lines[0].parameters and trained[3] == lines[3].parameters
    assert trained[1] == 89_992_384 and trained[2] == 94_735_552


def test_every_printed_line_names_a_network_and_its_arguments():
    import inspect

    for line in model_table.PRINTED:
        known = inspect.signature(models.MODELS[line.network]).parameters
        assert set(line.arguments) <= set(known) and line.reason, line.row


def own_networks():
    """Those of the package: other tests add tiny ones to the table."""
    return [name for name in models.MODELS if not name.startswith("tiny_")]


def test_facts_are_stored_for_every_network_and_printed_line():
    stored = model_table.stored_rows()
    printed = {(line.network, model_table.arguments_text(line.arguments)) for line in model_table.PRINTED}
    wanted = {(name, "") for name in own_networks()} | printed
    assert set(stored) == wanted, "run benchmarks/model_table.py"
    assert all(tuple(row) == model_table.COLUMNS and row["latency_ms"] is None for row in stored.values())


@pytest.mark.parametrize("name", ["meso_inception4", "two_stream_video", "resnet3d_18", "efficientnet_b4", "vit_b"])
def test_stored_facts_are_those_of_the_network(name):
    row = model_table.row(name, latency=False)
    known = model_table.stored_rows()[name, ""]
    assert row == known | {key: pytest.approx(known[key], abs=1e-8) for key in ("gmacs", "gflops")}


def test_the_table_is_printed_without_building(monkeypatch, capsys):
    monkeypatch.setattr(model_table, "row", None)
    rows = model_table.models_table()
    assert len(rows) == len(own_networks()) + len(model_table.PRINTED)
    assert "85,249,216" in capsys.readouterr().out


def test_table_and_file(tmp_path, capsys):
    out = tmp_path / "table.csv"
    rows = model_table.models_table(["meso4", "vit_b"], latency=False, out=out)
    assert [row["network"] for row in rows] == ["meso4", "vit_b", "vit_b"]
    assert all(tuple(row) == model_table.COLUMNS for row in rows)
    meso, vit, printed = rows
    assert (meso["inputs"], meso["parameters"], meso["trainable"]) == ("256x256x3", 28073, 27977)
    assert meso["gflops"] == 2 * meso["gmacs"] and meso["latency_ms"] is None and meso["printed_as"] is None
    # ViT-B/16 with its class token: 17.56 G MACs are stated wherever it is published, with a head of 1000 outputs; of
    # its last block nothing is computed here for the patches.
    assert vit["gmacs"] == pytest.approx(17.563 - 196 * (9 * 768**2 + 2 * 197 * 768) / 1e9, abs=1e-3)
    # P4's 55.4 is the number of MACs at 384 px, with all of the last block.
    spared = 576 * (9 * 768**2 + 2 * 577 * 768) / 1e9
    assert printed["printed_gflops"] == 55.4 and printed["gmacs"] == pytest.approx(55.48 - spared, abs=0.01)
    with open(out, encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [row["network"] for row in written] == ["meso4", "vit_b", "vit_b"]
    assert float(written[2]["printed_gflops"]) == 55.4 and written[0]["latency_ms"] == ""
    text = capsys.readouterr().out
    assert "28,073" in text and "P4 ViT-B" in text and "1 MAC = 2 FLOPs" in text


@pytest.fixture
def made_up(monkeypatch):
    """Rows without building anything."""

    def row(name, arguments=None, batch_size=1, latency=True):
        arguments = ", ".join(f"{key}={value!r}" for key, value in (arguments or {}).items())
        known = {"network": name, "arguments": arguments, "inputs": "16x108x192x3 + 16x108x192x2", "gmacs": 1234.5}
        counts = {"parameters": 987_654_321, "trainable": 987_654_320, "gflops": 2469.0, "batch_size": batch_size}
        return dict.fromkeys(model_table.COLUMNS) | known | counts

    monkeypatch.setattr(model_table, "row", row)
    monkeypatch.setattr(model_table, "stored_rows", dict)
    return row


def test_all_lines_fit_a_terminal_of_120_columns(made_up, capsys):
    rows = model_table.models_table(list(models.MODELS))
    text = capsys.readouterr().out
    assert len(rows) == len(models.MODELS) + len(model_table.PRINTED)
    assert max(map(len, text.splitlines())) <= 120
    unwrapped = " ".join(text.split())
    for row in rows[len(models.MODELS) :]:
        name = row["network"] + (f"({row['arguments']})" if row["arguments"] else "")
        assert f"{name}: {row['reason']}" in unwrapped


def test_parameters_beside_the_papers_are_the_trained_ones(made_up, capsys):
    model_table.models_table(["resnet3d_101"])
    first = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("P3 3D ResNet "))
    assert first.split()[3:5] == ["85,249,216", "987,654,320"]


@pytest.mark.parametrize("name", ["table.csv", "table.md"])
def test_a_stopped_run_leaves_its_rows(made_up, tmp_path, monkeypatch, name):
    def stopped(network, *args, **kwargs):
        if network == "vit_b":
            raise KeyboardInterrupt
        return made_up(network)

    monkeypatch.setattr(model_table, "row", stopped)
    with pytest.raises(KeyboardInterrupt):
        model_table.models_table(["meso4", "vit_b"], out=tmp_path / name)
    *_, last = (tmp_path / name).read_text(encoding="utf-8").splitlines()
    assert "meso4" in last and "16x108x192x3" in last


def test_markdown(made_up, tmp_path):
    model_table.models_table(["meso4", "vit_b"], latency=False, out=tmp_path / "table.md")
    lines = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    tables = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert [len(cells) for cells in tables] == [7, 7, 7, 7, 8, 8, 8]
    assert tables[2][:4] == ["meso4", "16x108x192x3 + 16x108x192x2", "987,654,321", "987,654,320"]
    assert tables[-1][0] == "P4 ViT-B" and tables[-1][1:3] == ["84.0 M", "55.4"]
    assert "a forward pass" not in lines[2], "no machine where nothing was timed"


def test_latency_is_measured(capsys):
    (row,) = model_table.models_table(["meso4"], latency=True, batch_size=2)
    assert 0.1 < row["latency_ms"] < 60_000 and row["batch_size"] == 2
    assert row["gmacs"] == pytest.approx(0.060, abs=1e-3), "counts are those of one example"


def test_bad_arguments(tmp_path):
    with pytest.raises(InputError, match="'meso5': did you mean meso4"):
        model_table.models_table(["meso4", "meso5"])
    with pytest.raises(InputError, match="is a folder"):
        model_table.models_table(["meso4"], out=tmp_path)
    with pytest.raises(InputError, match="batch_size: needs a positive integer, got 0"):
        model_table.models_table(["meso4"], batch_size=0)
