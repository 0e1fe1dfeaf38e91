"""Names of an EfficientNet's layers in PyTorch files, of which several namings are in use (arXiv:1905.11946)."""

import functools
import math
import re
from collections.abc import Sequence

from tfdeepfake.models.efficientnet import STAGES, VARIANTS

_B7_REPEATS = tuple(math.ceil(VARIANTS["b7"][1] * stage[0]) for stage in STAGES)

_TIMM_PARTS = {
    "expand_conv": "conv_pw", "bn0": "bn1", "depthwise_conv": "conv_dw", "bn1": "bn2", "project_conv": "conv_pwl",
    "bn2": "bn3", "se_reduce": "se.conv_reduce", "se_expand": "se.conv_expand",
}  # fmt: skip


# Blocks that do not expand have no first convolution, and count from the second.
_TIMM_PARTS_FIRST = _TIMM_PARTS | {"bn1": "bn1", "project_conv": "conv_pw", "bn2": "bn2"}


def module_name(layer: str, prefix: str = "", head: str = "_fc") -> str:
    """PyTorch module of a layer in the most common naming: "blocks_0_se_reduce" -> "_blocks.0._se_reduce"."""
    if layer == "logits":
        return head
    if match := re.fullmatch(r"blocks_(\d+)_(\w+)", layer):
        return f"{prefix}_blocks.{match[1]}._{match[2]}"
    return prefix + (layer if layer == "attconv" else f"_{layer}")


module_name_polimi = functools.partial(module_name, prefix="efficientnet.", head="classifier")


module_name_sbi = functools.partial(module_name, prefix="net.", head="net._fc")
module_name_deepfakebench = functools.partial(module_name, prefix="backbone.efficientnet.", head="backbone.last_layer")


def module_name_siamese(layer: str) -> str:
    """The same in the siamese form of Bonettini et al., a classifier on an embedding network that has its own."""
    own = {"classifier_0": "classifier.0", "feat_ext_classifier": "feat_ext.classifier"}
    return own[layer] if layer in own else module_name(layer, "feat_ext.efficientnet.", "classifier.1")


def module_name_timm(
    layer: str, prefix: str = "encoder.", head: str = "fc", repeats: Sequence[int] = _B7_REPEATS
) -> str:
    """PyTorch module in the naming of timm, which counts blocks by stage: "blocks_4_bn0" of B7 -> "blocks.1.0.bn1"."""
    if layer == "logits":
        return head
    if match := re.fullmatch(r"blocks_(\d+)_(\w+)", layer):
        stage, block = 0, int(match[1])
        while block >= repeats[stage]:
            stage, block = stage + 1, block - repeats[stage]
        return f"{prefix}blocks.{stage}.{block}.{(_TIMM_PARTS if stage else _TIMM_PARTS_FIRST)[match[2]]}"
    return prefix + {"bn0": "bn1", "bn1": "bn2"}.get(layer, layer)
