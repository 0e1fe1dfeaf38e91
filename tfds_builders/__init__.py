"""Builders of data sets for tensorflow_datasets; importing this package makes them known to `tfds.load` by name."""

from tfds_builders.face_forensics import Builder as FaceForensics
from tfds_builders.synthetic_faces import Builder as SyntheticFaces
from tfds_builders.video_folder import Builder as VideoFolder

__all__ = ["FaceForensics", "SyntheticFaces", "VideoFolder"]
