"""Small files in the layouts of published ones, and the small networks that take them."""

import dataclasses
import inspect
import json
import struct
from pathlib import Path

import h5py
import keras
import numpy as np
from support import torch_files
from support.loopback import serve
from support.verdicts import example

from tfdeepfake import models
from tfdeepfake.files import sha256
from tfdeepfake.published.fetch import file_name
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.weights import torch_assign

TINY_3D = {"input_size": (16, 16), "num_frames": 4, "width": 8, "blocks": (1, 1, 1, 1)}
TINY_EFFICIENTNET = {"input_size": (32, 32), "width": 0.05, "depth": 0.2}
TINY_XCEPTION = {"input_size": (32, 32), "width": 0.05, "middle_blocks": 1}
TINY_SWIN = {"embed_dim": 8, "depths": (1, 2), "heads": (1, 2), "windows": (2, 2)}
# One of each naming and kind of head, with arguments that make its network small.
TINY = {
    "resnet3d_18_2018": TINY_3D,
    "resnet3d_50_kinetics": TINY_3D,
    "r2plus1d_34_kinetics": TINY_3D,
    "resnext3d_101_2018": TINY_3D | {"stem_width": 8, "cardinality": 4},
    "mc3_18_kinetics": TINY_3D,
    "i3d_charades": {"input_size": (32, 32), "num_frames": 8, "width": 8},
    "efficientnet_b0_imagenet": TINY_EFFICIENTNET,
    "bonettini_b4_att_dfdc": TINY_EFFICIENTNET | {"depth": 1.0},  # attention stands behind the ninth block
    "bonettini_b4_st_ffpp": TINY_EFFICIENTNET,
    "sbi_b4": TINY_EFFICIENTNET,
    "dfdc_winner_b7_111_36": {"input_size": (32, 32), "width": 0.05, "depth": 3.1},  # blocks are named by B7's stages
    "deepfakebench_efficientnetb4": TINY_EFFICIENTNET,
    "xception_imagenet": TINY_XCEPTION,
    "faceforensics_xception": TINY_XCEPTION,
    "bonettini_xception_dfdc": TINY_XCEPTION,
    "deepfakebench_xception": TINY_XCEPTION,
    "swin_b_imagenet": {"input_size": (32, 32)} | TINY_SWIN,
    "swin_b_timm": {"input_size": (32, 32)} | TINY_SWIN,
    "vit_b_timm": {"input_size": (16, 16), "patch": 8, "embed_dim": 8, "depth": 2, "heads": 2},
    "gend_clip_l14": {"input_size": (16, 16), "patch": 8, "embed_dim": 8, "depth": 2, "heads": 2},
    "tall_swin": {"input_size": (16, 16), "thumbnail_size": (32, 32), "backbone_args": TINY_SWIN},
}
# Trainable sizes by layer of the file, as the authors' files have them, in the order of their counters.
CONVS = {
    "meso4": [(3, 3, 3, 8), (5, 5, 8, 8), (5, 5, 8, 16), (5, 5, 16, 16)],
    "meso_inception4": [
        *[(1, 1, 3, 1), (1, 1, 3, 4), (3, 3, 4, 4), (1, 1, 3, 4), (3, 3, 4, 4), (1, 1, 3, 2), (3, 3, 2, 2)],
        *[(1, 1, 11, 2), (1, 1, 11, 4), (3, 3, 4, 4), (1, 1, 11, 4), (3, 3, 4, 4), (1, 1, 11, 2), (3, 3, 2, 2)],
        *[(5, 5, 12, 16), (5, 5, 16, 16)],
    ],
}
NORMS = {"meso4": [8, 8, 16, 16], "meso_inception4": [11, 12, 16, 16]}


def write_checkpoint(path, network, first=5, seed=0):
    """A random file in the layout of Keras 2.1; layer counters start at `first`. Returns its arrays."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for number, shape in enumerate(CONVS[network], start=first):
        arrays[f"conv2d_{number}/kernel:0"] = rng.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape)
        arrays[f"conv2d_{number}/bias:0"] = rng.normal(0, 0.1, shape[-1])
    for number, size in enumerate(NORMS[network], start=first):
        for weight in ("gamma", "beta", "moving_mean", "moving_variance"):
            arrays[f"batch_normalization_{number}/{weight}:0"] = rng.uniform(0.5, 1.5, size)
    for number, shape in enumerate([(1024, 16), (16, 1)], start=first):
        arrays[f"dense_{number}/kernel:0"] = rng.normal(0, 0.1, shape)
        arrays[f"dense_{number}/bias:0"] = rng.normal(0, 0.1, shape[-1])
    with h5py.File(path, "w") as file:
        file.create_group("max_pooling2d_1")
        for name, array in arrays.items():
            file[f"{name.split('/')[0]}/{name}"] = array.astype(np.float32)
    return arrays


def tiny(monkeypatch, source):
    """Makes the network of a source small for the length of a test."""
    network = SOURCES[source].network
    whole = models.MODELS[network]

    def small(**arguments):
        return whole(**(arguments | TINY[source]))

    small.__signature__ = inspect.signature(whole)
    monkeypatch.setitem(models.MODELS, network, small)


def to_torch(layer, short, array):
    """The inverse of `torch_assign`' change of axes."""
    if "kernel" not in short or array.ndim < 2:
        return array
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D) or short == "depthwise_kernel"
    return np.moveaxis(array, (-2, -1) if depthwise else (-1, -2), (0, 1))


def original(source, rng):
    """A network with random weights, its tensors in the file's names and axes, and where each came from."""
    known = SOURCES[source]
    classes = {None: 7, "fake": 1, "real": 1, 0: 2, 1: 2}[known.positive]
    model = models.build(known.network, **known.network_args, num_classes=classes)
    layers = {layer.name: layer for layer in model.layers}
    tensors, places = {}, {}
    for variable, names, _ in torch_assign._wanted(model, known.module_name, known.extra(model), ()):
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        layer, short = variable.path.rsplit("/", 2)[-2:]
        array = to_torch(layers[layer], short, np.asarray(variable))
        if source == "gend_clip_l14" and layer == "tokens":
            array = array.squeeze()  # token and positions have no axis for the batch there
        # What the network joins lies in the file in parts, by outputs.
        tensors |= dict(zip(names, np.split(array, len(names)) if len(names) > 1 else [array], strict=True))
        places |= dict.fromkeys(names, (variable.path, np.asarray(variable)))
    return known, tensors, places


def write_safetensors(path, arrays):
    arrays = {name: array.astype("float32") for name, array in arrays.items()}
    header, start = {}, 0
    for name, array in arrays.items():
        entry = {"dtype": "F32", "shape": array.shape, "data_offsets": [start, start + array.nbytes]}
        header[name], start = entry, start + array.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for a in arrays.values()))


# A convolution of each family, whose name its naming rules know.
_FIRST = {"efficientnet": "conv_stem", "xception": "conv1"}


def shallow(monkeypatch, source):
    """Makes the network of a source one convolution and its head for the length of a test: its file has two tensors
    under the file's names for them. MesoNet stays as it is; a transformer becomes `tiny`.
    """
    network = SOURCES[source].network
    if SOURCES[source].load_keras:
        return
    if source in TINY and "patch" in TINY[source]:
        tiny(monkeypatch, source)
        return

    def small(num_classes=1, **arguments):
        frames = keras.Input((32, 32, 3), name="frames")
        first = next(name for family, name in _FIRST.items() if network.startswith(family))
        x = keras.layers.Conv2D(4, 3, use_bias=False, name=first)(keras.ops.cast(frames, "float32") / 255.0)
        x = keras.layers.GlobalAveragePooling2D(name="embedding")(x)
        return keras.Model({"frames": frames}, keras.layers.Dense(num_classes, name="logits", dtype="float32")(x))

    small.__signature__ = inspect.signature(models.MODELS[network])
    monkeypatch.setitem(models.MODELS, network, small)


def write_published(path, source, rng):
    """A small file in the layout of a published detector, whose network `shallow` has made small."""
    if SOURCES[source].load_keras:
        write_checkpoint(path, SOURCES[source].network)
        return
    tensors = original(source, rng)[1]
    if path.suffix == ".safetensors":
        write_safetensors(path, tensors)
    else:
        torch_files.write_zip(path, torch_files.tensors(tensors))


def publish(monkeypatch, site, source, folder, name="small", rng=None):
    """Puts a small file of a source on the server, as its published one."""
    shallow(monkeypatch, source)
    known = SOURCES[source]
    path = folder / f"{name}{Path(file_name(source)).suffix}"
    write_published(path, source, rng or np.random.default_rng(0))
    size = 256
    if not known.load_keras:
        height, size = (int(n) for n in models.build(known.network, **known.network_args).inputs[0].shape[1:3])
        assert height == size
    small = dataclasses.replace(
        known,
        address=site.address(f"/{path.name}"),
        sha256=sha256(path) if known.sha256 else None,
        num_bytes=path.stat().st_size if known.num_bytes else None,
        data=dataclasses.replace(known.data, height_px=size, width_px=size),
    )
    site[f"/{path.name}"] = serve(path.read_bytes())
    monkeypatch.setitem(SOURCES, source, small)
    return path, size


def noisy_crops(size, count=3):
    """Examples of noisy crops in the size that a network takes."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (count, 1, size, size, 3), dtype=np.uint8)
    return [dataclasses.replace(example(0.5, frame=k), frames=frames[k]) for k in range(count)]
