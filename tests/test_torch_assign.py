"""Reading PyTorch and safetensors files without PyTorch, and mapping them strictly."""

import argparse
import json
import pickle
import struct
import tracemalloc
import zipfile
from collections import OrderedDict

import keras
import numpy as np
import pytest
from keras import layers
from support import torch_files
from support.torch_files import Storage, Tensor, write_stream, write_zip

from tfdeepfake.errors import InputError
from tfdeepfake.weights import torch_assign

RNG = np.random.default_rng(0)
ARRAYS = {
    "conv.weight": RNG.normal(size=(4, 3, 3, 2, 2)).astype("float32"),
    "fc.bias": RNG.normal(size=5),
    "bn.num_batches_tracked": np.array(7, "int64"),
    "half": RNG.normal(size=(2, 3)).astype("float16"),
    "empty": np.zeros((0, 3), "float32"),
}
FORMS = pytest.mark.parametrize("write", [write_zip, write_stream])


def same(tensors, expected):
    assert set(tensors) == set(expected)
    for name, array in expected.items():
        assert tensors[name].dtype == array.dtype, name
        np.testing.assert_array_equal(tensors[name], array)


@FORMS
def test_state_dict_comes_back_exactly(tmp_path, write):
    write(tmp_path / "a.pth", torch_files.tensors(ARRAYS))
    same(torch_assign.read(tmp_path / "a.pth"), ARRAYS)


@FORMS
@pytest.mark.parametrize("around", [("state_dict",), ("model",), ("model", "state_dict"), ("net", "model")])
def test_state_dict_is_found_in_a_training_checkpoint(tmp_path, write, around):
    value = OrderedDict((f"module.{name}", t) for name, t in torch_files.tensors(ARRAYS).items())
    for name in around:
        value = {"epoch": 3, "arch": "resnet", "args": argparse.Namespace(lr=0.1), name: value, "best": np.float64(1)}
    write(tmp_path / "a.pth", value)
    same(torch_assign.read(tmp_path / "a.pth"), ARRAYS)


def test_module_prefix_is_cut_only_where_all_names_have_it(tmp_path):
    write_zip(tmp_path / "a.pth", torch_files.tensors({"module.a": np.ones(2, "float32"), "a": np.zeros(2, "float32")}))
    assert set(torch_assign.read(tmp_path / "a.pth")) == {"module.a", "a"}


@FORMS
def test_views_of_a_shared_storage(tmp_path, write):
    data = np.arange(24, dtype="float32")
    shared = Storage(data, "FloatStorage")
    value = {
        "turned": Tensor(shared, (4, 3, 2), (1, 8, 4)),  # not contiguous
        "part": Tensor(shared, (2, 3), (3, 1), offset=18),
        "scalar": Tensor(shared, (), (), offset=5),
        "expanded": Tensor(shared, (3, 2), (0, 1), offset=2),
    }
    write(tmp_path / "a.pth", value)
    tensors = torch_assign.read(tmp_path / "a.pth")
    np.testing.assert_array_equal(tensors["turned"], data.reshape(3, 2, 4).transpose(2, 0, 1))
    np.testing.assert_array_equal(tensors["part"], data[18:].reshape(2, 3))
    assert tensors["scalar"] == 5 and tensors["scalar"].shape == ()
    np.testing.assert_array_equal(tensors["expanded"], [[2, 3]] * 3)


@FORMS
def test_bfloat16(tmp_path, write):
    # bfloat16 is the upper half of float32: 1.5 = 3FC0 0000, -2 = C000 0000.
    data = np.array([0x3FC0, 0xC000], "<u2")
    write(tmp_path / "a.pth", {"w": Tensor(data, (2,), kind="BFloat16Storage")})
    np.testing.assert_array_equal(torch_assign.read(tmp_path / "a.pth")["w"].astype("float32"), [1.5, -2])


def write_safetensors(path, entries, data):
    header = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def test_safetensors(tmp_path):
    a, b = np.arange(6, dtype="<f4"), np.array([0x3FC0, 0xC000], "<u2")
    entries = {
        "__metadata__": {"format": "pt"},
        "module.b": {"dtype": "BF16", "shape": [2, 1], "data_offsets": [0, 4]},
        "module.a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [4, 28]},
    }
    write_safetensors(tmp_path / "a.safetensors", entries, b.tobytes() + a.tobytes())
    tensors = torch_assign.read(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(tensors["a"], a.reshape(2, 3))
    np.testing.assert_array_equal(tensors["b"].astype("float32"), [[1.5], [-2]])


@pytest.mark.parametrize(
    "header, length, message",
    [
        (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', 8, "4 bytes belong to no tensor"),
        (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}', 8, "bytes of a do not follow those of"),
        (
            b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},'
            b' "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}',
            8,
            "bytes of b do not follow those of",
        ),
        (
            b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},'
            b' "a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}',
            8,
            "its header gives a name twice",
        ),
        (b'{"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}', 4, "a has the type 'F8_E4M3'; known"),
        (b'{"a": {"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}}', 4, "a are not lists of whole numbers"),
        (b'{"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}', 4, "a are not lists of whole"),
        (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 4]}}', 4, "a are not lists of whole"),
        (b'{"a": {"dtype": "F32", "shape": [1]}}', 0, "a is not described by dtype, shape and data_offsets"),
        (b'{"a": 7}', 0, "a is not described by"),
        (b"{" * 2000, 0, "is not a readable checkpoint"),
        (b"{" + b" " * (16 << 20), 0, "header of 16777217 bytes is longer than 16777216"),
    ],
)
def test_safetensors_headers_that_do_not_keep_to_the_format(tmp_path, header, length, message):
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(length))
    with pytest.raises(InputError, match=f"a.safetensors: .*{message}"):
        torch_assign.read(tmp_path / "a.safetensors")


def test_safetensors_are_mapped(tmp_path):
    """A file of 2 GB, most of it never written: nothing of it is in memory before it is looked at."""
    gap = 2 << 30
    entries = {
        "empty": {"dtype": "F32", "shape": [0, 3], "data_offsets": [0, 0]},
        "gap": {"dtype": "U8", "shape": [gap], "data_offsets": [0, gap]},
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [gap, gap + 8]},
    }
    write_safetensors(tmp_path / "a", entries, b"")
    with open(tmp_path / "a", "r+b") as file:
        file.seek(gap, 2)
        file.write(np.array([1, 2], "<f4").tobytes())
    tracemalloc.start()
    tensors = torch_assign.read(tmp_path / "a")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert tensors["a"].tolist() == [1, 2] and tensors["empty"].shape == (0, 3)
    with pytest.raises(ValueError, match="read-only"):
        tensors["a"][0] = 3


@pytest.mark.parametrize("offsets, shape", [([4, 28], [6]), ([0, 24], [7]), ([-4, 20], [6]), ([0, 2000], [500])])
def test_safetensors_with_wrong_offsets(tmp_path, offsets, shape):
    entries = {"a": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}
    write_safetensors(tmp_path / "a.safetensors", entries, bytes(24))
    with pytest.raises(InputError, match="the bytes of a are missing or not of its shape"):
        torch_assign.read(tmp_path / "a.safetensors")


class RunsCode:
    """Unpickled by `pickle`, this would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').write('run')",)


@pytest.mark.parametrize("form", ["zip", "stream", "first pickle of a stream"])
@pytest.mark.parametrize("where", ["value", "key beside the tensors"])
def test_code_in_a_pickle_is_not_run(tmp_path, form, where):
    trap = RunsCode(tmp_path / "ran")
    value = trap if where == "value" else {"state_dict": torch_files.tensors(ARRAYS), "callback": trap}
    if form == "first pickle of a stream":
        (tmp_path / "a.pth").write_bytes(pickle.dumps(value if where == "value" else {"callback": trap}))
    else:
        {"zip": write_zip, "stream": write_stream}[form](tmp_path / "a.pth", value)
    with pytest.raises(InputError, match="no plain checkpoint: it asks for .*exec; nothing was run"):
        torch_assign.read(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()
    with open(tmp_path / "a.pth", "rb") as file:
        if form == "first pickle of a stream":
            pickle.load(file)  # the trap works
            assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["os.system", "builtins.getattr", "torch.load", "numpy.core.multiarray.fromfile"])
def test_names_beyond_tensors_are_refused(tmp_path, name):
    module, attribute = name.rsplit(".", 1)
    pickled = b"\x80\x02c" + f"{module}\n{attribute}\n.".encode()
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", pickled)
    with pytest.raises(InputError, match=f"it asks for {name}; nothing was run"):
        torch_assign.read(tmp_path / "a.pth")


@FORMS
@pytest.mark.parametrize("left", [0.0, 0.01, 0.5, 0.999])
def test_truncated_file(tmp_path, write, left):
    write(tmp_path / "a.pth", torch_files.tensors({"w": RNG.normal(size=(50, 40))}))
    data = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(data[: int(left * len(data))])
    with pytest.raises(InputError, match="a.pth: is "):
        torch_assign.read(tmp_path / "a.pth")


def test_truncated_safetensors(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 10**12) + b"{")
    with pytest.raises(InputError, match="ends within its header"):
        torch_assign.read(tmp_path / "a.safetensors")


def test_files_that_are_no_checkpoints(tmp_path):
    cases = {
        "list": (lambda path: write_zip(path, [1, 2]), "holds a list, not a dict of tensors"),
        "numbers": (lambda path: write_stream(path, {"a": 1}), "holds no tensors"),
        "pickle": (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "does not begin like a PyTorch file"),
        "text": (lambda path: path.write_text("<html>quota exceeded</html>"), "is "),
        "zip": (lambda path: zipfile.ZipFile(path, "w").writestr("full/c23.p", "{}"), "is a zip of full/c23.p. Unpack"),
        "squeezed": (
            lambda path: write_zip(path, torch_files.tensors(ARRAYS), compression=zipfile.ZIP_DEFLATED),
            "parts are compressed",
        ),
        "big": (lambda path: write_zip(path, torch_files.tensors(ARRAYS), byteorder=b"big"), "big-endian"),
        "beyond": (
            lambda path: write_zip(path, {"a": Tensor(np.zeros(4, "<f4"), (2, 3))}),
            "reaches beyond its storage",
        ),
        "negative": (
            lambda path: write_zip(path, {"a": Tensor(np.zeros(4, "<f4"), (2, 2), (-2, 1), offset=2)}),
            "negative or unequal sizes",
        ),
    }
    for name, (write, message) in cases.items():
        write(tmp_path / name)
        with pytest.raises(InputError, match=f"{name}: .*{message}"):
            torch_assign.read(tmp_path / name)
    with pytest.raises(InputError, match="missing.pth: cannot be read .*No such file"):
        torch_assign.read(tmp_path / "missing.pth")


@pytest.mark.parametrize("form", ["zip", "stream", "safetensors"])
def test_reading_takes_the_memory_of_the_file_once(tmp_path, form):
    arrays = {f"w{n}": np.full((1000, 1000), n, "float32") for n in range(10)}
    if form == "safetensors":
        size = arrays["w0"].nbytes
        entries = {
            name: {"dtype": "F32", "shape": [1000, 1000], "data_offsets": [n * size, (n + 1) * size]}
            for n, name in enumerate(arrays)
        }
        write_safetensors(tmp_path / "a", entries, b"".join(a.tobytes() for a in arrays.values()))
    else:
        {"zip": write_zip, "stream": write_stream}[form](tmp_path / "a", torch_files.tensors(arrays))
    tracemalloc.start()
    tensors = torch_assign.read(tmp_path / "a")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tensors["w7"][0, 0] == 7
    assert peak < 1.3 * (tmp_path / "a").stat().st_size


# The strict map.
def network():
    """A convolution with normalisation, a depthwise one, and a dense layer."""
    inputs = keras.Input((6, 6, 3), name="frames")
    x = layers.Conv2D(4, 3, name="stem_conv")(inputs)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.Dropout(0.5)(x)
    x = layers.DepthwiseConv2D(3, use_bias=False, name="deep")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


def module_name(layer):
    return "fc" if layer == "logits" else layer.replace("_", ".")


def state_dict():
    shapes = {
        "stem.conv.weight": (4, 3, 3, 3),
        "stem.conv.bias": (4,),
        "stem.bn.weight": (4,),
        "stem.bn.bias": (4,),
        "stem.bn.running_mean": (4,),
        "stem.bn.running_var": (4,),
        "deep.weight": (4, 1, 3, 3),
        "fc.weight": (2, 4),
        "fc.bias": (2,),
    }
    rng = np.random.default_rng(1)
    return {name: rng.uniform(0.5, 1.5, shape) for name, shape in shapes.items()}


def test_every_tensor_reaches_its_variable():
    """Against the network written out with PyTorch's axes."""
    model, tensors = network(), state_dict()
    torch_assign.assign(model, tensors | {"stem.bn.num_batches_tracked": np.array(1)}, module_name, "a.pth")
    x = np.random.default_rng(2).normal(size=(6, 6, 3))
    y = np.zeros((4, 4, 4))
    for out in range(4):
        for i in range(4):
            for j in range(4):
                window = x[i : i + 3, j : j + 3].transpose(2, 0, 1)
                y[i, j, out] = (window * tensors["stem.conv.weight"][out]).sum() + tensors["stem.conv.bias"][out]
    y = (y - tensors["stem.bn.running_mean"]) / np.sqrt(tensors["stem.bn.running_var"] + 1e-3)
    y = y * tensors["stem.bn.weight"] + tensors["stem.bn.bias"]
    z = np.zeros((2, 2, 4))
    for i in range(2):
        for j in range(2):
            z[i, j] = (y[i : i + 3, j : j + 3] * tensors["deep.weight"][:, 0].transpose(1, 2, 0)).sum(axis=(0, 1))
    expected = tensors["fc.weight"] @ z.mean(axis=(0, 1)) + tensors["fc.bias"]
    np.testing.assert_allclose(np.asarray(model(x[None].astype("float32")))[0], expected, rtol=1e-4)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda t: t.pop("fc.bias"), "missing fc.bias"),
        (lambda t: t.update({"head.bias": t.pop("fc.bias")}), "missing fc.bias; left over head.bias"),
        (
            lambda t: t.update({"fc.weight": np.ones((4, 2))}),
            r"fc.weight of .* \(\(2, 4\) in Keras order; logits/kernel",
        ),
        (lambda t: t.update({"deep.weight": np.ones(36)}), r"deep.weight of shape \(36,\)"),
        (lambda t: t["stem.bn.bias"].__setitem__(1, np.nan), "stem.bn.bias with NaN or infinite"),
        (lambda t: t["stem.bn.bias"].__setitem__(1, 1e300), "stem.bn.bias with NaN or infinite"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_changes(spoil, message):
    model, tensors = network(), state_dict()
    spoil(tensors)
    before = model.get_weights()
    with np.errstate(over="ignore"), pytest.raises(InputError, match=f"a.pth: does not fit the network: .*{message}"):
        torch_assign.assign(model, tensors, module_name, "a.pth")
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_long_lists_of_names_are_cut():
    tensors = state_dict() | {f"x{n:03}": np.ones(1) for n in range(500)}
    with pytest.raises(InputError, match="left over x000, .* x019 and 480 more") as error:
        torch_assign.assign(network(), tensors, module_name, "a.pth")
    assert len(str(error.value)) < 500


def test_extra_parts_of_one_tensor_and_kept_layers():
    model, tensors = network(), state_dict()
    del tensors["fc.weight"], tensors["fc.bias"]
    tensors["stem.bn.both"] = np.stack([tensors.pop("stem.bn.weight"), tensors.pop("stem.bn.bias")])
    extra = {
        "stem_bn/gamma": ("stem.bn.both", lambda a: a[0]),
        "stem_bn/beta": ("stem.bn.both", lambda a: a[1]),
    }
    head = model.get_layer("logits").get_weights()
    torch_assign.assign(model, tensors, module_name, "a.pth", extra, keep=("logits",))
    np.testing.assert_allclose(model.get_layer("stem_bn").beta, tensors["stem.bn.both"][1], rtol=1e-6)
    np.testing.assert_allclose(model.get_layer("stem_bn").gamma, tensors["stem.bn.both"][0], rtol=1e-6)
    assert all(np.array_equal(a, b) for a, b in zip(head, model.get_layer("logits").get_weights(), strict=True))


def test_a_convolution_over_one_cell_goes_into_a_dense_layer():
    model, tensors = network(), state_dict()
    tensors["fc.weight"] = tensors["fc.weight"].reshape(2, 4, 1, 1)
    torch_assign.assign(model, tensors, module_name, "a.pth")
    np.testing.assert_allclose(model.get_layer("logits").kernel, tensors["fc.weight"][..., 0, 0].T, rtol=1e-6)


def test_mistakes_in_a_map_are_errors_of_ours():
    with pytest.raises(ValueError, match="extra needs names of the network's variables, got stem_bn/gama"):
        torch_assign.assign(network(), state_dict(), module_name, "a.pth", {"stem_bn/gama": ("a", np.asarray)})
    with pytest.raises(ValueError, match="got same.bias twice|got same.weight twice"):
        torch_assign.assign(network(), state_dict(), lambda layer: "same", "a.pth")
