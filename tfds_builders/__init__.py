"""Builders of data sets for tensorflow_datasets; importing this package makes them known to `tfds.load` by name."""

from tfds_builders.celeb_df import Builder as CelebDf
from tfds_builders.celeb_df_pp import Builder as CelebDfPp
from tfds_builders.deeper_forensics import Builder as DeeperForensics
from tfds_builders.deepfake_eval_2024 import Builder as DeepfakeEval2024
from tfds_builders.df40 import Builder as Df40
from tfds_builders.dfdc import Builder as Dfdc
from tfds_builders.dfdc_preview import Builder as DfdcPreview
from tfds_builders.diffusion_gan_bedroom import Builder as DiffusionGanBedroom
from tfds_builders.face_forensics import Builder as FaceForensics
from tfds_builders.fake_av_celeb import Builder as FakeAvCeleb
from tfds_builders.kodf import Builder as Kodf
from tfds_builders.self_blended import Builder as SelfBlended
from tfds_builders.synthetic_faces import Builder as SyntheticFaces
from tfds_builders.video_folder import Builder as VideoFolder
from tfds_builders.wild_deepfake import Builder as WildDeepfake

__all__ = [
    "CelebDf",
    "DeeperForensics",
    "Dfdc",
    "DfdcPreview",
    "DiffusionGanBedroom",
    "FaceForensics",
    "Kodf",
    "SelfBlended",
    "SyntheticFaces",
    "VideoFolder",
    "WildDeepfake",
    "CelebDfPp",
    "DeepfakeEval2024",
    "Df40",
    "FakeAvCeleb",
]
