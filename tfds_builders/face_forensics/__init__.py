"""face_forensics: FaceForensics++ with FaceShifter and DeepFakeDetection."""

from tfds_builders.face_forensics.face_forensics_dataset_builder import Builder

__all__ = ["Builder"]
