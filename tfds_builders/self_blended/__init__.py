"""self_blended: pseudo-fakes made from any folder of real videos."""

from tfds_builders.self_blended.self_blended_dataset_builder import Builder

__all__ = ["Builder"]
