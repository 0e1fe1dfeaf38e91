"""Rows of a table that trains: a preset each, with the settings that were changed for the data and machine at hand."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from tfdeepfake.errors import InputError
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

if TYPE_CHECKING:
    from tfdeepfake.data.batches.prepared import PreparedData

ANY = "any"
# They say where the data are, and nothing of the experiment.
_PLACES = ("data", "data_dir")
# Of a network: the data have them, and training refuses others.
_SIZES = ("input_size", "num_frames")


@dataclass(frozen=True)
class Override:
    """A setting that is not the preset's.

    Args:
      presets: pattern of the presets that it is for.
      field: of TrainConfig; value: as JSON holds it. That of network_args is laid over the preset's, null takes away.
    """

    presets: str
    field: str
    value: object

    @property
    def text(self) -> str:
        """As the command line says it."""
        value = self.value if isinstance(self.value, str) else json.dumps(self.value)
        return f"{'' if self.presets == '*' else self.presets + ':'}{self.field}={value}"


@dataclass(frozen=True)
class Row:
    """One training run of a table.

    Args:
      name: in the tables, and of its folder in RUN_DIR/runs/.
      preset: name of the preset.
      config: what is trained.
      stages: (name, config) of the runs before it, in their order.
      labels: rows of the papers' tables that the preset is, such as "P4 Table 8: (b)".
    """

    name: str
    preset: str
    config: TrainConfig
    stages: tuple[tuple[str, TrainConfig], ...] = ()
    labels: tuple[str, ...] = ()


def overrides_of(texts: Sequence[str]) -> list[Override]:
    """`[PRESETS:]FIELD=VALUE` of the command line; VALUE is JSON, or text where it is none.

    Raises:
      InputError: one is of another form, or names no field.
    """
    fields = {field.name: field for field in dataclasses.fields(TrainConfig) if field.name not in _PLACES}
    overrides = []
    for text in texts:
        where, equals, value = text.partition("=")
        presets, colon, field = where.rpartition(":")
        if not equals or field not in fields:
            raise InputError(
                "--set",
                f"needs [PRESETS:]FIELD=VALUE with a field of `tfdeepfake train`, got {text!r}.",
                f"Fields are {', '.join(fields)}.",
            )
        try:
            read = json.loads(value)
        except ValueError:
            parts = [part.strip() for part in value.split(",") if part.strip()]
            read = parts if fields[field].type is list else value
        overrides.append(Override(presets if colon else "*", field, read))
    return overrides


def changed(name: str, config: TrainConfig, overrides: Sequence[Override]) -> TrainConfig:
    """The config of a preset under the overrides that are for it.

    Raises:
      InputError: a value does not fit its field.
    """
    values = config.to_dict()
    for override in overrides:
        if not fnmatchcase(name, override.presets):
            continue
        value = override.value
        if override.field == "network_args" and isinstance(value, dict):
            laid = {**values["network_args"], **value}
            value = {key: given for key, given in laid.items() if given is not None}
        values[override.field] = value
    return TrainConfig.from_dict(values, f"--set for {name}")


def check_used(overrides: Sequence[Override], names: Sequence[str]) -> None:
    """Raises InputError where an override is for none of the presets."""
    for override in overrides:
        if not any(fnmatchcase(name, override.presets) for name in names):
            raise InputError("--set", f"{override.text} is for none of the presets.", f"They are {', '.join(names)}.")


def row_of(
    name: str, presets: Mapping[str, Preset], overrides: Sequence[Override], data: str, data_dir: str | None,
    runs: str,
) -> Row:  # fmt: skip
    """The row of a preset, on prepared data.

    Args:
      name: of the preset.
      presets: {name: Preset}, with its stages.
      overrides: of `overrides_of`.
      data, data_dir: the prepared data set; sizes of images and clips are its.
      runs: folder of the runs; a preset that starts from an earlier one's weights finds it there.
    """

    def config_of(which):
        config = changed(which, presets[which].config, overrides)
        network_args = {key: value for key, value in config.network_args.items() if key not in _SIZES}
        config = dataclasses.replace(config, network_args=network_args, data=data, data_dir=data_dir)
        stages = [stage for stage in presets[name].stages if config.start_from == f"runs/{stage}"]
        return dataclasses.replace(config, start_from=f"{runs}/{stages[0]}") if stages else config

    config = config_of(name)
    stages = [stage for stage in presets[name].stages if config.start_from == f"{runs}/{stage}"]
    return Row(name, name, config, tuple((stage, config_of(stage)) for stage in stages), tuple(presets[name].rows))


def differing_data(preset: Preset, prepared: "PreparedData") -> dict[str, str]:
    """{field: "VALUE (preset VALUE)"} of what the data are otherwise than the preset's.

    Args:
      preset: Preset.
      prepared: the data set. Of options of its builder those count that it was told.
    """
    there = prepared.version.partition("/")[0].partition(":")[0]
    differ = {field: f"{value!r} (preset {wanted!r})" for field, (value, wanted) in preset.differing(prepared).items()}
    return ({} if there == preset.data_set else {"data_set": f"{there} (preset {preset.data_set})"}) | differ


def check_data(row: Row, preset: Preset, data: str, prepared: "PreparedData", allow: Sequence[str]) -> dict[str, str]:
    """`differing_data` of a row, all of it allowed.

    Raises:
      InputError: a field differs that `allow` does not name, and `allow` is not "any".
    """
    differ = differing_data(preset, prepared)
    refused = {} if ANY in allow else {f: text for f, text in differ.items() if f not in (*allow, "data_set")}
    if refused:
        told = ", ".join(f"{field} {text}" for field, text in refused.items())
        raise InputError(
            data,
            f"was prepared otherwise than {row.preset} says: {told}.",
            f"Prepare it so: {preset.prepare_command()}; or --allow {' '.join(refused)} (or any): the table says it.",
        )
    return differ
