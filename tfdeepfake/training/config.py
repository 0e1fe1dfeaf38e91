"""TrainConfig: one training run as data, to and from JSON."""

import dataclasses
from dataclasses import dataclass, field

from tfdeepfake.data.batches import augment_policies
from tfdeepfake.errors import InputError

# Papers are P0..P4 of the README's list.
LOSSES = ("auto", "bce", "bce_f1")


@dataclass(frozen=True)
class TrainConfig:
    """One run.

    Args:
      network: name in `tfdeepfake.models.MODELS`.
      network_args: keyword arguments of the network, a JSON object (widths, backbone, "weights": "imagenet"); the input
        size comes from the data set's recipe.
      start_from: saved model folder whose weights the run begins with (of `convert --fresh-head`, or of another run);
        its network_args hold. Read once: the run goes on without it.
      data: prepared data set, `name`, `name/config` or `name/config:version`.
      data_dir: where prepared data sets lie; None is TFDS's own default.
      epochs: passes over the training data.
      batch_size: examples per step over all replicas together. P2 4.2.2: 16 frames or 4 videos.
      learning_rate: of Adam. P2 4.2.2 prints "10e-3".
      schedule: `constant` or `cosine` (decay to zero over all steps).
      warmup_epochs: linear warm-up before the schedule; may be a fraction.
      loss: `bce`, `bce_f1`, or `auto`: BCE for frame networks and BCE + F1 for whole-video ones (P2 4.2.1).
      alpha, beta: weights of BCE and F1 in `bce_f1` (P2 Eq. 4).
      class_weights: `balanced` (inverse class frequency of the training split) or `none`.
      augment: `none`, `flip`, `p0` (P0 IV-C), `p1` (P1 2.2.5), or operations joined by + (`data.policies`); one draw
        for a whole clip and its flow.
      mix: `none` or `cutmix` (P0 III-B): labels become shares of area. `loss` `auto` is then BCE, because F1 of shares
        is not best where the output is the share; `bce_f1` is refused.
      precision: `float32`, `bfloat16` or `float16` (mixed: weights stay float32).
      devices: 1 is a single device; 0 is every GPU found (or the CPU); N > 1 is MirroredStrategy over N.
      early_stopping_epochs: stop after so many epochs without a better validation AUC; 0 never.
      seed: of weights, dropout, shuffling and augmentation.
    """

    network: str = "two_stream_video"
    network_args: dict = field(default_factory=dict)
    start_from: str | None = None
    data: str = "synthetic_faces"
    data_dir: str | None = None
    epochs: int = 10
    batch_size: int = 4
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup_epochs: float = 0.0
    loss: str = "auto"
    alpha: float = 1.0
    beta: float = 1.0
    class_weights: str = "balanced"
    augment: str = "none"
    mix: str = "none"
    precision: str = "float32"
    devices: int = 1
    early_stopping_epochs: int = 0
    seed: int = 0

    def __post_init__(self):
        choices = {
            "schedule": ("constant", "cosine"),
            "loss": LOSSES,
            "class_weights": ("balanced", "none"),
            "mix": augment_policies.MIXES,
            "precision": ("float32", "bfloat16", "float16"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(name, f"needs one of {allowed}, got {getattr(self, name)!r}.")
        for name, least in (("epochs", 1), ("batch_size", 1), ("devices", 0), ("early_stopping_epochs", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InputError(name, f"needs an integer of at least {least}, got {value!r}.")
        try:
            augment_policies.steps(self.augment)
        except ValueError as error:
            raise InputError("augment", str(error).removeprefix("augment ")) from None
        if self.mix != "none" and self.loss == "bce_f1":
            raise InputError(
                "loss", f"bce_f1 needs labels of 0 or 1, mix {self.mix!r} makes shares.", "Use --loss bce."
            )
        if not self.learning_rate > 0:
            raise InputError("learning_rate", f"needs to be above 0, got {self.learning_rate}.")

    def to_dict(self):
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values, subject="config"):
        names = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - names)
        if unknown:
            raise InputError(subject, f"has unknown entries {unknown}; known are {sorted(names)}.")
        return cls(**values)
