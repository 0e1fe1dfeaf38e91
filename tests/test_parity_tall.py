"""TALL over Swin-B against the authors' network, and ImageNet files into Swin and ViT, whole or not at all."""

import dataclasses
import json
import struct

import keras
import numpy as np
import pytest
from support import parity_rule

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.layers.window_attention import WindowAttention
from tfdeepfake.models import swin, tall, vit
from tfdeepfake.published.convert import load_published
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.weights import imagenet, torch_assign

TINY_SWIN = {"embed_dim": 8, "depths": (2, 2), "heads": (1, 2), "windows": (4, 2), "drop_path": 0.0}
TINY_VIT = {"patch": 8, "embed_dim": 8, "depth": 2, "heads": 2}


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()


def safetensors(path, tensors):
    """Writes a file as timm publishes it: length of the header, header, bytes."""
    header, data = {}, b""
    for name, array in tensors.items():
        start, data = len(data), data + np.ascontiguousarray(array, np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [start, len(data)]}
    header = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


def as_file(model, naming, extra):
    """The network's weights under the names, and in the order, of a published file."""
    tensors = {}
    for layer in model.layers:
        for variable in layer.weights:
            short = variable.path.rsplit("/", 1)[-1]
            key = f"{layer.name}/{short}"
            name = (
                extra[key][0]
                if key in extra
                else f"{naming(layer.name)}." + ("weight" if short in ("kernel", "gamma") else "bias")
            )
            array = np.asarray(variable)
            tensors[name] = np.moveaxis(array, (-1, -2), (0, 1)) if short == "kernel" else array
    return tensors


@pytest.mark.slow
def test_tall_swin_equals_the_authors_network():
    facts = parity_rule.read("tall_swin_hpe")
    known = SOURCES["tall_swin"]
    model = models.build("tall_swin", num_classes=2)
    tensors = parity_rule.tensors(facts)
    torch_assign.assign(model, tensors, known.module_name, "rule", extra=known.extra(model), unused=known.unused)
    assert swin.EPSILON in facts["ln_eps"]
    parity_rule.check(model, facts)
    # As a detector its two outputs become one logit, fake minus real, of the same probability.
    folded, arguments = load_published(known, tensors, "rule")
    assert arguments["num_classes"] == 1
    pixels = parity_rule.pixels(facts["input_shape"], 2026)
    real, fake = facts["output"][0]
    np.testing.assert_allclose(np.asarray(folded({"frames": pixels}))[0, 0], fake - real, atol=1e-5)


def test_buffers_of_the_file_are_those_that_the_network_computes():
    facts = parity_rule.read("tall_swin_hpe")
    assert facts["unfilled"] and all(name.endswith(imagenet.SWIN_UNUSED) for name in facts["unfilled"])


def test_window_attention_is_attention_within_windows():
    """One head, by the formula, for a shifted window: who sees whom, and which number of the table is added."""
    rng = np.random.default_rng(0)
    side, window, shift, channels = 6, 3, 1, 4
    layer = WindowAttention(1, window, shift)
    qkv = rng.normal(size=(2, side, side, 3 * channels)).astype(np.float32)
    layer.build(qkv.shape)
    table = rng.normal(size=((2 * window - 1) ** 2, 1)).astype(np.float32)
    layer.relative_position_bias_table.assign(table)
    got = np.asarray(layer(qkv))

    def place(line):
        """Window, and side of the edge, of a row or column."""
        moved = (line - shift) % side
        return moved // window, line < shift

    places = [(r, c) for r in range(side) for c in range(side)]
    for r, c in places:
        seen = [p for p in places if place(p[0]) == place(r) and place(p[1]) == place(c)]
        query, key, value = np.split(qkv[0], 3, axis=-1)
        offsets = [
            ((r - shift) % side - (y - shift) % side + window - 1) * (2 * window - 1)
            + (c - shift) % side - (x - shift) % side + window - 1
            for y, x in seen
        ]  # fmt: skip
        scores = np.array([query[r, c] @ key[y, x] for y, x in seen]) / channels**0.5 + table[offsets, 0]
        shares = np.exp(scores - scores.max())
        expected = sum(share * value[y, x] for share, (y, x) in zip(shares / shares.sum(), seen, strict=True))
        np.testing.assert_allclose(got[0, r, c], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("naming", [swin.module_name, swin.module_name_timm])
def test_swin_file_starts_tall_with_larger_windows(naming, tmp_path):
    source = models.build("swin_b", input_size=(32, 32), num_classes=7, **TINY_SWIN | {"windows": (2, 2)})
    file = safetensors(tmp_path / "swin.safetensors", as_file(source, naming, swin.tables(source, naming)))
    arguments = {"input_size": (16, 16), "thumbnail_size": (32, 32), "backbone_args": TINY_SWIN}
    model = models.build("tall_swin", weights=str(file), **arguments)
    kernel = "layers_1_blocks_0_mlp_fc1"
    np.testing.assert_array_equal(model.get_layer(kernel).kernel, source.get_layer(kernel).kernel)
    tables = [m.get_layer("layers_0_blocks_0_attn").relative_position_bias_table for m in (source, model)]
    assert tables[0].shape == (9, 1) and tables[1].shape == (49, 1)
    # The offset of no places is the middle of both tables.
    np.testing.assert_allclose(tables[1][24], tables[0][4], rtol=1e-5)


def test_enlarging_tables_keeps_a_plane_and_its_directions():
    model = models.build("swin_b", input_size=(32, 32), **TINY_SWIN)
    name = "layers.0.blocks.0.attn.relative_position_bias_table"
    offsets = np.mgrid[-1:2, -1:2].reshape(2, 9).T.astype(np.float32)
    table = swin.fitted({name: offsets[:, :1] * 2 + offsets[:, 1:]}, model)[name].reshape(7, 7)
    # Rows are row offsets. Towards the edges cubic interpolation of 3 points levels off.
    down, across = np.diff(table, axis=0)[1:-1], np.diff(table, axis=1)[:, 1:-1]
    assert (down > 0).all() and (across > 0).all() and np.abs(table + table[::-1, ::-1]).max() < 1e-5
    np.testing.assert_allclose(down.T, 2 * across, rtol=1e-4)


def test_vit_file_starts_tall(tmp_path):
    source = models.build("vit_b", input_size=(32, 32), num_classes=7, **TINY_VIT)
    file = safetensors(tmp_path / "vit.safetensors", as_file(source, vit.module_name, vit.tokens(source)))
    arguments = {"input_size": (16, 16), "thumbnail_size": (32, 32), "backbone_args": TINY_VIT}
    model = models.build("tall_vit", weights=str(file), **arguments)
    np.testing.assert_array_equal(model.get_layer("tokens").pos_embed, source.get_layer("tokens").pos_embed)
    again, _ = load_published(_tiny("vit_b_timm", {"input_size": (32, 32), **TINY_VIT}), torch_assign.read(file), file)
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(again({"frames": frames}), source({"frames": frames}))


def _tiny(source, network_args):
    return dataclasses.replace(SOURCES[source], network_args=network_args)


@pytest.mark.parametrize("source", ["swin_b_imagenet22k", "swin_b_timm"])
def test_swin_files_convert(source):
    arguments = {"input_size": (32, 32), **TINY_SWIN}
    original = models.build("swin_b", num_classes=7, **arguments)
    known = _tiny(source, arguments)
    tensors = as_file(original, known.module_name, known.extra(original))
    tensors |= {"layers.0.blocks.0.attn.relative_position_index": np.zeros((16, 16), np.int64)}
    tensors |= {"layers.0.blocks.1.attn_mask": np.zeros((4, 16, 16), np.float32)}
    # timm begins a stage with its halving, the authors end one with it.
    stage, head = (0, "head") if source == "swin_b_imagenet22k" else (1, "head.fc")
    assert f"layers.{stage}.downsample.reduction.weight" in tensors and f"{head}.bias" in tensors
    model, got = load_published(known, tensors, "file")
    assert got["num_classes"] == 7
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(model({"frames": frames}), original({"frames": frames}))
    with pytest.raises(InputError, match="missing norm.weight"):
        load_published(known, {k: v for k, v in tensors.items() if k != "norm.weight"}, "file")


def test_published_sizes():
    """Parameters of the ImageNet files (heads of 1000 classes), as their authors count them: 88 M and 86.6 M."""
    assert _parameters("swin_b") == 87_768_224 and _parameters("vit_b") == 86_567_656


def _parameters(name):
    return models.build(name, num_classes=1000).count_params()


@pytest.mark.parametrize("backbone, address", [("swin", "SwinTransformer"), ("vit", "timm/vit_base")])
def test_imagenet_by_name_says_where_the_file_is(backbone, address):
    arguments = {"swin": TINY_SWIN, "vit": TINY_VIT}[backbone]
    with pytest.raises(InputError, match=f"not downloaded for {backbone}.*{address}"):
        tall.tall("t", backbone, (16, 16), thumbnail_size=(32, 32), backbone_args=arguments, weights="imagenet")


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("swin_b", {"input_size": (224, 200)}, r"multiples of 32 px with 4 stages, got \(224, 200\)"),
        ("swin_b", {"input_size": (256, 256)}, "a window of 7 does not divide the map of 64 x 64 places at layers_0"),
        ("swin_b", {"windows": (7, 7)}, "depths, heads and windows need one value a stage"),
        ("swin_b", {"heads": (3, 8, 16, 32)}, "heads needs to divide the 128 channels at layers_0_.*, got 3"),
        ("vit_b", {"input_size": (224, 225)}, r"multiples of 16 px, the patches' side, got \(224, 225\)"),
        ("vit_b", {"pool": "max"}, "pool needs one of .*'max'"),
        ("vit_b", {"heads": 5}, "heads needs to divide embed_dim"),
    ],
)
def test_wrong_sizes_are_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        models.build(name, **arguments)
