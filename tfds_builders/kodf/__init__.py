"""kodf: the Korean deepfake detection set."""

from tfds_builders.kodf.kodf_dataset_builder import Builder

__all__ = ["Builder"]
