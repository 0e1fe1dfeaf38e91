"""For tests of processes that ask their parent, or a server: run there, so with few imports."""

import sys

import numpy as np

from tfdeepfake.model_folder import load_recipe
from tfdeepfake.serving.remote import RemoteModel
from tfdeepfake.serving.shared_model import SharedModel
from tfdeepfake.workers import ask_parent


def ask_twice(item):
    return [ask_parent(item), ask_parent("again")]


def score_shared(item):
    """Logits of (exported folder, uint8 rows as nested lists), scored by the parent; whether Keras was loaded."""
    folder, rows = item
    model = SharedModel("net", load_recipe(folder), ("frame", False))
    return model.predict_on_batch({"frames": np.uint8(rows)}).tolist(), "keras" in sys.modules


def score_elsewhere(item):
    """Logits of (address of a server, exported folder, uint8 rows); what was loaded that should not be."""
    address, folder, rows = item
    logits = RemoteModel(address, "net", load_recipe(folder)).predict_on_batch({"frames": np.uint8(rows)})
    return logits.tolist(), sorted({"tensorflow", "keras"} & set(sys.modules))
