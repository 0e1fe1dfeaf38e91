"""Networks of saved model folders on JAX, where TensorFlow does not exist: python jax_process.py DIR NAME...

For each NAME reads DIR/NAME (a saved model folder) and DIR/NAME.npz (inputs), and writes DIR/NAME.json: `logits`;
`without`, the weights whose gradient is zero or not finite; and where DIR/NAME.train exists `losses`, those of a few
training steps.
"""

import json
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
# Nearly the whole time is spent compiling: half of it without optimisation, and of that half without XLA's newer way to
# write loops (22.2 s of CPU to 9.2 for five networks, jaxlib 0.10.2). A jaxlib that does not know the flag says so.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
os.environ["JAX_PLATFORMS"] = "cpu"
sys.path[:0] = [str(Path(__file__).parents[n]) for n in (1, 2)]


class NoTensorFlow:
    """Import hook of a machine without TensorFlow."""

    def find_spec(self, name, *rest):
        if name == "tensorflow":
            raise ModuleNotFoundError(name)


def plain_draws():
    """Initial weights from numpy: JAX compiles a draw for every shape, and a file replaces them all."""
    import numpy as np
    from keras.src.backend.jax import random

    def draw(shape, *args, dtype=None, **kwargs):
        return np.random.default_rng(0).normal(0, 0.1, tuple(shape)).astype(dtype or "float32")

    random.normal = random.uniform = random.truncated_normal = draw


def scored(model, inputs):
    """(logits, weights whose gradient of the sum of squared logits is zero or not finite), from one compilation."""
    import jax
    import numpy as np

    fixed = [v.value for v in model.non_trainable_variables]

    def loss(weights, inputs):
        logits, _ = model.stateless_call(weights, fixed, inputs, training=False)
        return (logits**2).sum(), logits

    (_, logits), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(
        [v.value for v in model.trainable_variables], inputs
    )
    gradient_of = zip(model.trainable_variables, map(np.asarray, gradients), strict=True)
    return np.asarray(logits), [v.path for v, g in gradient_of if not np.any(g) or not np.isfinite(g).all()]


def trained(model, inputs):
    """Losses of a few steps of `fit` on one batch."""
    import keras
    import numpy as np

    from tfdeepfake import losses

    labels = np.arange(len(inputs["frames"]), dtype="float32")[:, None] % 2
    model.compile(keras.optimizers.Adam(3e-3), losses.get("bce_f1"))
    return model.fit(inputs, labels, batch_size=len(labels), epochs=12, verbose=0).history["loss"]


def main(folder, *names):
    sys.meta_path.insert(0, NoTensorFlow())
    import keras
    import numpy as np

    from tfdeepfake.model_folder import load_model

    plain_draws()
    for name in names:
        keras.utils.set_random_seed(0)
        model, _ = load_model(Path(folder) / name)
        inputs = {key: value.astype("float32") for key, value in np.load(Path(folder) / f"{name}.npz").items()}
        logits, without = scored(model, inputs)
        report = {"backend": keras.backend.backend(), "logits": logits.tolist(), "without": without}
        if (Path(folder) / f"{name}.train").exists():
            report["losses"] = trained(model, inputs)
        (Path(folder) / f"{name}.json").write_text(json.dumps(report))
        keras.backend.clear_session()
    assert "tensorflow" not in sys.modules


if __name__ == "__main__":
    main(*sys.argv[1:])
