"""fake_av_celeb: FakeAVCeleb."""

from tfds_builders.fake_av_celeb.fake_av_celeb_dataset_builder import Builder

__all__ = ["Builder"]
