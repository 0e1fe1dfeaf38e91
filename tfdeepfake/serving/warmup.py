"""Warm-up requests of a SavedModel: TF Serving runs them before it answers anybody, so that no user waits for tracing.

Format: assets.extra/tf_serving_warmup_requests, a TFRecord file of PredictionLog messages
(https://www.tensorflow.org/tfx/serving/saved_model_warmup).
"""

from pathlib import Path

import numpy as np

from tfdeepfake.recipe import Recipe
from tfdeepfake.serving.messages import fill_tensor, messages

WARMUP_FILE = "tf_serving_warmup_requests"
# One call of the network takes so many examples at most when a server puts requests together.
MAX_FRAMES, MAX_CLIPS = 32, 4
_MOST_BYTES = 64_000_000


def batch_sizes(inputs: dict) -> list[int]:
    """Sizes that batches are padded to, the powers of two up to the largest, of a network with these tf.TensorSpecs."""
    largest = MAX_CLIPS if len(inputs["frames"].shape) == 5 else MAX_FRAMES
    return [1 << power for power in range(largest.bit_length())]


def write_warmup(folder: Path, name: str, specs: dict[str, dict], recipe: Recipe) -> Path:
    """Writes a request of one example for each signature, and of the largest batch for the default one.

    Args:
      folder: assets.extra of the SavedModel.
      name: that the model is served under.
      specs: {signature: {input: tf.TensorSpec}}, the default first.
      recipe: of the network.
    """
    import tensorflow as tf

    requests = [(signature, 1) for signature in specs]
    default = next(iter(specs))
    example_bytes = sum(spec.dtype.size * np.prod(spec.shape[1:]) for spec in specs[default].values())
    if (largest := batch_sizes(specs[default])[-1]) * example_bytes <= _MOST_BYTES:
        requests.append((default, largest))
    path, rng = folder / WARMUP_FILE, np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(path)) as records:
        for signature, batch in requests:
            record = messages().PredictionLog()
            request = record.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = name, signature
            for key, spec in specs[signature].items():
                fill_tensor(request.inputs[key], _example(spec, batch, rng, recipe))
            records.write(record.SerializeToString())
    return path


def _example(spec, batch, rng, recipe):
    import tensorflow as tf

    shape = (batch, *spec.shape[1:])
    if spec.dtype == tf.string:
        image = rng.integers(0, 256, (recipe.data.height_px, recipe.data.width_px, 3), np.uint8)
        files = np.empty(shape, object)
        files[...] = tf.io.encode_jpeg(image).numpy()
        return files
    if spec.dtype == tf.uint8:
        return rng.integers(0, 256, shape, np.uint8)
    return rng.normal(0, 1, shape).astype(np.float32)
