"""diffusion_gan_bedroom: images of bedrooms, photographed and generated."""

from tfds_builders.diffusion_gan_bedroom.diffusion_gan_bedroom_dataset_builder import Builder

__all__ = ["Builder"]
