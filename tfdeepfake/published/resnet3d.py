"""Kinetics checkpoints of 3D ResNets, ResNeXt and R(2+1)D by Hara et al.

The weights of P3's networks (`models.resnet3d.module_name_nonlocal`) are not published.
"""

from tfdeepfake.published.entry import KINETICS_TERMS, Later, Published
from tfdeepfake.recipe import DataRecipe

_MODULE_NAME = Later("tfdeepfake.models.resnet3d:module_name")
_HARA = "https://github.com/kenshohara/3D-ResNets-PyTorch links the files (a shared drive); one of"
_OTHERS = "others trained with https://github.com/kenshohara/3D-ResNets-PyTorch; its authors offer none"
_LICENCE = "MIT (the repository's, which links the weights)"
# P3 Sec. 4: 16 neighbouring frames of 112 x 112, faces with 1.3 times their box.
_DATA = DataRecipe(
    input_type="clip", sampling="consecutive", num_frames=16, num_clips=4, margin_frac=0.15, height_px=112, width_px=112
)


# The letters in the files' names: K is Kinetics-700, M Moments in Time, S STAIR Actions.
_MERGED = "Kinetics-700, or what it was merged with as the file's name says (action classes)"


def _kinetics(network, files, trained_on=_MERGED, **network_args):
    terms = {"data_terms": KINETICS_TERMS, "network_args": network_args}
    return Published(network, _MODULE_NAME, f"{_HARA} {files}", _LICENCE, trained_on, _DATA, **terms)


def _kinetics_2018(network, files, **network_args):
    return _kinetics(network, f"{files} (the older ones)", "Kinetics-400 (action classes)", **network_args, **_2018)


def _others(network):
    return Published(network, _MODULE_NAME, _OTHERS, "that of who trained it", "unknown", _DATA)


# The files of 2018 were trained on pixels 0..255 minus the mean of ActivityNet, without a scale: the defaults of their
# code (norm_value 1, mean_dataset activitynet, std_norm off).
_2018 = {
    "mean": tuple(value / 255 for value in (114.7748, 107.7354, 99.4750)),
    "std": (1 / 255,) * 3,
}

PUBLISHED = {
    **{
        f"resnet3d_{depth}_kinetics": _kinetics(f"resnet3d_{depth}", f"r3d{depth}_*_200ep.pth")
        for depth in (18, 34, 50, 101, 152, 200)
    },
    "r2plus1d_hara_18_kinetics": _kinetics("r2plus1d_hara_18", "r2p1d18_*_200ep.pth"),
    "r2plus1d_34_kinetics": _kinetics("r2plus1d_34", "r2p1d34_*_200ep.pth"),
    "r2plus1d_50_kinetics": _kinetics("r2plus1d_50", "r2p1d50_*_200ep.pth"),
    "r2plus1d_101_kinetics": _others("r2plus1d_101"),
    "resnext3d_101_kinetics": _others("resnext3d_101"),
    **{
        f"resnet3d_{depth}_2018": _kinetics_2018(
            f"resnet3d_{depth}", f"resnet-{depth}-kinetics.pth", shortcut="A" if depth < 50 else "B"
        )
        for depth in (18, 34, 50, 101, 152, 200)
    },
    "resnext3d_101_2018": _kinetics_2018("resnext3d_101", "resnext-101-kinetics.pth", stem_width=64),
}
