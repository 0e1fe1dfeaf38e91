"""wild_deepfake: WildDeepfake."""

from tfds_builders.wild_deepfake.wild_deepfake_dataset_builder import Builder

__all__ = ["Builder"]
