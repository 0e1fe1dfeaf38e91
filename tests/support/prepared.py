"""Writes a tiny prepared data set of random images with TFDS alone, so that tests need no video."""

import dataclasses

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_builders.adhoc_builder import AdhocBuilder

from tfdeepfake.data.batches.prepared import SCHEMA
from tfdeepfake.recipe import DataRecipe
from tfds_builders.core.features import feature_dict, has_flow

SPLITS = {"train": (6, 10), "validation": (4, 5), "test": (4, 4)}  # (real, fake) examples


def random_example(recipe, label, number, rng, contrast):
    """One example; fakes are darker by `contrast` grey levels, so that a network has something to learn."""
    t = recipe.num_frames if recipe.input_type == "clip" else 1
    h, w = recipe.height_px, recipe.width_px
    images = {"frames": np.clip(rng.uniform(60, 255, (t, h, w, 3)) - contrast * label, 0, 255).astype(np.uint8)}
    if has_flow(recipe):
        images["flow"] = rng.integers(0, 256, (t, 2 * h, w, 1), dtype=np.uint8)
        images["flow_max_px"] = rng.uniform(0.5, 4.0, t).astype(np.float32)
    if recipe.input_type != "clip":
        images = {name: value[0] for name, value in images.items()}
    return images | {
        "label": label,
        "data_set": "tiny",
        "method": "drawn" if label else "original",
        "video": f"v{number:04d}",
        "source": f"person{number % 5}",
        "face": 0,
        "frame_indices": np.arange(t, dtype=np.int64) * 3 + 1000 * number,
        "timestamps_s": (np.arange(t) / 25).astype(np.float32),
        "box_px": np.array([1, 2, 11, 12], np.float32),
        "face_side_px": np.full(t, 80, np.float32),
        "confidence": np.float32(1),
    }


class _Tiny(AdhocBuilder, skip_registration=True):
    """An ad hoc builder that also writes the project's metadata."""

    def __init__(self, *, metadata, **kwargs):
        self._tiny_metadata = metadata
        super().__init__(**kwargs)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=self._description,
            features=self._feature_spec,
            metadata=tfds.core.MetadataDict(self._tiny_metadata),
        )


def write_prepared(
    data_dir, recipe=None, splits=None, name="tiny", config=None, seed=0, contrast=60.0, shards=None, options=None,
    facts=None, subgroups=(),
):  # fmt: skip
    """Prepares random examples below `data_dir`.

    Args:
      data_dir: root of prepared data sets.
      recipe: DataRecipe; four-frame 32 x 40 clips with flow when None.
      splits: {split: (real, fake)} number of examples; `SPLITS` when None.
      name, config: of the data set; config is the recipe's kind when None.
      seed: of the images.
      contrast: grey levels between the classes; 0 makes them the same.
      shards: files of a split; one when None.
      options: of the builder, as its metadata names them.
      facts: function (number, label) -> features that differ from those of `random_example`.
      subgroups: names of subgroup columns, which `facts` has to give.
    Returns:
      (`str(data_dir)`, "name/config").
    """
    recipe = recipe or DataRecipe(
        input_type="clip", num_frames=4, detector="none", height_px=32, width_px=40, flow="dis"
    )
    splits, config = splits or SPLITS, config or recipe.input_type

    def examples(index, real, fake):
        rng = np.random.default_rng([seed, index])
        for number in range(real + fake):
            example = random_example(recipe, int(number >= real), number, rng, contrast)
            yield f"{number:05d}", example | (facts(number, example["label"]) if facts else {})

    coverage = {
        split: {
            "videos": real + fake + 1,
            "scored": real + fake,
            "no_face": ["tiny/original/landscape"],
            "unreadable": [],
            "too_short": [],
        }
        for split, (real, fake) in splits.items()
    }
    builder = _Tiny(
        metadata={
            "schema": SCHEMA,
            "recipe": dataclasses.asdict(recipe),
            "coverage": coverage,
            "options": options or {},
            "subgroups": list(subgroups),
        },  # fmt: skip
        name=name,
        version="1.0.0",
        config=config,
        features=feature_dict(recipe, subgroups=tuple(subgroups)),
        split_datasets={split: list(examples(i, *counts)) for i, (split, counts) in enumerate(splits.items())},
        data_dir=str(data_dir),
        description="Random images for tests.",
    )
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=shards))
    return str(data_dir), f"{name}/{config}"
