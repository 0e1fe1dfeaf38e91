"""Which persons and recordings a video shows, under names that are the same in all data sets.

A data set whose videos' names tell more than their source has a function `origins` in its listing.
"""

from tfds_builders.celeb_df import listing as celeb_df
from tfds_builders.celeb_df_pp import listing as celeb_df_pp
from tfds_builders.deeper_forensics import listing as deeper_forensics
from tfds_builders.df40 import listing as df40
from tfds_builders.dfdc_preview import listing as dfdc_preview
from tfds_builders.face_forensics import listing as face_forensics
from tfds_builders.fake_av_celeb import listing as fake_av_celeb
from tfds_builders.kodf import listing as kodf
from tfds_builders.video_folder import sources as video_folder


def _synthetic_faces(method, video, source, /, seed=0, **_):
    """Another seed draws other persons."""
    space = f"synthetic_faces({seed})" if seed else "synthetic_faces"
    people = [part for part in video.split("_")[:2] if len(part) == 3 and part.isdigit()]
    return {f"{space}:person{one}" for one in people} or {f"{space}:{source}"}, {f"{space}:{method}/{video}"}


def _self_blended(method, video, source, /, **_):
    """The videos and sources are those of `video_folder`."""
    return origins("video_folder", method, video, source)


ORIGINS = {
    "face_forensics": face_forensics.origins,
    "celeb_df": celeb_df.origins,
    "celeb_df_pp": celeb_df_pp.origins,
    "df40": df40.origins,
    "fake_av_celeb": fake_av_celeb.origins,
    "deeper_forensics": deeper_forensics.origins,
    "dfdc_preview": dfdc_preview.origins,
    "kodf": kodf.origins,
    "synthetic_faces": _synthetic_faces,
    "self_blended": _self_blended,
    "video_folder": video_folder.origins,
}


def origins(data_set: str, method: str, video: str, source: str, options: dict | None = None) -> tuple:
    """Persons and recordings of a video.

    Args:
      data_set, method, video, source: see `features.feature_dict`.
      options: of the builder, where they differ from its own.
    Returns:
      (identities, recordings): sets of names such as "ff++:071". What is known of a fake's donor is among them. Of a
      data set that tells no more both are its `source`.
    """
    if data_set in ORIGINS:
        return ORIGINS[data_set](method, video, source, **(options or {}))
    name = {f"{data_set}:{source or video}"}
    return name, name
