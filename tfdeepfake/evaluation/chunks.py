"""Networks trained on short clips, scored on chunks: P3 Sec. 5 trains on 64 or 16 frames and tests on 250."""

import dataclasses
from typing import TYPE_CHECKING

from tfdeepfake import models
from tfdeepfake.layers.initializers import undrawn
from tfdeepfake.model_folder import by_name
from tfdeepfake.recipe import DataRecipe, Recipe

if TYPE_CHECKING:
    import keras


def lengthened(model: "keras.Model", recipe: Recipe, data: DataRecipe) -> tuple["keras.Model", Recipe]:
    """A network as data in chunks need it: with its own weights, built for as many frames as a chunk has.

    Args:
      model: a network; recipe: of its saved model folder.
      data: DataRecipe of the prepared data.
    Returns:
      (keras.Model, Recipe); both as they were where the data are no chunks, or the network's own data were.
    Raises:
      InputError: the network's weights are of one length.
    """
    own = recipe.data
    if data.sampling != "chunks" or (own.input_type, own.sampling, own.stride_frames) != ("clip", "consecutive", 1):
        return model, recipe
    models.check_any_length(recipe.network, data.num_frames)
    args = recipe.network_args | {"num_frames": data.num_frames}
    with undrawn():
        longer = models.build(recipe.network, **args)
    values = by_name(model)
    for name, variable in by_name(longer).items():
        variable.assign(values[name])
    whole = dataclasses.replace(own, sampling="chunks", num_frames=data.num_frames, num_clips=1, runs_fps=None)
    return longer, dataclasses.replace(recipe, network_args=args, data=whole)
