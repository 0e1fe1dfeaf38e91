"""deepfake_eval_2024: Deepfake-Eval-2024."""

from tfds_builders.deepfake_eval_2024.deepfake_eval_2024_dataset_builder import Builder

__all__ = ["Builder"]
