"""What `imagenet` and `kinetics` mean for a network: the published file that a run of it starts from."""

import re
from dataclasses import dataclass

from tfdeepfake.errors import InputError
from tfdeepfake.published.entry import Published
from tfdeepfake.published.sources import SOURCES

KINDS = ("imagenet", "kinetics")
# Of networks that fetch and fit the file themselves, when they are built with weights="imagenet".
RESNET50 = Published(
    network="baseline",
    module_name=None,
    address="https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    licence="MIT (Kaiming He's, as keras.applications states)",
    trained_on="ImageNet",
    data=SOURCES["efficientnet_b0_imagenet"].data,
)
GOOGLENET = Published(
    network="i3d",
    module_name=None,
    address="https://download.pytorch.org/models/googlenet-1378be20.pth",
    licence="BSD-3-Clause (torchvision)",
    trained_on="ImageNet",
    data=SOURCES["i3d_kinetics"].data,
    sha256="1378be20",
)
_ON_RESNET50 = ("baseline", "two_stream_frame", "two_stream_video", "cnn_rnn", "cnn3d", "tall_resnet50")
_BY_BACKBONE = {
    "swin": "swin_b_imagenet22k",
    "vit": "vit_b_timm",
    "efficientnet_b4": "efficientnet_b4_imagenet",
}
_TALL = {"tall_swin": "swin", "tall_plus_plus": "swin", "tall_vit": "vit", "tall_efficientnet_b4": "efficientnet_b4"}


@dataclass(frozen=True)
class OwnWay:
    """A network fetches its file itself: `known` says what it is."""

    known: Published


def pretrained(kind: str, network: str, network_args: dict) -> str | OwnWay:
    """The file that a network starts from.

    Args:
      kind: "imagenet" or "kinetics".
      network: name in `models.MODELS`.
      network_args: its arguments.
    Returns:
      A key of `SOURCES`, or `OwnWay`.
    Raises:
      InputError: there is none; names what there is.
    """
    source = _source(kind, network, network_args.get("backbone"))
    if isinstance(source, OwnWay) or source in SOURCES:
        return source
    raise InputError("start_from", f"no {kind} weights of {network} are published.", way_to_weights(network))


def _source(kind, network, backbone=None):
    """A name that may not be in `SOURCES`, None, or `OwnWay`."""
    return f"{network}_kinetics" if kind == "kinetics" else _imagenet(network, backbone)


def _imagenet(network, backbone):
    if network == "i3d":
        return OwnWay(GOOGLENET)
    if network in _TALL or network == "tall_resnet50":
        backbone = backbone or _TALL.get(network, "resnet50")
    if network in _ON_RESNET50 + tuple(_TALL) and backbone in (None, "resnet50"):
        return OwnWay(RESNET50)
    if network in _TALL or network == "tall_resnet50":
        return _BY_BACKBONE.get(backbone)
    if variant := re.match(r"efficientnet_b\d", "efficientnet_b4" if network == "attention2d" else network):
        return f"{variant[0]}_imagenet"
    return {
        "xception": "xception_imagenet",
        "xception_st": "xception_imagenet",
        "swin_b": "swin_b_imagenet",
        "vit_b": "vit_b_timm",
    }.get(network)


def way_to_weights(network: str) -> str:
    """A sentence on what a run of a network can start from."""
    ways = {kind: _source(kind, network) for kind in KINDS}
    kinds = [kind for kind, source in ways.items() if isinstance(source, OwnWay) or source in SOURCES]
    names = [name for name, known in SOURCES.items() if known.network == network]
    if not kinds and not names:
        return "Leave it out: no published weights of this network are known."
    return f"Use --start-from with one of {', '.join(dict.fromkeys(kinds + names))}, or a saved model folder."
