"""TrainConfig: one training run as data, to and from JSON."""

import dataclasses
import math
from dataclasses import dataclass

from tfdeepfake.data.batches import augment_policies
from tfdeepfake.errors import InputError
from tfdeepfake.settings import check_choices, from_dict, setting

LOSSES = ("auto", "bce", "bce_f1")


@dataclass(frozen=True)
class TrainConfig:
    """One run; each field's meaning is in its `setting`, and in `tfdeepfake train --help`.

    Raises:
      InputError: a field's value is not allowed, or two fields contradict each other.
    """

    network: str = setting("two_stream_video", "name in `tfdeepfake.models.MODELS`")
    network_args: dict = setting(
        {},
        'keyword arguments of the network, a JSON object, for example {"backbone": "small"}; "weights": "imagenet" for '
        "baseline, two_stream_frame, two_stream_video, cnn_rnn, cnn3d and i3d, other published weights come by "
        "`convert` and start_from; the input size comes from the data set's recipe",
    )
    start_from: str | None = setting(
        None,
        "saved model folder whose weights the run begins with (of `convert --fresh-head`, or of another run); its "
        "network_args hold. Read once: the run is resumed without it",
    )
    data: str = setting("synthetic_faces", "prepared data set, `name`, `name/config` or `name/config:version`")
    data_dir: str | None = setting(None, "where prepared data sets lie; None is TFDS's own default")
    epochs: int = setting(10, "passes over the training data")
    batch_size: int = setting(4, "examples per step over all replicas together. P2 4.2.2: 16 frames or 4 videos")
    learning_rate: float = setting(1e-3, 'of Adam. P2 4.2.2 prints "10e-3"')
    schedule: str = setting("constant", "`constant` or `cosine` (decay to zero over all steps)", ("constant", "cosine"))
    warmup_epochs: float = setting(0.0, "linear warm-up before the schedule; may be a fraction")
    loss: str = setting(
        "auto",
        "`bce`, `bce_f1`, or `auto`: BCE for frame networks and BCE + F1 for whole-video ones (P2 4.2.1)",
        LOSSES,
    )
    alpha: float = setting(1.0, "weight of BCE in `bce_f1` (P2 Eq. 4)")
    beta: float = setting(1.0, "weight of F1 in `bce_f1` (P2 Eq. 4)")
    class_weights: str = setting(
        "balanced",
        "`balanced` (inverse class frequency of the training split) or `none`",
        ("balanced", "none"),
    )
    augment: str = setting(
        "none",
        "`none`, `flip`, `p0` (P0 IV-C), `p1` (P1 2.2.5), or operations joined by + "
        "(`data.batches.augment_policies`); one draw for a whole clip and its flow",
    )
    mix: str = setting(
        "none",
        "`none` or `cutmix` (P0 III-B): labels become fractions of area. `loss` `auto` is then BCE, because F1 of "
        "fractions is not best where the output is the fraction; `bce_f1` is refused",
        augment_policies.MIXES,
    )
    precision: str = setting(
        "float32",
        "`float32`, `bfloat16` or `float16` (mixed: weights stay float32)",
        ("float32", "bfloat16", "float16"),
    )
    devices: int = setting(
        1,
        "GPUs of this machine: 1 (the CPU where there is none), N, or 0 for all. Several each take an equal part of "
        "every batch (batch_size needs a multiple of N) and average their gradients: tf.distribute.MirroredStrategy",
    )
    early_stopping_epochs: int = setting(0, "stop after so many epochs without a better validation AUC; 0 never")
    seed: int = setting(0, "of weights, dropout, shuffling and augmentation")

    def __post_init__(self):
        check_choices(self, InputError)
        for name, least in (
            ("epochs", 1), ("batch_size", 1), ("devices", 0), ("early_stopping_epochs", 0), ("seed", 0)
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InputError(name, f"needs an integer of at least {least}, got {value!r}.")
        try:
            augment_policies.steps(self.augment)
        except ValueError as error:
            raise InputError("augment", str(error).removeprefix("augment ")) from None
        if self.mix != "none" and self.loss == "bce_f1":
            raise InputError(
                "loss", f"bce_f1 needs labels of 0 or 1, mix {self.mix!r} makes fractions.", "Use --loss bce."
            )
        if not 0 < self.learning_rate < math.inf:
            raise InputError("learning_rate", f"needs a number above 0, got {self.learning_rate}.")
        for name in ("warmup_epochs", "alpha", "beta"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(name, f"needs a number from 0 on, got {getattr(self, name)}.")

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict, subject: str | object = "config") -> "TrainConfig":
        return from_dict(cls, values, subject)
