"""What lies beside the version folders of an exported model: TF Serving's two text files, a README and a client."""

import json
from pathlib import Path
from string import Template

from tfdeepfake.files import atomic_path
from tfdeepfake.recipe import Recipe
from tfdeepfake.serving.example_calls import example_calls, signature_table
from tfdeepfake.serving.signatures import DEFAULT
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


def write_beside(folder: Path, inputs: dict[str, dict], outputs: dict[str, dict], recipe: Recipe) -> None:
    """Writes batching.config, models.config, README.md and client.py.

    Args:
      folder: of the served model, whose name is that of the model.
      inputs, outputs: {signature: {tensor: tf.TensorSpec}}.
      recipe: of the network.
    """
    crops, name, data = inputs[DEFAULT], folder.resolve().name, recipe.data
    sizes = batch_sizes(crops)
    allowed = "\n".join(f"allowed_batch_sizes: {size}" for size in sizes)
    _write(folder / BATCHING_FILE, BATCHING % {"largest": sizes[-1], "sizes": allowed})
    _write(folder / MODELS_FILE, MODELS % {"name": name})
    template = Template((TEMPLATES / "export_readme.md").read_text(encoding="utf-8"))
    faces = (
        "whole frames" if data.detector == "none" else f"faces found by {data.detector}, margin {data.margin_frac:g}"
    )
    if data.alignment != "none":
        faces += f", aligned as {data.alignment} does"
    text = template.substitute(
        name=name,
        network=recipe.network,
        faces=faces,
        size=f"{data.height_px} x {data.width_px}",
        licence=recipe.licence,
        terms=recipe.data_terms,
        threshold=f"{recipe.threshold:g}",
        numbers=f"{sum(spec.shape[1:].num_elements() for spec in crops.values()):,}",
        **signature_table(inputs, outputs, recipe),
        **example_calls(name, inputs, outputs),
    )
    _write(folder / README_FILE, text)
    client = (TEMPLATES / "client.py").read_text(encoding="utf-8")
    _write(folder / CLIENT_FILE, client.replace('NAME = "model"', f"NAME = {json.dumps(name)}"))


def _write(path, text):
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
