"""The signatures of a served network, as functions of tensors: scores of crops and of JPEG files, embedding, attention.

TF Serving's REST API takes bytes as {"b64": ...} for inputs whose name ends in `_bytes`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tfdeepfake.recipe import Recipe
from tfdeepfake.scoring.classes import REAL_CLASS

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# A JPEG file of some kilobytes may claim 65,535 x 65,535.
MOST_PIXELS = 1 << 24
DEFAULT, JPEG, EMBED, ATTENTION = "serving_default", "serve_jpeg", "embed", "attention"
EMBEDDING = "embedding"  # the layer


def signatures(model: "keras.Model", recipe: Recipe) -> dict[str, tuple[Callable, dict]]:
    """{name: (function of keyword tensors that returns {output: tensor}, {input: tf.TensorSpec})}.

    `serving_default`: `frames` uint8 [B, (T,) H, W, 3], RGB crops as the recipe makes them, and where the network reads
    it `flow` float32 [B, (T,) H, W, 2] in px/frame -> `logit` and `probability` float32 [B] of FAKE; of a network of K
    classes `logits` and `probabilities` float32 [B, K], and where the first class is `real` also `logit` and
    `probability` of FAKE (`scoring.classes`); of M networks that vote `votes` float32 [B, M], the logit of each, the
    mean of their probabilities and its `logit` as `scoring.rules.vote` has it.
    `serve_jpeg`: `frames_bytes` string [B] or [B, T], a JPEG file each, resized where it has another size, in the place
    of `frames`.
    `embed`: as `serving_default` -> `embedding` float32 [B, D], the layer of that name.
    `attention`: `attention` float32 [B, h, w] in 0..1, of networks with a layer of that name.

    Args:
      model: keras.Model with the layer `embedding`, or `voting.SideBySide`.
      recipe: of its saved model folder.
    """
    import tensorflow as tf

    # The network normalises inside its own graph and takes any dtype: uint8 is a quarter of the bytes on the wire.
    dtypes = {"frames": tf.uint8, "flow": tf.float32}
    crops = {i.name: tf.TensorSpec((None, *i.shape[1:]), dtypes[i.name], i.name) for i in model.inputs}
    shape = crops["frames"].shape
    files = {"frames_bytes": tf.TensorSpec(shape[:-3], tf.string, "frames_bytes")}
    files |= {name: spec for name, spec in crops.items() if name != "frames"}

    def score(**inputs):
        return _scores(model(_cast(model, inputs), training=False), recipe)

    def score_files(frames_bytes, **rest):
        return score(frames=decoded(frames_bytes, shape), **rest)

    named = {DEFAULT: (score, crops), JPEG: (score_files, files)}
    layers = {layer.name for layer in model.layers}
    for name, layer in ((EMBED, EMBEDDING), (ATTENTION, ATTENTION)):
        if layer in layers:
            named[name] = (_of_layer(model, layer), crops)
    return named


def _scores(logits, recipe):
    import tensorflow as tf

    logits = tf.cast(logits, tf.float32)
    if recipe.members:
        fake, real = (tf.reduce_logsumexp(tf.math.log_sigmoid(sign * logits), axis=1) for sign in (1.0, -1.0))
        probability = tf.reduce_mean(tf.sigmoid(logits / recipe.temperature), axis=1)
        return {"logit": fake - real, "probability": probability, "votes": logits}
    if logits.shape[-1] == 1:
        # The logit is [B, 1]; a server's answer reads better flat.
        logit = tf.reshape(logits, (-1,))
        return {"logit": logit, "probability": tf.sigmoid(logit / recipe.temperature)}
    if not recipe.classes or recipe.classes[0] != REAL_CLASS:
        return {"logits": logits, "probabilities": tf.nn.softmax(logits / recipe.temperature)}
    # As `scoring.classes`: the temperature belongs to FAKE against REAL.
    together = tf.reduce_logsumexp(logits[:, 1:], axis=1)
    logit = together - logits[:, 0]
    probability = tf.sigmoid(logit / recipe.temperature)
    fakes = probability[:, None] * tf.nn.softmax(logits[:, 1:])
    probabilities = tf.concat([1 - probability[:, None], fakes], axis=1)
    return {"logits": logits, "probabilities": probabilities, "logit": logit, "probability": probability}


def _cast(model, inputs):
    import tensorflow as tf

    return {i.name: tf.cast(inputs[i.name], i.dtype) for i in model.inputs}


def _of_layer(model, layer):
    """Function of the network's inputs that returns what one of its layers gives; a map's one channel is dropped."""
    import keras
    import tensorflow as tf

    part = keras.Model(model.inputs, model.get_layer(layer).output)

    def run(**inputs):
        values = tf.cast(part(_cast(part, inputs), training=False), tf.float32)
        return {layer: values[..., 0] if len(values.shape) == 4 else values}

    return run


def decoded(files: "tf.Tensor", shape: tuple) -> "tf.Tensor":
    """JPEG files to uint8 [B, (T,) H, W, 3]: RGB, resized bilinearly with antialiasing to the size of `shape`.

    A file of the right size is not resized; EXIF orientation is not read. What is no JPEG file, or has more than
    MOST_PIXELS, is an InvalidArgument error.

    Args:
      files: string tensor [B] or [B, T].
      shape: (None, (T,) H, W, 3).
    """
    import tensorflow as tf

    size = tuple(shape[-3:-1])

    def one(file):
        sides = tf.cast(tf.image.extract_jpeg_shape(file)[:2], tf.int64)
        small = tf.debugging.assert_less_equal(
            tf.reduce_prod(sides), tf.constant(MOST_PIXELS, tf.int64), "frames_bytes: more pixels than allowed."
        )
        with tf.control_dependencies([small]):
            image = tf.io.decode_jpeg(tf.identity(file), channels=3, dct_method="INTEGER_ACCURATE")

        def resized():
            return tf.cast(tf.round(tf.clip_by_value(tf.image.resize(image, size, antialias=True), 0, 255)), tf.uint8)

        same = tf.reduce_all(tf.shape(image)[:2] == size)
        return tf.ensure_shape(tf.cond(same, lambda: image, resized), (*size, 3))

    images = tf.map_fn(one, tf.reshape(files, (-1,)), fn_output_signature=tf.TensorSpec((*size, 3), tf.uint8))
    return tf.reshape(images, (-1, *shape[1:]))
