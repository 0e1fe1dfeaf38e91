"""celeb_df_pp: Celeb-DF++."""

from tfds_builders.celeb_df_pp.celeb_df_pp_dataset_builder import Builder

__all__ = ["Builder"]
