"""What a protocol that trains will do: its rows, its data, and how both differ from the presets."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tfdeepfake.data.batches.prepared import PreparedData
from tfdeepfake.protocols.rows import Override, Row
from tfdeepfake.protocols.work import Reports, Written
from tfdeepfake.vocabulary import DRAWN_DATA

NOT_THEIRS = "not the presets' own"  # before the settings, in titles


class Table(NamedTuple):
    """What a protocol makes of the rows of presets.

    Args:
      rows: what is trained.
      write: called with the plan and the reports of all rows; writes the tables.
    """

    rows: Sequence[Row]
    write: Callable[["Plan", Reports], Written]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a protocol will do.

    Args:
      name: of the protocol.
      run_dir: its folder.
      data: the prepared data set; split: what is scored of it.
      table: its rows, and how they are written.
      differs: {preset: {field: what of the data is not the preset's}}.
      overrides: settings that are not the presets'.
    """

    name: str
    run_dir: Path
    data: PreparedData
    split: str
    table: Table
    differs: Mapping[str, Mapping[str, str]]
    overrides: Sequence[Override]

    @property
    def rows(self) -> Sequence[Row]:
        """What is trained."""
        return self.table.rows

    @property
    def where(self) -> str:
        """The data and split, and which settings are not the presets', for titles; their values stand in `notes`."""
        name = self.data.version
        kind = "drawn faces, " if name.partition("/")[0].partition(":")[0] == DRAWN_DATA else ""
        fields = ", ".join(dict.fromkeys(one.field for one in self.overrides))
        return f"on {kind}{name} ({self.split})" + (f"; {NOT_THEIRS}: {fields}" if fields else "")

    def notes(self) -> list[str]:
        """What is not the presets', settings in one line and data in one for presets that differ alike."""
        alike, changed = {}, "; ".join(one.text for one in self.overrides)
        for name, differs in self.differs.items():
            if differs:
                alike.setdefault(", ".join(f"{field} {text}" for field, text in differs.items()), []).append(name)
        lines = [f"Settings that are not the presets' own: {changed}."] if changed else []
        return lines + [f"The data are not those of {', '.join(names)}: {text}." for text, names in alike.items()]
