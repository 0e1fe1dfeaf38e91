"""What lies beside the version folders of an exported model: TF Serving's two text files, a README and a client."""

import shutil
from pathlib import Path
from string import Template

from tfdeepfake.files import atomic_path
from tfdeepfake.recipe import Recipe
from tfdeepfake.serving.warmup import batch_sizes

BATCHING_FILE, MODELS_FILE, README_FILE, CLIENT_FILE = "batching.config", "models.config", "README.md", "client.py"
TEMPLATES = Path(__file__).with_name("templates")

BATCHING = """\
# For tensorflow_model_server --enable_batching --batching_parameters_file: examples of several requests in one call.
max_batch_size { value: %(largest)d }
batch_timeout_micros { value: 2000 }
num_batch_threads { value: 2 }
max_enqueued_batches { value: 64 }
%(sizes)s
"""
MODELS = """\
# For tensorflow_model_server --model_config_file: all versions are served, the highest where none is named.
model_config_list {
  config {
    name: "%(name)s"
    base_path: "/models/%(name)s"
    model_platform: "tensorflow"
    model_version_policy { all { } }
  }
}
"""


def write_beside(folder: Path, inputs: dict, signatures: list[str], recipe: Recipe) -> None:
    """Writes batching.config, models.config, README.md and client.py.

    Args:
      folder: of the served model, whose name is that of the model.
      inputs: {name: tf.TensorSpec} of the default signature.
      signatures: names of all.
      recipe: of the network.
    """
    sizes, name = batch_sizes(inputs), folder.resolve().name
    allowed = "\n".join(f"allowed_batch_sizes: {size}" for size in sizes)
    _write(folder / BATCHING_FILE, BATCHING % {"largest": sizes[-1], "sizes": allowed})
    _write(folder / MODELS_FILE, MODELS % {"name": name})
    template = Template((TEMPLATES / "export_readme.md").read_text(encoding="utf-8"))
    shapes = "\n".join(
        f"    {key}  {spec.dtype.name} {['B', *spec.shape[1:]]}".replace("'", "") for key, spec in inputs.items()
    )
    data = recipe.data
    faces = (
        "whole frames" if data.detector == "none" else f"faces found by {data.detector}, margin {data.margin_frac:g}"
    )
    text = template.substitute(
        name=name,
        network=recipe.network,
        shapes=shapes,
        signatures=", ".join(f"`{signature}`" for signature in signatures),
        faces=faces,
        size=f"{data.height_px} x {data.width_px}",
        licence=recipe.licence,
        terms=recipe.data_terms,
        classes=", ".join(recipe.classes) if recipe.classes else "one logit: FAKE above zero",
        threshold=f"{recipe.threshold:g}",
    )
    _write(folder / README_FILE, text)
    with atomic_path(folder / CLIENT_FILE) as temporary:
        shutil.copyfile(TEMPLATES / "client.py", temporary)


def _write(path, text):
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
