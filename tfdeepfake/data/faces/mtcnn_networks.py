"""P-, R- and O-Net of MTCNN as LiteRT networks, made from the weight files inside the `mtcnn` package."""

import functools
import importlib.util
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.litert.network import Network
from tfdeepfake.litert.write import conv, max_pool, prelu, write_network

# Windows of R- and O-Net in one call. More are no faster: the maps of a few stay in the processor's cache.
PIECE = 8
# P-Net's levels that are kept ready; a size of frame has about ten.
LEVELS_KEPT = 24


def load_weights() -> tuple[list[np.ndarray], ...]:
    """Weights of P-, R- and O-Net as the `mtcnn` package ships them.

    Only the three weight files are read; the package's code is not imported.

    Returns:
      tuple of three lists of float32 arrays, in the order of the layers.
    Raises:
      InputError: the package is not installed or its files are not the known ones.
    """
    remedy = 'Install it: pip install "mtcnn>=1.0.0" lz4'
    spec = importlib.util.find_spec("mtcnn")
    if spec is None or not spec.origin:
        raise InputError(
            "mtcnn", "this package, which holds the weights of the face detector, is not installed.", remedy
        )
    folder = Path(spec.origin).parent / "assets" / "weights"
    lists = []
    for name, first, last in (("pnet", 10, 2), ("rnet", 28, 2), ("onet", 32, 2)):
        path = folder / f"{name}.lz4"
        try:
            import joblib
            import lz4.frame

            # Unpacked here: on Python 3.13 the file object that joblib would unpack with complains when it is dropped.
            pickled = io.BytesIO(lz4.frame.decompress(path.read_bytes()))
            arrays = [np.asarray(a, np.float32) for a in joblib.load(pickled)]
        except (ImportError, OSError, ValueError, EOFError, RuntimeError) as error:
            raise InputError(path, f"cannot be read ({error}).", remedy) from error
        if arrays[0].shape != (3, 3, 3, first) or arrays[-1].shape != (last,):
            raise InputError(path, f"holds no {name} weights (first shape {arrays[0].shape}).", remedy)
        lists.append(arrays)
    return tuple(lists)


def _first(kernel, bias):
    """The first convolution with the scaling (x - 127.5) / 128 of its input inside."""
    kernel = kernel.astype(np.float64) / 128
    return conv(kernel, bias - 127.5 * kernel.sum((0, 1, 2)))


def _dense(kernel, bias, side):
    """A dense layer over a map of side x side as a convolution; its weights were trained on maps with x before y."""
    return conv(kernel.reshape(side, side, -1, kernel.shape[-1]).transpose(1, 0, 2, 3), bias)


def _heads(*pairs):
    """Several outputs as one convolution; a softmax of two is a sigmoid of the difference."""
    *rest, (kernel, bias) = pairs
    kernels, biases = zip(*rest, (kernel[..., 1:] - kernel[..., :1], bias[1:] - bias[:1]), strict=True)
    kernel = np.concatenate(kernels, -1)
    return conv(kernel.reshape(1, 1, *kernel.shape[-2:]), np.concatenate(biases, -1))


@functools.cache
def _contents():
    """The three networks as contents of .tflite files."""
    p, r, o = load_weights()
    # fmt: off
    pnet = [
        _first(*p[0:2]), prelu(p[2]), max_pool(2, "SAME"),
        conv(*p[3:5]), prelu(p[5]),
        conv(*p[6:8]), prelu(p[8]),
        _heads(p[9:11], p[11:]),
    ]
    rnet = [
        _first(*r[0:2]), prelu(r[2]), max_pool(3, "SAME"),
        conv(*r[3:5]), prelu(r[5]), max_pool(3, "VALID"),
        conv(*r[6:8]), prelu(r[8]),
        _dense(*r[9:11], side=3), prelu(r[11]),
        _heads(r[12:14], r[14:]),
    ]
    onet = [
        _first(*o[0:2]), prelu(o[2]), max_pool(3, "SAME"),
        conv(*o[3:5]), prelu(o[5]), max_pool(3, "VALID"),
        conv(*o[6:8]), prelu(o[8]), max_pool(2, "SAME"),
        conv(*o[9:11]), prelu(o[11]),
        _dense(*o[12:14], side=3), prelu(o[14]),
        _heads(o[15:17], o[17:19], o[19:]),
    ]
    # fmt: on
    return (
        write_network(pnet, (1, -1, -1, 3)),
        write_network(rnet, (PIECE, 24, 24, 3)),
        write_network(onet, (PIECE, 48, 48, 3)),
    )


@functools.cache
def networks(threads: int | None = None) -> tuple[Callable[[np.ndarray], np.ndarray], ...]:
    """The three networks, loaded once per process.

    Args:
      threads: CPU threads; `litert.network.cpu_threads()` when None.
    Returns:
      (pnet, rnet, onet): functions uint8 [B, H, W, 3] -> float32 arrays:
        pnet: [B, h, w, 5], box offsets and the logit of "face", for every second pixel.
        rnet: [B, 5], offsets and logit, of 24 x 24 windows.
        onet: [B, 15], offsets, five x and five y of landmarks, logit, of 48 x 48 windows.
    """
    p, r, o = _contents()

    @functools.lru_cache(LEVELS_KEPT)
    def of_size(height, width):
        # One for each size: an interpreter takes as long to change its size as for a small level.
        return Network(p, threads)

    def pnet(frames):
        network = of_size(*frames.shape[1:3])
        return np.concatenate([network(input=frame[None])["output"] for frame in frames])

    def of_windows(content):
        network = Network(content, threads)

        def run(windows):
            parts = [np.zeros([0, *network.outputs["output"][0][1:]], np.float32)]
            for first in range(0, len(windows), PIECE):
                piece = windows[first : first + PIECE]
                full = np.zeros([PIECE, *piece.shape[1:]], np.float32)
                full[: len(piece)] = piece
                parts.append(network(input=full)["output"][: len(piece)])
            return np.concatenate(parts)[:, 0, 0]

        return run

    return pnet, of_windows(r), of_windows(o)
