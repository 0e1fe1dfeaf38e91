"""For tests of serving: small networks in model folders, and a SavedModel of one in two versions."""

import keras
import numpy as np

from tfdeepfake import models
from tfdeepfake.model_folder import save_model
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.serving.export import export

SIZE = (16, 24)
# Crops of three requests.
ROWS = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), np.uint8)
SMALL = {
    "baseline": {"input_size": list(SIZE), "backbone": "small", "width": 2},
    "two_stream_frame": {
        "input_size": list(SIZE),
        "backbone": "small",
        "width": 2,
        "flow_widths": [3, 4],
        "units": 12,
    },
}


def model_folder(folder, name="baseline", **data):
    """A saved model folder of a small network with random weights; the network."""
    keras.utils.set_random_seed(5)
    model = models.build(name, **SMALL[name])
    flow = models.wants_flow(model)
    values = {
        "input_type": "flow" if flow else "frame",
        "flow": "dis" if flow else "none",
        "num_frames": 4,
        "height_px": SIZE[0],
        "width_px": SIZE[1],
    }
    save_model(folder, model, Recipe(name, SMALL[name], DataRecipe(**values | data), temperature=2.0))
    return model


def exported(folder, name="baseline", versions=(1,)):
    """A folder `folder`/net of these versions, all of one network; the network."""
    model = model_folder(folder / "model", name)
    for version in versions:
        export(folder / "model", folder / "net", version)
    return model
