"""deeper_forensics: DeeperForensics-1.0."""

from tfds_builders.deeper_forensics.deeper_forensics_dataset_builder import Builder

__all__ = ["Builder"]
