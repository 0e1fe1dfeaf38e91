"""synthetic_faces: synthetic talking heads and four manipulations of them."""

from tfds_builders.synthetic_faces.synthetic_faces_dataset_builder import Builder

__all__ = ["Builder"]
