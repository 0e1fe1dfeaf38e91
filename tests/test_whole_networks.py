"""Files of whole pickled networks, and hostile pickles: tensors come out, and nothing that a file names is run."""

import pickle
import pickletools
import zipfile

import numpy as np
import pytest
from support import torch_files
from support.torch_files import write_stream, write_zip

from tfdeepfake.errors import InputError
from tfdeepfake.weights import torch_file

RNG = np.random.default_rng(0)
ARRAYS = {
    "model.conv1.weight": RNG.normal(size=(4, 3, 3, 3)).astype("float32"),
    "model.bn1.weight": RNG.normal(size=4).astype("float32"),
    "model.bn1.running_mean": RNG.normal(size=4).astype("float32"),
    "model.block1.rep.0.conv1.weight": RNG.normal(size=(4, 1, 3, 3)).astype("float32"),
    "model.last_linear.1.bias": RNG.normal(size=2).astype("float32"),
}
BUFFERS = ("running_mean", "spare")
FORMS = pytest.mark.parametrize("write", [write_zip, write_stream])


def same(tensors, expected):
    assert set(tensors) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(tensors[name], array)


@FORMS
@pytest.mark.parametrize("around", [None, "model", "net"])
def test_a_whole_network_gives_its_state_dict(tmp_path, write, around):
    network = torch_files.network(ARRAYS | {"model.conv1.bias": None}, BUFFERS)
    network._modules["skip"] = None  # as a block without that part has it
    write(tmp_path / "full_c23.p", network if around is None else {"epoch": 3, around: network})
    same(torch_file.read(tmp_path / "full_c23.p"), ARRAYS)


@FORMS
def test_data_parallel_networks_and_parts_used_twice(tmp_path, write):
    network = torch_files.network(ARRAYS, BUFFERS)
    network._modules["again"] = network._modules["model"]
    around = torch_files.network({})
    around._modules["module"] = network
    write(tmp_path / "a.p", around)
    again = {name.replace("model.", "again.", 1): array for name, array in ARRAYS.items()}
    same(torch_file.read(tmp_path / "a.p"), ARRAYS | again)


@FORMS
def test_buffers_that_are_not_saved_are_left_out(tmp_path, write):
    network = torch_files.network(ARRAYS | {"spare": np.ones(3, "float32")}, BUFFERS)
    network._non_persistent_buffers_set = {"spare"}
    write(tmp_path / "a.p", network)
    same(torch_file.read(tmp_path / "a.p"), ARRAYS)


def test_objects_that_are_no_network(tmp_path):
    loop = torch_files.network(ARRAYS)
    loop._modules["loop"] = loop
    doubled = torch_files.network(ARRAYS)
    for _ in range(60):  # 2**60 names in a small file
        around = torch_files.network({})
        around._modules |= {"a": doubled, "b": doubled}
        doubled = around
    odd = torch_files.network(ARRAYS)
    odd._modules["odd"] = 5
    no_tensor = torch_files.network({})
    no_tensor._parameters["w"] = 5
    cases = {
        "loop": (loop, "contains itself"),
        "doubled": (doubled, "too many"),
        "odd": (odd, "odd is an object, but no network"),
        "plain": (torch_files.TransferModel(), "it is an object, but no network"),
        "no_tensor": (no_tensor, "holds no tensors"),
    }
    for name, (value, message) in cases.items():
        write_zip(tmp_path / name, value)
        with pytest.raises(InputError, match=f"{name}: .*{message}"):
            torch_file.read(tmp_path / name)


# Hostile pickles, written by opcode.
def short(text):
    return pickle.BINUNICODE + len(text).to_bytes(4, "little") + text.encode()


def name(full):
    module, _, attribute = full.rpartition(".")
    return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()


def state(**values):
    items = b"".join(short(key) + value for key, value in values.items())
    return pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS


def read(path, body, parts=None):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.PROTO + b"\x02" + body + pickle.STOP)
        for part, data in (parts or {}).items():
            archive.writestr(part, data)
    return torch_file.read(path)


ARGUMENT = pickle.MARK + short("touch ran") + pickle.TUPLE
MADE = name("network.models.Net") + pickle.EMPTY_TUPLE + pickle.NEWOBJ


@pytest.mark.parametrize("how", ["reduce", "inst", "obj", "newobj", "build", "beside the tensors"])
@pytest.mark.parametrize("what", ["os.system", "posix.system", "builtins.eval", "__builtin__.getattr", "nt.system",
                                  "copyreg._reconstructor", "numpy.load", "torch.load", "tfdeepfake.cli.main.main",
                                  "network.models.evil"])  # fmt: skip
def test_nothing_that_a_pickle_names_is_run(tmp_path, monkeypatch, how, what):
    monkeypatch.chdir(tmp_path)
    module, _, attribute = what.rpartition(".")
    body = {
        "reduce": name(what) + ARGUMENT + pickle.REDUCE,
        "inst": pickle.MARK + short("touch ran") + pickle.INST + f"{module}\n{attribute}\n".encode(),
        "obj": pickle.MARK + name(what) + short("touch ran") + pickle.OBJ,
        "newobj": name(what) + ARGUMENT + pickle.NEWOBJ,
        "build": name(what) + state(__call__=short("x")) + pickle.BUILD,
        "beside the tensors": state(state_dict=state(), callback=name(what) + ARGUMENT + pickle.REDUCE),
    }[how]
    with pytest.raises(InputError, match="a.p: (is a pickle that is no plain checkpoint|is not a readable|holds)"):
        read(tmp_path / "a.p", body)
    assert [path.name for path in tmp_path.iterdir()] == ["a.p"]


def test_a_called_name_is_told_from_a_refused_one(tmp_path):
    with pytest.raises(InputError, match="it asks for os.system; nothing was run. .* save its state_dict"):
        read(tmp_path / "a.p", name("os.system") + ARGUMENT + pickle.REDUCE)
    with pytest.raises(InputError, match="it calls network.models.evil; nothing was run"):
        read(tmp_path / "a.p", name("network.models.evil") + ARGUMENT + pickle.REDUCE)


def test_classes_of_the_reader_cannot_be_changed(tmp_path):
    """BUILD sets attributes of what lies on the stack, which may be a class."""
    before = {kind: dict(vars(kind)) for kind in vars(torch_file).values() if isinstance(kind, type)}
    known = ["collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter",
             "torch.device", "network.models.Net", "builtins.set", "torch.FloatStorage"]  # fmt: skip
    slots = pickle.NONE + state(numpy=short("x"), items=short("x"), __new__=short("x")) + pickle.TUPLE2
    for full in known:
        for given in (state(numpy=short("x"), items=short("x")), slots):
            with pytest.raises(InputError):
                read(tmp_path / "a.p", name(full) + given + pickle.BUILD)
    assert before == {kind: dict(vars(kind)) for kind in before}


def test_attributes_do_not_hide_what_a_dict_holds(tmp_path):
    hidden = name("collections.OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE + state(items=MADE) + pickle.BUILD
    with pytest.raises(InputError, match="holds no tensors"):
        read(tmp_path / "a.p", hidden)


def test_a_stated_index_reserves_no_memory(tmp_path):
    """C's reader would ask for 32 GB here."""
    body = pickle.NONE + pickle.LONG_BINPUT + (2**32 - 2).to_bytes(4, "little")
    with pytest.raises(InputError, match="holds a NoneType"):
        read(tmp_path / "a.p", body)


def test_random_pickles_end_in_tensors_or_an_error(tmp_path, monkeypatch):
    """Every opcode in every order, with names that would do harm, and mutations of a whole network's pickle."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    calls = []
    monkeypatch.setattr("os.system", calls.append)
    monkeypatch.setattr("builtins.exec", calls.append)
    harmful = ["os.system", "builtins.exec", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter",
               "collections.OrderedDict", "builtins.set", "network.models.Net", "torch.FloatStorage",
               "torch.nn.modules.conv.Conv2d", "functools.partial", "argparse.Namespace"]  # fmt: skip
    pieces = [name(full) for full in harmful] + [ARGUMENT, MADE, state(_modules=state()), short("touch ran")]
    pieces += [bytes([op.code.encode("latin1")[0]]) for op in pickletools.opcodes if op.arg is None]
    pieces += [pickle.BINPUT + b"\1", pickle.BINGET + b"\1", pickle.BININT1 + b"\2", pickle.EXT1 + b"\1"]
    write_zip(tmp_path / "good.p", torch_files.network(ARRAYS, BUFFERS))
    with zipfile.ZipFile(tmp_path / "good.p") as archive:
        good = archive.read("archive/data.pkl")
        parts = {part: archive.read(part) for part in archive.namelist() if not part.endswith("data.pkl")}
    monkeypatch.setattr("builtins.__import__", _forbid(calls, __import__))
    outcomes = set()
    for n in range(1000):
        if n % 2:
            body = b"".join(pieces[i] for i in rng.integers(0, len(pieces), rng.integers(2, 30)))
        else:
            changed = bytearray(good)
            for place in rng.integers(0, len(good), rng.integers(1, 6)):
                changed[place] = rng.integers(256)
            body = bytes(changed)
        try:
            tensors = read(tmp_path / "bad.p", body, parts)
            outcomes.add("read")
            assert all(isinstance(array, np.ndarray) for array in tensors.values())
        except InputError as error:
            outcomes.add(error.problem.split(" (")[0].split(":")[0][:24])
    assert not calls and {path.name for path in tmp_path.iterdir()} == {"good.p", "bad.p"}
    assert len(outcomes) >= 4, outcomes  # reading, refusing and failing were all tried


def _forbid(calls, before):
    def imported(module, *args, **kwargs):
        if module in ("os", "network.models", "posix"):
            calls.append(module)
        return before(module, *args, **kwargs)

    return imported
