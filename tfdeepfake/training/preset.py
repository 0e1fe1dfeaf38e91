"""A preset: an experiment of a paper as data, from the preparation of its data to what is evaluated."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfdeepfake.recipe import DataRecipe
from tfdeepfake.training.config import TrainConfig

if TYPE_CHECKING:
    from tfdeepfake.data.batches.prepared import PreparedData

# Flags of `tfdeepfake prepare`; what is none of them is an option of the builder.
_BY_CLASS = ("num_frames_real", "num_frames_fake", "num_clips_real", "num_clips_fake")
_FLAGS = {*DataRecipe.__dataclass_fields__, *_BY_CLASS, "image_format"}


def _plain(value):
    """A tuple for a list, which JSON makes of one."""
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Preset:
    """One file of `train_scripts/`.

    Args:
      rows: of the papers' tables that this is, such as "P4 Table 3: TALL"; () for the project's own.
      data_set: builder of the data that it is trained on.
      prepare: {flag of `tfdeepfake prepare`, with underscores: value}: fields of the data recipe, input_type,
        num_frames_real, num_frames_fake, and the builder's own options.
      config: TrainConfig, its `data` the data set's name; None of an ensemble, whose members are its `stages`.
      evaluate: (builder, its options) of further data sets that the row is about, each prepared by the same flags.
        Empty where the row is about the test split of `data_set`.
      tta: test-time augmentation that it is evaluated with, of `vocabulary.TTA`.
      printed: what the paper prints for it; "" where it prints nothing.
      measured: what was measured here, with the command's data; "not yet run" where nothing was.
      stages: names of presets that have to be trained before, in their order.
      vote: of an ensemble, see `training.ensemble`.
    """

    rows: tuple
    data_set: str
    prepare: dict
    config: TrainConfig | None
    evaluate: tuple = ()
    tta: str = "none"
    printed: str = ""
    measured: str = "not yet run"
    stages: tuple = ()
    vote: str = ""

    def ensemble_command(self, name: str) -> str:
        """The command line that makes an ensemble of the runs of its stages."""
        runs = " ".join(f"runs/{stage}" for stage in self.stages)
        return f"tfdeepfake ensemble {runs} --vote {self.vote} --out runs/{name}"

    def evaluate_command(self, name: str, data: str | None = None) -> str:
        """The command line that evaluates the run of this preset; on `data`, "builder/config", where it is another."""
        words = ["tfdeepfake", "evaluate", f"runs/{name}", "--split", "test"]
        words += ["--data", data] if data else []
        words += ["--tta", self.tta] if self.tta != "none" else []
        return shlex.join([*words, "--data-dir", "data"])

    def recipe(self) -> dict:
        """Those of `prepare` that are fields of the data recipe."""
        return {name: value for name, value in self.prepare.items() if name in DataRecipe.__dataclass_fields__}

    def options(self) -> dict:
        """Those of `prepare` that are the builder's own options."""
        return {name: value for name, value in self.prepare.items() if name not in _FLAGS}

    def differing(self, prepared: "PreparedData", defaults: Mapping | None = None) -> dict[str, tuple]:
        """{name: (value of the data, value of `prepare`)} where a prepared data set is not as this says.

        Of a data set of another builder fields of the recipe alone are compared.

        Args:
          prepared: PreparedData.
          defaults: options of the preset's builder, of which metadata keep only what differs from them; without,
            options that metadata lack are not compared.
        """
        there = {name: getattr(prepared.recipe, name) for name in self.recipe()}
        if prepared.version.partition("/")[0].partition(":")[0] != self.data_set:
            return {n: (value, self.prepare[n]) for n, value in there.items() if value != self.prepare[n]}
        metadata = prepared.metadata
        there |= {name: metadata.get(name) for name in _BY_CLASS}
        options = {name: _plain(value) for name, value in (metadata.get("options") or {}).items()}
        there |= {name: _plain(value) for name, value in (defaults or {}).items()} | options
        wanted = dict.fromkeys(_BY_CLASS) | {name: _plain(value) for name, value in self.prepare.items()}
        return {n: (there[n], value) for n, value in wanted.items() if n in there and there[n] != value}

    def prepare_command(self, number: int | None = None, folder: str = "DIR", data_dir: str | None = None) -> str:
        """The command line that prepares the data; with `number`, that of the data set `evaluate[number]`."""
        name, options = (self.data_set, self.options()) if number is None else self.evaluate[number]
        words = ["tfdeepfake", "prepare", name] + ([] if name == "synthetic_faces" else ["--dir", folder])
        for flag, value in self.prepare.items():
            words += [f"--{flag.replace('_', '-')}", str(value)] if flag in _FLAGS else []
        for option, value in options.items():
            text = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
            words += ["--option", f"{option}={text.lower() if isinstance(value, bool) else text}"]
        return shlex.join(words + (["--data-dir", data_dir] if data_dir else []))
