"""Several networks that vote, as one network: an ensemble saves, exports and scores like any other (P0 III-B, C).

`ensemble` builds its members by name, `ensemble_of` puts trained ones together; `ensemble3d` and `fusion_2d_3d` are
P0's.
"""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras import Input, Model, layers, ops, saving

from tfdeepfake.layers.resizing import AntialiasedResize
from tfdeepfake.models.networks import NETWORKS, build_from

if TYPE_CHECKING:
    import keras

RULES = ("soft", "logit", "hard")
# Which frames of the ensemble's clip a clip network of fewer sees.
MEMBER_FRAMES = ("consecutive", "spaced")
# P0 III-B. The sizes are those each was published with; a shorter one sees the middle of the ensemble's clip.
ENSEMBLE3D = (
    ("i3d", {"input_size": (224, 224), "num_frames": 64}),
    ("resnet3d_34", {"input_size": (112, 112), "num_frames": 16}),
    ("mc3_18", {"input_size": (112, 112), "num_frames": 16}),
    ("r2plus1d_18", {"input_size": (112, 112), "num_frames": 16}),
)
ATTENTION2D = (("attention2d", {"input_size": (224, 224)}),)


def ensemble(
    members: tuple = (("efficientnet_b4", {}), ("efficientnet_b4_att", {})),
    weights: Sequence[float] | None = None,
    rule: str = "soft",
    input_size: tuple | None = None,
    num_frames: int | None = None,
    num_frames_2d: int | None = None,
    num_classes: int = 1,
    dropout: float | None = None,
    member_frames: str = "consecutive",
    temperatures: Sequence[float] | None = None,
) -> Model:
    """The vote of networks built by name.

    Args:
      members: (name in MODELS, dict of its arguments) each.
      weights, rule, input_size, num_frames, num_frames_2d, member_frames, temperatures: see `ensemble_of`.
      num_classes, dropout: of every member, where given.
    Returns:
      keras.Model, see `ensemble_of`.
    """
    sizes = input_size, num_frames, num_frames_2d, num_classes, dropout
    return _named("ensemble", members, weights, rule, *sizes, member_frames, temperatures)


def ensemble3d(
    members: tuple = ENSEMBLE3D,
    weights: Sequence[float] | None = None,
    rule: str = "soft",
    input_size: tuple | None = None,
    num_frames: int | None = None,
    num_classes: int = 1,
    dropout: float | None = None,
) -> Model:
    """P0 III-B: I3D, 3D ResNet-34, MC3 and R(2+1)D, each with the same vote where `weights` does not say otherwise.

    For arguments and return see `ensemble`.
    """
    return _named("ensemble3d", members, weights, rule, input_size, num_frames, None, num_classes, dropout)


def fusion_2d_3d(
    members_2d: tuple = ATTENTION2D,
    members_3d: tuple = ENSEMBLE3D,
    weight_3d: float = 0.6,
    rule: str = "soft",
    input_size: tuple | None = None,
    num_frames: int | None = None,
    num_frames_2d: int = 10,
    num_classes: int = 1,
    dropout: float | None = None,
) -> Model:
    """P0 III-C: frame networks vote among each other, clip networks too, and the vote of the latter weighs more.

    P0 gives the 3D part "a higher weight" and no number; choose it on validation data.

    Args:
      members_2d, members_3d: as `members` of `ensemble`.
      weight_3d: fraction of the vote that the 3D part has, more than 0 and less than 1.
      num_frames_2d: frames that the 2D part sees; 10 in P0 IV-C, where the clip has as many.
      rule, input_size, num_frames, num_classes, dropout: see `ensemble`.
    Returns:
      keras.Model, see `ensemble_of`.
    """
    if not 0 < weight_3d < 1:
        raise ValueError(f"weight_3d needs more than 0 and less than 1, got {weight_3d!r}.")
    members_2d, members_3d = list(members_2d), list(members_3d)
    if not members_2d or not members_3d:
        raise ValueError("fusion_2d_3d needs members of both kinds.")
    weights = [(1 - weight_3d) / len(members_2d)] * len(members_2d) + [weight_3d / len(members_3d)] * len(members_3d)
    members = members_2d + members_3d
    return _named("fusion_2d_3d", members, weights, rule, input_size, num_frames, num_frames_2d, num_classes, dropout)


def _named(
    name, members, weights, rule, input_size, frames, num_frames_2d, num_classes, dropout,
    member_frames="consecutive", temperatures=None,
):  # fmt: skip
    common = {"num_classes": num_classes} | ({} if dropout is None else {"dropout": dropout})
    built = [build_from(NETWORKS, network, **common | dict(args)) for network, args in members]
    return ensemble_of(built, weights, rule, input_size, frames, num_frames_2d, name, member_frames, temperatures)


def ensemble_of(
    members: Sequence,
    weights: Sequence[float] | None = None,
    rule: str = "soft",
    input_size: tuple | None = None,
    num_frames: int | None = None,
    num_frames_2d: int | None = None,
    name: str = "ensemble",
    member_frames: str = "consecutive",
    temperatures: Sequence[float] | None = None,
) -> Model:
    """The vote of networks, as one flat network of their layers with their weights copied.

    Layers of member k (from 1) are prefixed with "m<k>_"; only the map of the member that weighs most is called
    `features`. `embedding` is the members' logits side by side. A frame network that votes with clip networks sees
    every frame; the mean of its probabilities is its vote. `ensemble` with the same members takes the same weights
    file.

    Args:
      members: keras.Models of this package with the same outputs.
      weights: one number per member, 0 or more; equal when not given. Only their ratios count.
      rule: "soft", the mean of probabilities; "logit", the mean of logits; "hard", the fraction of members on
        each side: of M members k votes become the probability (k + 1/2) / (M + 1), which keeps the logit finite. "hard"
        has no gradient.
      input_size: (height, width) of the frames; the largest of the members' when not given. Members of another size
        get them resized.
      num_frames: T of the clip; the longest of the members' when not given.
      num_frames_2d: how many frames, spaced over the clip, frame networks see; all when not given.
      name: of the model.
      member_frames: which frames clip networks of fewer see, as in training: "consecutive", the middle ones, or
        "spaced" over the clip.
      temperatures: one number per member, by which its logits are divided before they vote; 1 when not given.
    Returns:
      keras.Model of the inputs that the members have -> float32 [B, num_classes].
    Raises:
      ValueError: no members, outputs or flow maps of different sizes, or an argument out of range.
    """
    members = list(members)
    shapes = [{tensor.name: tuple(tensor.shape[1:]) for tensor in member.inputs} for member in members]
    weights = _checked(members, weights, rule)
    temperatures = [1.0] * len(members) if temperatures is None else [float(value) for value in temperatures]
    if len(temperatures) != len(members) or min(temperatures) <= 0:
        raise ValueError(f"temperatures needs {len(members)} numbers above 0, got {temperatures}.")
    if member_frames not in MEMBER_FRAMES:
        raise ValueError(f"member_frames needs one of {MEMBER_FRAMES}, got {member_frames!r}.")
    clips = [shape["frames"] for shape in shapes if len(shape["frames"]) == 4]
    size = tuple(input_size) if input_size else max((s["frames"][-3:-1] for s in shapes), key=lambda hw: hw[0] * hw[1])
    length = (num_frames or max(shape[0] for shape in clips),) if clips else ()
    if num_frames and not clips:
        raise ValueError(f"num_frames needs None where all members are frame networks, got {num_frames!r}.")
    inputs = {
        key: Input((*length, *size, channels), dtype="float32", name=key)
        for key, channels in (("frames", 3), ("flow", 2))
        if any(key in shape for shape in shapes)
    }
    heaviest = max(range(len(members)), key=lambda k: weights[k])
    votes = []
    for number, (member, shape) in enumerate(zip(members, shapes, strict=True)):
        prefix = f"m{number + 1}_"
        wanted = (num_frames_2d or length[0]) if length and len(shape["frames"]) == 3 else None
        given = {key: _adapted(inputs[key], shape[key], wanted, member_frames, prefix + key) for key in shape}
        vote = _graft(member, given, prefix, "features" if number == heaviest else None)
        if temperatures[number] != 1:
            vote = layers.Rescaling(1 / temperatures[number], dtype="float32", name=f"{prefix}temperature")(vote)
        if wanted:
            vote = Vote("logit" if rule == "logit" else "soft", dtype="float32", name=f"{prefix}frames_vote")(
                ops.reshape(vote, (-1, wanted, vote.shape[-1]))
            )
        votes.append(vote)
    x = layers.Concatenate(dtype="float32", name="embedding")(votes) if len(votes) > 1 else votes[0]
    if len(votes) == 1:
        x = layers.Activation("linear", dtype="float32", name="embedding")(x)
    x = ops.reshape(x, (-1, len(votes), votes[0].shape[-1]))
    return Model(inputs, Vote(rule, weights, dtype="float32", name="logits")(x), name=name)


def _checked(members, weights, rule):
    """The weights as floats that sum to 1."""
    if not members:
        raise ValueError("members needs one network or more, got none.")
    if rule not in RULES:
        raise ValueError(f"rule needs one of {RULES}, got {rule!r}.")
    if len({member.output.shape[-1] for member in members}) > 1:
        raise ValueError(f"members needs equal outputs, got {[member.output.shape[-1] for member in members]}.")
    weights = [1.0] * len(members) if weights is None else [float(weight) for weight in weights]
    if len(weights) != len(members) or min(weights) < 0 or not sum(weights) > 0:
        raise ValueError(f"weights needs {len(members)} numbers of 0 or more, not all 0; got {weights}.")
    return [weight / sum(weights) for weight in weights]


def _adapted(x, shape, num_frames_2d, member_frames, name):
    """The ensemble's input as a member wants it; with `num_frames_2d` frames of the clip are folded into the batch."""
    if len(x.shape) == 5:
        length = num_frames_2d or shape[0]
        if length > x.shape[1]:
            raise ValueError(f"{name} needs {length} frames, the ensemble has {x.shape[1]}: give it more `num_frames`.")
        if length < x.shape[1]:
            first, spaced = (x.shape[1] - length) // 2, num_frames_2d or member_frames == "spaced"
            frames = [(2 * n + 1) * x.shape[1] // (2 * length) if spaced else first + n for n in range(length)]
            x = ops.take(x, frames, axis=1)
    height, width = shape[-3:-1]
    resize = tuple(x.shape[-3:-1]) != (height, width)
    if resize and shape[-1] == 2:
        raise ValueError(f"{name} needs maps of {height} x {width} px, the ensemble's are {tuple(x.shape[-3:-1])}.")
    folds = len(x.shape) == 5 and (resize or num_frames_2d)
    if folds:
        length, x = x.shape[1], ops.reshape(x, (-1, *x.shape[2:]))
    if resize:
        x = AntialiasedResize((height, width))(x)
    if folds and not num_frames_2d:
        x = ops.reshape(x, (-1, length, *x.shape[1:]))
    return x


def _graft(member, inputs, prefix, features):
    """Rebuilds a network's layers on other inputs, with its weights; returns its output there."""
    copies = {}

    def renamed(operation):
        if id(operation) not in copies:
            name = features if features and operation.name == "features" else prefix + operation.name
            if isinstance(operation, layers.Layer):
                new = operation.__class__.from_config(operation.get_config() | {"name": name})
            else:
                new = copy.copy(operation)  # a plain op has no weights, but remembers where it was called
                new.name, new._inbound_nodes, new._outbound_nodes = name, [], []
            copies[id(operation)] = new
        return copies[id(operation)]

    # The walk that keras.models.clone_model makes; that wraps its result in a model of its own, which would nest.
    output = member._run_through_graph(inputs, operation_fn=renamed)
    for layer in member.layers:
        if id(layer) in copies and layer.weights:
            copies[id(layer)].set_weights(layer.get_weights())
            copies[id(layer)].trainable = layer.trainable
    return output


@saving.register_keras_serializable("tfdeepfake")
class Vote(layers.Layer):
    """One logit (or K) from those of several members.

    Args:
      rule: "soft", "logit" or "hard", see `ensemble_of`.
      weights: one per member, summing to 1; equal when None.
    """

    def __init__(self, rule="soft", weights=None, **kwargs):
        super().__init__(**kwargs)
        self.rule, self.member_weights = rule, weights

    def call(self, x) -> "keras.KerasTensor":
        """[B, M, K] -> [B, K]."""
        members, classes = x.shape[1:]
        weights = ops.convert_to_tensor(self.member_weights or [1 / members] * members, dtype="float32")[:, None]
        x = ops.cast(x, "float32")
        if self.rule == "logit":
            return ops.sum(weights * x, axis=1)
        if self.rule == "hard":
            fake = ops.cast(x > 0, "float32") + 0.5 * ops.cast(x == 0, "float32")
            sides = fake if classes == 1 else ops.one_hot(ops.argmax(x, axis=-1), classes)
            sides = members * ops.sum(weights * sides, axis=1) + 0.5
            return ops.log(sides) - (ops.log(members + 1 - sides) if classes == 1 else 0.0)
        if classes > 1:
            return ops.logsumexp(ops.log_softmax(x) + _log(weights), axis=1)
        # Both probabilities as logarithms: members surer than 1 - 1e-7 still count.
        return ops.logsumexp(ops.log_sigmoid(x) + _log(weights), axis=1) - ops.logsumexp(
            ops.log_sigmoid(-x) + _log(weights), axis=1
        )

    def compute_output_shape(self, input_shape) -> tuple:
        return (input_shape[0], input_shape[2])

    def get_config(self) -> dict:
        return super().get_config() | {"rule": self.rule, "weights": self.member_weights}


def _log(weights):
    # A weight of 0 becomes one too small to matter, because the logarithm of 0 would make gradients NaN.
    return ops.log(ops.maximum(weights, 1e-30))
