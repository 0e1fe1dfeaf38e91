"""Networks that vote, side by side in one graph: what is exported of a folder with members."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfdeepfake.model_folder import find_model_folder, load_model, load_recipe, member_folders
from tfdeepfake.recipe import Recipe

if TYPE_CHECKING:
    import keras


class SideBySide:
    """What `signatures.signatures` needs of a network, of several that read the same inputs.

    Called with {input: tensor} it gives their logits of FAKE [B, M] side by side. It has no layers of its own: features
    of one of them would not be those of the vote.
    """

    def __init__(self, models: list):
        """Takes keras.Models, each with one output [B, 1]."""
        self.models, self.inputs, self.outputs, self.layers = models, models[0].inputs, models[0].outputs, []

    def __call__(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits [B, M]."""
        import keras

        return keras.ops.concatenate([model(inputs, training=training) for model in self.models], axis=-1)

    def count_params(self) -> int:
        """Of all of them."""
        return sum(model.count_params() for model in self.models)


def load_exported(folder: Path | str) -> tuple["keras.Model | SideBySide", Recipe]:
    """(network, Recipe) of a saved model or run folder, also of networks that vote.

    Raises:
      InputError: see `model_folder.load_model`.
    """
    folder = find_model_folder(folder)
    recipe = load_recipe(folder)
    if not recipe.members:
        return load_model(folder)
    return SideBySide([load_model(member)[0] for member in member_folders(folder, recipe)]), recipe
