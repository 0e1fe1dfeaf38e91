"""The MesoNet authors' weights, Keras files (arXiv:1809.00888)."""

from tfdeepfake.published.entry import Later, Published
from tfdeepfake.recipe import DataRecipe

_MESONET = "https://raw.githubusercontent.com/DariusAf/MesoNet/master/weights/"
# The authors' crop is a square of 2.86 times the larger of eye distance and eye-mouth distance, turned upright. As a
# margin around MTCNN's box it is 0.07: the mean over the four faces published with the weights (0.01 on the genuine
# two, 0.13 on the faked two, which shows how loosely they followed it). Faces are not turned here.
_MESONET_DATA = DataRecipe(
    input_type="frame",
    num_frames=16,
    detector="mtcnn",
    margin_frac=0.07,
    height_px=256,
    width_px=256,
    box_smoothing="frame",
)


def _mesonet(network, file, trained_on, digest):
    return Published(
        network=network,
        module_name=None,
        load_keras=Later("tfdeepfake.models.mesonet:load_keras_weights"),
        address=_MESONET + file,
        licence="Apache-2.0",
        trained_on=trained_on,
        data=_MESONET_DATA,
        positive="real",
        sha256=digest,
        num_bytes={"meso4": 156_128, "meso_inception4": 197_504}[network],
        gmacs={"meso4": 0.060, "meso_inception4": 0.057}[network],
        accuracy="AUC on Celeb-DF v2 about .54 (measured by others, arXiv:1909.12962)",
    )


_DF, _F2F = "the MesoNet authors' Deepfake set", "FaceForensics Face2Face, as the MesoNet authors cut it"
# fmt: off
PUBLISHED = {
    "meso4_df": _mesonet("meso4", "Meso4_DF.h5", _DF,
        "036ed30d04ffd9c7506f825b97c86aa64915f5818931da96817b169aad790af5"),
    "meso4_f2f": _mesonet("meso4", "Meso4_F2F.h5", _F2F,
        "bcfda015d217b9f8d6557693edbdf9f4e79cfd22672541968dd0e2954462b5d7"),
    "meso_inception4_df": _mesonet("meso_inception4", "MesoInception_DF.h5", _DF,
        "234586d40058e76ef8b6f27ca4b63c06e31c2a5a69c0d8ba6f30b1468ab7bafa"),
    "meso_inception4_f2f": _mesonet("meso_inception4", "MesoInception_F2F.h5", _F2F,
        "d4533ac8a3197dc35c47405d23d99e888c1d0135e267e03540c7451feaccff3f"),
}
# fmt: on
