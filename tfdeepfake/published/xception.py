"""Published Xceptions: ImageNet, FaceForensics++ (arXiv:1901.08971), Bonettini et al. (arXiv:2004.07676), and
DeepfakeBench (arXiv:2307.01426).
"""

from tfdeepfake.published.efficientnet import (
    BONETTINI_ACCURACY,
    BONETTINI_ADDRESS,
    BONETTINI_DATA,
    BONETTINI_LICENCE,
    BONETTINI_SETS,
    BONETTINI_TERMS,
    DEEPFAKEBENCH_DATA,
)
from tfdeepfake.published.entry import FF_TERMS, Later, Published
from tfdeepfake.recipe import DataRecipe

_BONETTINI = {
    "dfdc": "e826cdb64d73ef491e6b8ff8fce0e1e1b7fc1d8e2715bc51a56280fff17596f9",
    "ffpp": "bb119e4913cb8f816cd28a03f81f4c603d6351bf8e3f8e3eb99eebc923aecd22",
}
# The authors cut dlib boxes, 1.3 times as large.
_FF_DATA = DataRecipe(
    input_type="frame",
    num_frames=32,
    detector="mtcnn",
    margin_frac=0.15,
    height_px=299,
    width_px=299,
    box_smoothing="frame",
)


def _naming(form):
    return Later(f"tfdeepfake.models.xception:module_name_{form}")


def _bonettini(trained_on, digest):
    return Published(
        network="xception",
        module_name=_naming("polimi"),
        address=BONETTINI_ADDRESS.format(f"Xception_{trained_on.upper()}", digest),
        licence=BONETTINI_LICENCE,
        data_terms=BONETTINI_TERMS[trained_on],
        accuracy=BONETTINI_ACCURACY,
        trained_on=BONETTINI_SETS[trained_on],
        data=BONETTINI_DATA,
        positive="fake",
        # All networks of these authors get ImageNet's mean and standard deviation, Xception too.
        network_args={"input_size": (224, 224), "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
        video_rule="mean_logit",
        sha256=digest,
        gmacs=4.551,
    )


def _faceforensics(naming, head):
    return Published(
        network="xception",
        module_name=_naming(naming),
        address="one of the Xceptions in http://kaldir.vc.in.tum.de/FaceForensics/models/faceforensics++_models.zip "
        f"(whole networks, as they are), or a state dict of one; with the head {head}",
        licence="none stated for the weights (code: MIT)",
        data_terms=FF_TERMS,
        trained_on="FaceForensics++, compressed as the file's name says",
        data=_FF_DATA,
        positive=1,
        network_args={"input_size": (299, 299)},
        gmacs=8.355,
        unreachable="the server seems to be gone (https://github.com/ondyari/FaceForensics/issues/65)",
    )


_ADJUST_CHANNEL = ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var")
PUBLISHED = {
    "xception_imagenet": Published(
        network="xception",
        module_name=Later("tfdeepfake.models.xception:module_name"),
        address="http://data.lip6.fr/cadene/pretrainedmodels/xception-43020ad28.pth",
        licence="none stated for the weights; the package they come with says MIT",
        trained_on="ImageNet",
        data=_FF_DATA,
        network_args={"input_size": (299, 299)},
        sha256="43020ad28",
        unreachable="the server seems to be gone",
    ),
    "faceforensics_xception": _faceforensics("faceforensics", "model.last_linear.1"),
    "faceforensics_xception_plain": _faceforensics("faceforensics_plain", "model.last_linear"),
    "deepfakebench_xception": Published(
        network="xception",
        module_name=_naming("deepfakebench"),
        # Copies with different checksums are about, and its authors state none.
        address="https://github.com/SCLBD/DeepfakeBench/releases/download/v1.0.1/xception_best.pth",
        licence="CC BY-NC 4.0",
        data_terms=FF_TERMS,
        trained_on="FaceForensics++ c23",
        data=DEEPFAKEBENCH_DATA,
        positive=1,
        network_args={"input_size": (256, 256)},
        # In the file, and not called by the authors' network.
        unused=("num_batches_tracked", *(f"backbone.adjust_channel.{part}" for part in _ADJUST_CHANNEL)),
        num_bytes=87_763_531,
        gmacs=5.951,
        accuracy="AUC over frames: Celeb-DF v2 .737, DFDC .708; FaceForensics++ itself .964 (its authors' page)",
    ),
    **{f"bonettini_xception_{data}": _bonettini(data, digest) for data, digest in _BONETTINI.items()},
}
