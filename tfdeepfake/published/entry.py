"""`Published`: the facts about one published checkpoint."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tfdeepfake.recipe import DataRecipe
from tfdeepfake.weights.download import size_text

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Later:
    """A function that is imported when it is called: listing the facts of all checkpoints needs no Keras.

    Args:
      name: "module:function".
    """

    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def function(self) -> Callable:
        """The function itself."""
        module, _, name = self.name.partition(":")
        return getattr(importlib.import_module(module), name)


def no_extra(model: "keras.Model") -> dict:
    """For networks whose every tensor follows the naming rule of `torch_assign.assign`."""
    return {}


# Terms of data sets that many were trained on: a free licence of weights does not change them.
FF_TERMS = "FaceForensics++ is for non-commercial research"
DFDC_TERMS = "the DFDC's videos are research data under their own terms"
KINETICS_TERMS = "the videos of Kinetics are under their owners' terms"


@dataclass(frozen=True)
class Published:
    """A published checkpoint, or several that differ in their number of classes, which is read from the file.

    Args:
      network: name in `tfdeepfake.models.MODELS`.
      address: of the file; or, in words, where a user gets it.
      licence: of the weights; "none stated ..." where their authors say nothing.
      trained_on: data set, for the recipe.
      members: names of checkpoints that vote; this one has no file of its own then.
      data: recipe by which its authors crop faces (or, for other tasks, one that fits its input).
      module_name: of a PyTorch file: function, Keras layer name -> PyTorch module name; its value for "logits" is
        the head.
      load_keras: of a Keras HDF5 file, in place of `module_name`: function of (model, path) that loads all weights of
        the file and turns the output into the logit of FAKE.
      positive: what the outputs mean. "fake" or "real": one output, the logit of that (a logit of real is negated).
        0 or 1: two outputs, of which this one is fake; they are folded into one logit, fake minus real, which has the
        same probability. None: classes of another task (Kinetics, ImageNet), kept unless a fresh head is asked for.
      network_args: further arguments of the network, as its authors set them.
      extra: function: keras.Model -> the `extra` of `torch_assign.assign`.
      unused: endings of tensor names that the network computes for itself.
      sha256: of the file, or the first digits of it that its address states; None when not known.
      num_bytes: size of the file; None when not known.
      about_mb: its size in MB where it is known no better.
      data_terms: of the data the weights were trained on; "unknown" where nobody says.
      gmacs: 10^9 multiply-accumulates for one face, or one clip of a face, as `profiling.macs` counts them.
      video_rule, faces_rule: how its authors sum up samples and faces, see `scoring.rules`.
      cpu_samples: frames of a video that are looked at without a GPU unless the user says how many; None: the recipe's.
      accuracy: on data sets it was not trained on, as its authors state it, and where they do; "" when not known.
      unreachable: why the address may not answer, "" where nothing is known against it.
    """

    network: str
    module_name: Callable | None
    address: str
    licence: str
    trained_on: str
    data: DataRecipe
    load_keras: Callable | None = None
    members: tuple = ()
    positive: str | int | None = None
    network_args: dict = field(default_factory=dict)
    extra: Callable = no_extra
    unused: tuple = ("num_batches_tracked",)
    sha256: str | None = None
    num_bytes: int | None = None
    about_mb: int | None = None
    data_terms: str = "unknown"
    video_rule: str = "mean"
    faces_rule: str = "max"
    gmacs: float | None = None
    cpu_samples: int | None = None
    accuracy: str = ""
    unreachable: str = ""

    def __post_init__(self):
        if self.positive not in ("fake", "real", 0, 1, None):
            raise ValueError(f"positive needs 'fake', 'real', 0, 1 or None, got {self.positive!r}.")

    @property
    def is_detector(self) -> bool:
        """Whether its output says something of FAKE; False for classes of another task."""
        return self.positive is not None

    @property
    def size(self) -> str:
        """ "1.2 GB", "about 267 MB" or "size unknown"."""
        if self.num_bytes:
            return size_text(self.num_bytes)
        return f"about {self.about_mb} MB" if self.about_mb else "size unknown"

    @property
    def whereabouts(self) -> str:
        """The address, and what is known against it."""
        return f"{self.address} ({self.unreachable})" if self.unreachable else self.address
