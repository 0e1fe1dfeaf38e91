"""TrainConfig: one training run as data, to and from JSON."""

import dataclasses
import json
import math
from dataclasses import dataclass

from tfdeepfake.data.batches import augment_policies
from tfdeepfake.errors import InputError
from tfdeepfake.recipe import check_limits
from tfdeepfake.settings import check_choices, from_dict, setting

LOSSES = ("auto", "bce", "bce_f1", "bce_f1_fake", "ce", "triplet")
BACKENDS = ("tensorflow", "jax")
OPTIMIZERS = ("adam", "adamw", "sgd")
WATCHED = ("auc", "loss")
# Whoever changes these changes nothing in what a run becomes.
FREE = ("checkpoint_minutes",)


@dataclass(frozen=True)
class TrainConfig:
    """One run; each field's meaning is in its `setting`, and in `tfdeepfake train --help`.

    Raises:
      InputError: a field's value is not allowed, or two fields contradict each other.
    """

    network: str = setting("two_stream_video", "name in `tfdeepfake.models.MODELS`")
    network_args: dict = setting(
        {},
        'keyword arguments of the network, a JSON object, for example {"backbone": "small"}; published weights come by '
        "start_from, the input size by the data set's recipe",
    )
    start_from: str | None = setting(
        None,
        "weights that the run begins with: a saved model folder, a run folder, a published name (`tfdeepfake "
        "detectors` lists some), `imagenet` or `kinetics`. Their network_args hold. Read once: the run is resumed "
        "without it",
    )
    new_layers: list = setting(
        [],
        "patterns of layers, joined by commas, that begin without the weights of start_from. New without being named "
        "are heads of another shape, and where start_from lacks them nonlocal*, *_se_*, attconv*, graph_* and "
        "frame_pos_embed",
    )
    data: str = setting("synthetic_faces", "prepared data set, `name`, `name/config` or `name/config:version`")
    data_dir: str | None = setting(None, "where prepared data sets lie; None is TFDS's own default")
    window_frames: int | None = setting(
        None,
        "consecutive frames of each stored run that a clip network reads: drawn in each epoch (P4 Sec. 1), the middle "
        "ones in validation; all frames when not given. Of data in chunks the trained network scores whole ones (P3 "
        "Sec. 5)",
    )
    methods: list = setting(
        [],
        "patterns of the methods that are read of training and validation data, joined by commas, for example "
        "`Deepfakes,FaceSwap`; all real videos stay where none names a method of theirs. All when not given",
    )
    sources: list = setting([], "patterns of the sources (persons, original videos) that are read, joined by commas")
    max_videos_per_method: list = setting(
        [],
        "videos of each method that are read at most, of training data, or `1200,200` of training and validation data; "
        "the same ones whatever the seed",
    )
    epochs: int = setting(10, "passes over the training data")
    batch_size: int = setting(4, "examples per step over all replicas together. P2 4.2.2: 16 frames or 4 videos")
    learning_rate: float = setting(1e-3, 'of the optimizer. P2 4.2.2 prints "10e-3"')
    schedule: str = setting("constant", "`constant` or `cosine` (decay to zero over all steps)", ("constant", "cosine"))
    warmup_epochs: float = setting(0.0, "linear warm-up before the schedule; may be a fraction")
    optimizer: str = setting("adam", "`adam`, `adamw` or `sgd`", OPTIMIZERS)
    epsilon: float = setting(1e-7, "of Adam and AdamW (Keras's default; P0 IV-C says 1e-8)")
    beta_1: float = setting(0.9, "of Adam and AdamW: decay of the mean gradient, below 1")
    beta_2: float = setting(0.999, "of Adam and AdamW: decay of the mean squared gradient, below 1")
    momentum: float = setting(0.0, "of SGD, below 1")
    weight_decay: float = setting(
        0.0, "of AdamW and SGD: every weight shrinks by this times the learning rate at each step"
    )
    clip_norm: float | None = setting(
        None, "the gradient of all weights together is scaled down to this norm where it is longer"
    )
    train_only: list = setting(
        [],
        "patterns of what trains, joined by commas: names of layers or paths of weights, such as `logits,graph_*` or "
        "`*norm*/gamma`; all else keeps its weights, and its batch statistics. Everything trains when not given",
    )
    target: str = setting(
        "label",
        "`label`: real or fake, or `method`: real and each method of the data, as many classes as it has (P4 4.6)",
        ("label", "method"),
    )
    loss: str = setting(
        "auto",
        "`bce`, `bce_f1` (BCE and the mean F1 of both classes), `bce_f1_fake` (BCE and F1 of FAKE alone, P2 Eqs. 2-4), "
        "`ce` (K classes), `triplet` (embeddings, batches of anchor, positive and negative), or `auto`: `ce` for K "
        "classes, `bce_f1` for the whole-video networks of P2 (4.2.1), `bce` for others",
        LOSSES,
    )
    alpha: float = setting(1.0, "weight of BCE in `bce_f1` and `bce_f1_fake` (P2 Eq. 4)")
    beta: float = setting(1.0, "weight of F1 in `bce_f1` and `bce_f1_fake` (P2 Eq. 4)")
    margin: float = setting(1.0, "of `triplet`: by which a negative shall be farther than a positive")
    class_weights: str = setting(
        "balanced",
        "`balanced` (inverse class frequency of the training split), `none`, or a number for each class, joined by "
        "commas in the order of the labels: `4,1` lets a real example count four times as much as a fake",
    )
    augment: str = setting(
        "none",
        "`none`, `flip`, `p0` (P0 IV-C), `p1` (P1 2.2.5), or operations joined by + "
        "(`data.batches.augment_policies`); one draw for a whole clip and its flow",
    )
    augment_validation: bool = setting(
        False,
        "whether the validation examples that choose the best epoch are augmented too, each by one draw for all epochs "
        "(P0 IV-C); the threshold is chosen on examples as they are",
    )
    mix: str = setting(
        "none",
        "`none` or `cutmix` (P0 III-B): labels become fractions of area. `loss` `auto` is then BCE, because F1 of "
        "fractions is not best where the output is the fraction; `bce_f1` is refused",
        augment_policies.MIXES,
    )
    mix_probability: float = setting(
        0.5, "of each training example to be mixed (arXiv:1905.04899 mixes half of the batches)"
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
    backend: str = setting(
        "tensorflow",
        "of Keras: `tensorflow`, or `jax` for TPUs and for several hosts (docs/scale.md), where `devices` counts those "
        "of each host and a run on several has the curve of one",
        BACKENDS,
    )
    watch: str = setting(
        "auc", "what of the validation split chooses the best epoch: the highest `auc`, or the lowest `loss`", WATCHED
    )
    early_stopping_epochs: int = setting(0, "stop after so many epochs without a better one (`watch`); 0 never")
    checkpoint_minutes: float = setting(
        5.0, "minutes after which the state is written inside an epoch, too; 0 writes it at the end of epochs only"
    )
    seed: int = setting(0, "of weights, dropout, shuffling and augmentation")
    limits: dict = setting(
        {},
        'beyond which a face makes the trained network\'s verdict UNSURE, a JSON object, for example {"flicker": 9}: '
        "where `benchmarks/abstention.py` measured them for such a network",
    )
    limits_measured: str = setting("", "on what `limits` were measured, for the verdict page")

    def __post_init__(self):
        check_choices(self, InputError)
        for name, least in (
            ("epochs", 1), ("batch_size", 1), ("devices", 0), ("early_stopping_epochs", 0), ("seed", 0)
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InputError(name, f"needs an integer of at least {least}, got {value!r}.")
        if not isinstance(self.augment_validation, bool):
            raise InputError("augment_validation", f"needs true or false, got {self.augment_validation!r}.")
        if self.seed >= 1 << 32:
            raise InputError("seed", f"needs an integer of at least 0, below 2**32, got {self.seed}.")
        try:
            augment_policies.steps(self.augment)
        except ValueError as error:
            raise InputError("augment", str(error).removeprefix("augment ")) from None
        if self.mix != "none" and self.loss in ("bce_f1", "bce_f1_fake", "triplet"):
            raise InputError(
                "loss", f"{self.loss} needs labels of 0 or 1, mix {self.mix!r} makes fractions.", "Use --loss bce."
            )
        if self.target != "label" and self.loss == "triplet":
            raise InputError("loss", "triplet is of real and fake.", "Use --target label.")
        if not 0 < self.mix_probability <= 1:
            raise InputError("mix_probability", f"needs a number above 0, 1 at most, got {self.mix_probability}.")
        if not 0 < self.margin < math.inf:
            raise InputError("margin", f"needs a number above 0, got {self.margin}.")
        if not 0 < self.learning_rate < math.inf:
            raise InputError("learning_rate", f"needs a number above 0, got {self.learning_rate}.")
        try:
            check_limits(self.limits)
        except ValueError as error:
            raise InputError("limits", str(error).removeprefix("limits ")) from None
        self._check_optimizer()
        self.class_weight_numbers()
        self.most_per_method()
        if self.window_frames is not None and self.window_frames < 1:
            raise InputError("window_frames", f"needs a whole number above 0, got {self.window_frames}.")
        for name in ("warmup_epochs", "alpha", "beta", "weight_decay", "checkpoint_minutes"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(name, f"needs a number from 0 on, got {getattr(self, name)}.")

    def _check_optimizer(self):
        for name in ("beta_1", "beta_2", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(name, f"needs a number from 0 on and below 1, got {getattr(self, name)}.")
        if not 0 < self.epsilon < math.inf:
            raise InputError("epsilon", f"needs a number above 0, got {self.epsilon}.")
        if self.clip_norm is not None and not 0 < self.clip_norm < math.inf:
            raise InputError("clip_norm", f"needs a number above 0, got {self.clip_norm}.")
        if self.optimizer == "adam" and self.weight_decay:
            raise InputError("weight_decay", "is not Adam's.", "Use --optimizer adamw.")
        if self.optimizer != "sgd" and self.momentum:
            raise InputError("momentum", f"is SGD's; the optimizer is {self.optimizer}.", "Use --beta-1 there.")
        for name in ("train_only", "new_layers", "methods", "sources"):
            if not all(isinstance(pattern, str) and pattern for pattern in getattr(self, name)):
                raise InputError(name, f"needs patterns of names, got {getattr(self, name)!r}.")
        if self.new_layers and not self.start_from:
            raise InputError("new_layers", "needs start_from: all layers are new without it.")

    def most_per_method(self) -> dict[str, int]:
        """{split: videos of each method at most} of `max_videos_per_method`."""
        try:
            numbers = [int(number) for number in self.max_videos_per_method]
        except (TypeError, ValueError):
            numbers = [0]
        if len(numbers) > 2 or any(number < 1 for number in numbers):
            raise InputError(
                "max_videos_per_method",
                f"needs one whole number above 0, or two, got {self.max_videos_per_method!r}.",
                "For example: --max-videos-per-method 1200,200 (training, validation)",
            )
        return dict(zip(("train", "validation"), numbers, strict=False))

    def class_weight_numbers(self) -> dict[int, float] | None:
        """{label: weight} where `class_weights` are numbers; None for `balanced` and `none`."""
        if self.class_weights in ("balanced", "none"):
            return None
        try:
            numbers = [float(number) for number in self.class_weights.split(",")]
        except (AttributeError, ValueError):
            numbers = []
        if len(numbers) < 2 or not all(0 <= number < math.inf for number in numbers) or not any(numbers):
            raise InputError(
                "class_weights",
                f"needs balanced, none, or a number from 0 on for each class, got {self.class_weights!r}.",
                "For example: --class-weights 4,1 (real, fake)",
            )
        return dict(enumerate(numbers))

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)

    def differing(self, there: dict) -> list[str]:
        """What the JSON of another config, `there`, has otherwise, a text for each field; [] where nothing matters."""
        # Fields that are newer than the other have their defaults. JSON makes lists of tuples.
        there, here = TrainConfig().to_dict() | there, json.loads(json.dumps(self.to_dict()))
        return [
            f"{name} ({there.get(name)!r} there, {here.get(name)!r} now)"
            for name in sorted({*there, *here} - {*FREE})
            if there.get(name) != here.get(name)
        ]

    @classmethod
    def from_dict(cls, values: dict, subject: str | object = "config") -> "TrainConfig":
        return from_dict(cls, values, subject)
