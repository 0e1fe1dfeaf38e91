"""celeb_df: Celeb-DF v2."""

from tfds_builders.celeb_df.celeb_df_dataset_builder import Builder

__all__ = ["Builder"]
