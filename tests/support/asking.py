"""For tests of processes that ask their parent: run there, so with few imports."""

import sys

import numpy as np

from tfdeepfake.model_folder import load_recipe
from tfdeepfake.serving.shared_model import SharedModel
from tfdeepfake.workers import ask_parent


def ask_twice(item):
    return [ask_parent(item), ask_parent("again")]


def score_shared(item):
    """Logits of (exported folder, uint8 rows as nested lists), scored by the parent; whether Keras was loaded."""
    folder, rows = item
    model = SharedModel("net", load_recipe(folder), ("frame", False))
    return model.predict_on_batch({"frames": np.uint8(rows)}).tolist(), "keras" in sys.modules
