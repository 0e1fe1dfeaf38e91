"""What every builder stores: one feature dict for the three input types, and the encoding of an example."""

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

    from tfdeepfake.data.examples import Example
    from tfdeepfake.recipe import DataRecipe


IMAGE_FORMAT = "jpeg95"
LABELS = ("real", "fake")


def feature_dict(
    recipe: "DataRecipe", image_format: str = IMAGE_FORMAT, masks: bool = False, subgroups: tuple = ()
) -> "tfds.features.FeaturesDict":
    """TFDS features of the examples of a recipe; T is 1 for input types frame and flow.

    frames: JPEG, or PNG where `image_format` is "png", [h, w, 3], of a clip [T, h, w, 3].
    flow: PNG, uint8 [2h, w, 1] (of a clip [T, 2h, w, 1]), u above v, as `tfdeepfake.data.flow.pack_flow` writes it;
      input type flow, and clip unless the recipe's flow is "none".
    flow_max_px: float32, scale of each flow map.
    label: 1 is fake.
    data_set, method, video, source: `video` is unique in a method of a data set; `source` is the person or original
      video, of which no two splits hold the same.
    face_side_px [T] (square root of the area of the face's box, px of the full frame), confidence of its detector.
    face, frame_indices [T], timestamps_s [T], box_px [4] (the square cut out, in the middle frame of a clip; of an
      aligned crop the upright one of its centre and size).
    mask: where `masks`, PNG, uint8 [h, w, 1] (of a clip [T, h, w, 1]), as `tfdeepfake.data.masks.mask_crops` cuts it
      out; 0 everywhere in a real video.
    Each of `subgroups`: text, such as the gender of a person; empty where it is not known.
    """
    import tensorflow_datasets as tfds

    height, width, length = recipe.height_px, recipe.width_px, recipe.num_frames if recipe.input_type == "clip" else 1

    def images(rows, channels, encoding):
        if recipe.input_type == "clip":
            return tfds.features.Video(shape=(length, rows, width, channels), encoding_format=encoding)
        return tfds.features.Image(shape=(rows, width, channels), encoding_format=encoding)

    features = {"frames": images(height, 3, "png" if image_format == "png" else "jpeg")}
    if has_flow(recipe):
        features["flow"] = images(2 * height, 1, "png")
        features["flow_max_px"] = tfds.features.Tensor(
            shape=(length,) if recipe.input_type == "clip" else (), dtype=np.float32
        )
    features |= {
        "label": tfds.features.ClassLabel(names=list(LABELS)),
        "data_set": tfds.features.Text(),
        "method": tfds.features.Text(),
        "video": tfds.features.Text(),
        "source": tfds.features.Text(),
        "face": tfds.features.Scalar(dtype=np.int32),
        "frame_indices": tfds.features.Tensor(shape=(length,), dtype=np.int64),
        "timestamps_s": tfds.features.Tensor(shape=(length,), dtype=np.float32),
        "box_px": tfds.features.Tensor(shape=(4,), dtype=np.float32),
        "face_side_px": tfds.features.Tensor(shape=(length,), dtype=np.float32),
        "confidence": tfds.features.Scalar(dtype=np.float32),
    }
    if masks:
        features["mask"] = images(height, 1, "png")
    features |= {name: tfds.features.Text() for name in subgroups}
    return tfds.features.FeaturesDict(features)


def has_flow(recipe: "DataRecipe") -> bool:
    return recipe.flow != "none" and recipe.input_type != "frame"


def encode(
    example: "Example", recipe: "DataRecipe", image_format: str = IMAGE_FORMAT, mask: np.ndarray | None = None
) -> dict:
    """Features of a `tfdeepfake.data.examples.Example`, without those of its video.

    Images are encoded here, in the worker, and not by TFDS in the one process that writes.

    Args:
      image_format: "png", or "jpeg" and a quality, such as "jpeg95".
      mask: uint8 [T, h, w] or None.
    Returns:
      dict with the names of `feature_dict`; images as bytes.
    """
    from tfdeepfake.data.flow import pack_flow

    frames = [_image(frame, image_format) for frame in example.frames]
    values = {
        "frames": frames,
        "face": int(example.face),
        "frame_indices": example.indices.astype(np.int64),
        "timestamps_s": example.timestamps_s.astype(np.float32),
        "box_px": example.boxes_px[len(example.boxes_px) // 2].astype(np.float32),
        "face_side_px": _sides(example.face_boxes_px),
        "confidence": np.float32(example.score),
    }
    if has_flow(recipe):
        packed, max_px = pack_flow(example.flow)
        values |= {"flow": [_png(one) for one in packed], "flow_max_px": max_px}
    if mask is not None:
        values["mask"] = [_png(one) for one in mask]
    if recipe.input_type != "clip":
        values |= {name: values[name][0] for name in ("frames", "flow", "flow_max_px", "mask") if name in values}
    return values


def _sides(boxes_px):
    """float32 [T] of boxes [T, 4]: the square root of each one's area."""
    boxes = boxes_px.astype(np.float64)
    return np.sqrt(np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)).astype(np.float32)


def _image(rgb, image_format):
    import cv2

    if image_format == "png":
        return _png(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    # Full chroma: at half resolution the colours of a 64 px face would be those of 32 px, unlike in prediction.
    options = [cv2.IMWRITE_JPEG_QUALITY, int(image_format.removeprefix("jpeg"))]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def _png(image):
    import cv2

    return cv2.imencode(".png", image)[1].tobytes()


@dataclasses.dataclass(frozen=True)
class Video:
    """One video to prepare.

    Args:
      path: file.
      split: "train", "validation" or "test".
      label: 1 is fake.
      data_set, method, video, source: see `feature_dict`.
      recipe: DataRecipe for this video.
      draw: function without arguments that writes the file when it is missing, or None.
      unpack: where `path` is an archive or a folder of frames, function of an empty folder that writes the video there
        and returns its path; otherwise None.
      read: what takes the place of `examples.extract`, function of the recipe that returns the Examples; or None.
      change: passed to `examples.extract`: a function at the top of a module or a partial of one; or None.
      image_format: of the stored frames, see `encode`.
      mask: Path of the video of its masks; "" for a video in which nothing was manipulated; None where masks are not
        stored.
      subgroups: {name: text} of all subgroup columns of the data set.
    """

    path: str
    split: str
    label: int
    data_set: str
    method: str
    video: str
    source: str
    recipe: object
    draw: object = None
    unpack: object = None
    read: object = None
    change: object = None
    image_format: str = IMAGE_FORMAT
    mask: object = None
    subgroups: dict = dataclasses.field(default_factory=dict)


def draw_missing(video: Video) -> None:
    """Writes the file of a synthetic video, unless it is there."""
    if video.draw is not None and not Path(video.path).exists():
        video.draw()


def make_examples(video: Video) -> tuple:
    """Examples of a video: detect, crop, encode. A synthetic video is drawn before, see `draw_missing`.

    Args:
      video: Video.
    Returns:
      ("scored", [(key, feature values)]), or (status "no_face", "unreadable" or "too_short", the reason in words).
    Raises:
      InputError: nothing to do with this video: a full disk, missing weights of the detector.
    """
    from tfdeepfake.data.examples import NoFace, TooShort, extract
    from tfdeepfake.data.video import VideoError
    from tfdeepfake.errors import InputError

    try:
        if video.read is not None:
            examples = video.read(video.recipe)
        elif video.unpack is None:
            examples = extract(video.path, video.recipe, change=video.change)
        else:
            with tempfile.TemporaryDirectory() as folder:
                examples = extract(video.unpack(folder), video.recipe, change=video.change)
        masks = _masks(video, examples)
    except NoFace as error:
        return "no_face", error.problem
    except TooShort as error:
        return "too_short", error.problem
    except VideoError as error:
        return "unreadable", error.problem
    except InputError:
        raise
    except Exception as error:  # one bad video must not end a build of a hundred thousand; it is counted and named
        return "unreadable", f"unexpected {type(error).__name__}: {error}"
    facts = {name: getattr(video, name) for name in ("label", "data_set", "method", "video", "source")}
    facts |= video.subgroups
    return "scored", [
        (
            f"{video.method}/{video.video}/{e.face}/{e.indices[0]}",
            facts | encode(e, video.recipe, video.image_format, mask),
        )
        for e, mask in zip(examples, masks, strict=True)
    ]


def _masks(video, examples):
    """The mask of each example, or None."""
    from tfdeepfake.data.masks import mask_crops
    from tfdeepfake.data.video import VideoError

    if video.mask is None:
        return [None] * len(examples)
    if examples[0].mask is not None:
        return [e.mask for e in examples]
    if not video.mask:
        return [np.zeros(e.frames.shape[:3], np.uint8) for e in examples]
    try:
        return mask_crops(video.mask, video.path, examples)
    except VideoError as error:
        raise VideoError(video.path, f"its mask {error.subject}: {error.problem}") from error
