"""Published EfficientNets: ImageNet, Bonettini et al. (arXiv:2004.07676), self-blended images (arXiv:2204.08376), the
winner of the DFDC, and DeepfakeBench (arXiv:2307.01426).
"""

import dataclasses

from tfdeepfake.published.entry import DFDC_TERMS, FF_TERMS, Later, Published
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.weights import imagenet

# Sizes in px that the ImageNet files were trained at, and the digits of their sha256 that their names state.
_IMAGENET = {
    "b0": (224, "355c32eb"),
    "b1": (240, "f1951068"),
    "b2": (260, "8bb594d6"),
    "b3": (300, "5fb5a3c3"),
    "b4": (380, "6ed6700e"),
    "b5": (456, "b6417697"),
    "b6": (528, "c76e70fd"),
    "b7": (600, "dcc49843"),
}


def _naming(form):
    return Later(f"tfdeepfake.models.efficientnet_names:module_name_{form}")


def _faces(size_px, margin_frac, **kwargs):
    """32 frames of a video, as all these authors take."""
    settings = {"input_type": "frame", "num_frames": 32, "detector": "mtcnn", "box_smoothing": "frame"} | kwargs
    return DataRecipe(margin_frac=margin_frac, height_px=size_px, width_px=size_px, **settings)


# The authors add 0.2 of the box's height at three sides and twice that above, then shrink the longer side to 224: the
# scale of a margin of 0.3, the face a little lower in the crop.
BONETTINI_DATA = _faces(224, 0.3, detector="blazeface", select="most_confident")
# The authors have dlib's five points; MTCNN's take their place.
DEEPFAKEBENCH_DATA = _faces(256, 0.15, alignment="deepfakebench")
BONETTINI_SETS = {
    "dfdc": "DFDC training parts, split by Bonettini et al.",
    "ffpp": "FaceForensics++ c23, official training split",
}
BONETTINI_ADDRESS = "https://f002.backblazeb2.com/file/icpr2020/{}_bestval-{}.pth"
BONETTINI_LICENCE = "none stated for the weights (their repository: GPL-3.0)"
BONETTINI_TERMS = {"dfdc": DFDC_TERMS, "ffpp": FF_TERMS}
BONETTINI_ACCURACY = "in its authors' paper (arXiv:2004.07676), on the sets it was trained on"
_BONETTINI = {
    ("b4", "dfdc"): "c9f3663e2116d3356d056a0ce6453e0fc412a8df68ebd0902f07104d9129a09a",
    ("b4", "ffpp"): "93aaad84946829e793d1a67ed7e0309b535e2f2395acb4f8d16b92c0616ba8d7",
    ("b4_att", "dfdc"): "72ed969b2a395fffe11a0d5bf0a635e7260ba2588c28683630d97ff7153389fc",
    ("b4_att", "ffpp"): "b0c9e9522a7143cf119843e910234be5e30f77dc527b1b427cdffa5ce3bdbc25",
    ("b4_st", "dfdc"): "86f0a0701b18694dfb5e7837bd09fa8e48a5146c193227edccf59f1b038181c6",
    ("b4_st", "ffpp"): "ccd016668071be5bf5fff68e446d055441739ec7113fb1a6eee998f08396ae92",
    ("b4_att_st", "dfdc"): "4df0ef7d2f380a5955affa78c35d0942ac1cd65229510353b252737775515a33",
    ("b4_att_st", "ffpp"): "ddb357503b9b902e1b925c2550415604c4252b9b9ecafeb7369dc58cc16e9edd",
}
_BONETTINI_FILES = {
    "b4": "EfficientNetB4", "b4_att": "EfficientNetAutoAttB4", "b4_st": "EfficientNetB4ST",
    "b4_att_st": "EfficientNetAutoAttB4ST",
}  # fmt: skip


def _bonettini(form, trained_on, digest):
    siamese = form.endswith("_st")
    return Published(
        network=f"efficientnet_{form}",
        module_name=_naming("siamese" if siamese else "polimi"),
        address=BONETTINI_ADDRESS.format(f"{_BONETTINI_FILES[form]}_{trained_on.upper()}", digest),
        licence=BONETTINI_LICENCE,
        data_terms=BONETTINI_TERMS[trained_on],
        accuracy=BONETTINI_ACCURACY,
        trained_on=BONETTINI_SETS[trained_on],
        data=BONETTINI_DATA,
        positive="fake",
        network_args={"input_size": (224, 224)} | ({"spare_head": True} if siamese else {}),
        # The authors' notebook prints the sigmoid of the mean output.
        video_rule="mean_logit",
        sha256=digest,
        gmacs=1.502,
    )


def _imagenet(variant, size_px, digits):
    return Published(
        network=f"efficientnet_{variant}",
        module_name=Later("tfdeepfake.models.efficientnet_names:module_name"),
        address=imagenet.EFFICIENTNET_FILES.format(variant, digits),
        licence="Apache-2.0",
        trained_on="ImageNet",
        data=_faces(size_px, 0.3),
        network_args={"input_size": (size_px, size_px)},
        sha256=digits,
    )


# Seed and epoch of the seven networks whose average won.
_DFDC_WINNER = ((111, 36), (555, 19), (777, 29), (777, 31), (888, 37), (888, 40), (999, 23))


def _dfdc_winner(seed, epoch):
    return Published(
        network="efficientnet_b7",
        module_name=_naming("timm"),
        address="https://github.com/selimsef/dfdc_deepfake_challenge/releases/download/0.0.1/"
        f"final_{seed}_DeepFakeClassifier_tf_efficientnet_b7_ns_0_{epoch}",
        licence="MIT",
        data_terms=DFDC_TERMS,
        trained_on="DFDC",
        data=_faces(380, 1 / 3, select="all", detector="mtcnn_half", crop="fit"),
        video_rule="confident",
        faces_rule="all",
        positive="fake",
        # timm pads for the input at hand.
        network_args={"input_size": (380, 380), "pad_size": None},
        # Left over from ImageNet; the authors' network does not call it.
        unused=("num_batches_tracked", "encoder.classifier.weight", "encoder.classifier.bias"),
        about_mb=267,
        gmacs=15.112,
        accuracy="the average of all seven won the DFDC (its authors' page); of one alone nothing is stated",
    )


_DFDC_WINNERS = {f"dfdc_winner_b7_{seed}_{epoch}": _dfdc_winner(seed, epoch) for seed, epoch in _DFDC_WINNER}
_ONE = next(iter(_DFDC_WINNERS.values()))

PUBLISHED = {
    **{f"efficientnet_{variant}_imagenet": _imagenet(variant, *known) for variant, known in _IMAGENET.items()},
    **{f"bonettini_{form}_{data}": _bonettini(form, data, digest) for (form, data), digest in _BONETTINI.items()},
    "sbi_b4": Published(
        network="efficientnet_b4",
        module_name=_naming("sbi"),
        address="FFraw.tar or FFc23.tar, linked at https://github.com/mapooon/SelfBlendedImages (a shared drive)",
        licence="non-commercial research only; commercial use needs the authors' agreement",
        data_terms=FF_TERMS,
        trained_on="genuine videos of FaceForensics++, self-blended; raw or c23 as the file's name says",
        # The authors cut RetinaFace boxes with an eighth added on each side, and squeeze them into a square.
        data=_faces(380, 0.125),
        positive=1,
        network_args={"input_size": (380, 380), "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
        gmacs=4.392,
        accuracy="AUC on Celeb-DF v2 .932 with the raw file (its authors' page)",
    ),
    "dfdc_winner": dataclasses.replace(
        _ONE,
        network="ensemble",
        network_args={},
        members=tuple(_DFDC_WINNERS),
        address="the seven files of https://github.com/selimsef/dfdc_deepfake_challenge/releases/tag/0.0.1, by name "
        + ", ".join(_DFDC_WINNERS),
        about_mb=7 * _ONE.about_mb,
        gmacs=7 * _ONE.gmacs,
        # A sample of a face takes some two seconds on two cores; and its authors' rule wants more than eleven.
        cpu_samples=16,
        accuracy="won the DFDC (its authors' page)",
    ),
    **_DFDC_WINNERS,
    "deepfakebench_efficientnetb4": Published(
        network="efficientnet_b4",
        module_name=_naming("deepfakebench"),
        address="https://github.com/SCLBD/DeepfakeBench/releases/download/v1.0.1/effnb4_best.pth",
        licence="CC BY-NC 4.0",
        data_terms=FF_TERMS,
        trained_on="FaceForensics++ c23",
        data=DEEPFAKEBENCH_DATA,
        positive=1,
        network_args={
            "input_size": (256, 256),
            "stem_padding": "valid",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
        },
        num_bytes=70_979_261,
        gmacs=1.952,
        accuracy="AUC over frames: Celeb-DF v2 .749, DFDC .696; FaceForensics++ itself .957 (its authors' page)",
    ),
}
