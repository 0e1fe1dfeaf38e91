"""dfdc_preview: the DFDC preview set."""

from tfds_builders.dfdc_preview.dfdc_preview_dataset_builder import Builder

__all__ = ["Builder"]
