"""dfdc: the full DFDC set."""

from tfds_builders.dfdc.dfdc_dataset_builder import Builder

__all__ = ["Builder"]
