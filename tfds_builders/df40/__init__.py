"""df40: DF40."""

from tfds_builders.df40.df40_dataset_builder import Builder

__all__ = ["Builder"]
