"""An ensemble of finished runs: weights of the votes from validation scores, one saved model folder (P0 III-C).

tfdeepfake ensemble runs/p0_attention2d runs/p0_i3d runs/p0_mc3_18 --vote adaptive --out saved_models/fusion
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.aggregation import video_scores
from tfdeepfake.evaluation.calibration import choose_threshold
from tfdeepfake.model_folder import (
    RECIPE_FILE,
    WEIGHTS_FILE,
    find_model_folder,
    load_model,
    load_recipe,
    save_model,
)
from tfdeepfake.profiling import macs
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.scoring.table_file import read_scores

VOTES = ("soft", "hard", "adaptive")
# How a face is cut has to be one for all members; sampling and size follow the member that sees most.
SHARED = ("detector", "select", "margin_frac", "crop", "box_smoothing", "alignment", "runs_fps")
NO_FLOW = "none"
SCORES = "scores_validation.csv"
# P0 III-C gives the 3D part "a higher weight" and no number: where fitting begins, and what it is drawn to where
# validation data say nothing.
WEIGHT_3D = 0.6
MAJORITY = 0.5
# Of the squared distance of log weights from where they began, beside a mean log loss.
_PULL = 1e-3


def ensemble(
    folders: Sequence[str | Path], out: str | Path, vote: str = "adaptive", log: Callable[[str], None] = print
) -> Recipe:
    """Writes a saved model folder in which finished runs vote.

    Args:
      folders: run folders, two or more.
      out: the folder to write.
      vote: "soft", the mean of probabilities; "hard", the fraction of members on each side, FAKE from a half;
        "adaptive", a weighted mean of probabilities whose weights lower the log loss of the validation videos, from
        more weight of the 3D networks on. Probabilities are by the members' temperatures.
      log: function that gets a line for each member and one for the ensemble.
    Returns:
      Recipe of the folder.
    Raises:
      InputError: fewer than two runs, members that read faces cut otherwise, no validation scores, or other videos in
        them; `out` holds other files.
    """
    if vote not in VOTES:
        raise InputError("vote", f"needs one of {', '.join(VOTES)}, got {vote!r}.")
    if len(folders) < 2:
        raise InputError("ensemble", f"needs two runs or more, got {len(folders)}.")
    there = {path.name for path in Path(out).iterdir()} if Path(out).is_dir() else set()
    if any(not name.startswith(".") for name in there) and not there & {WEIGHTS_FILE, RECIPE_FILE}:
        raise InputError(out, "holds other files, and no saved model.", "Give a new folder.")
    recipes = [load_recipe(folder) for folder in folders]
    data = _data(folders, recipes)
    labels, probabilities = validation_scores(folders, recipes)
    is_3d = np.array([recipe.data.input_type == "clip" for recipe in recipes])
    weights = np.full(len(folders), 1 / len(folders))
    if vote == "adaptive":
        weights = fit_weights(labels, probabilities, is_3d)
    # What most say is FAKE is FAKE: of a majority no threshold is chosen, and none of videos fits that of samples.
    threshold, chosen = MAJORITY, f"by majority of {len(folders)} members"
    together = ((probabilities >= MAJORITY).sum(1) + 0.5) / (len(folders) + 1)
    if vote != "hard":
        together = probabilities @ weights
        threshold = choose_threshold(labels, together)
        chosen = f"threshold{' and weights' * (vote == 'adaptive')} from {len(labels)} validation videos of the members"
    for folder, weight, column in zip(folders, weights, probabilities.T, strict=True):
        log(f"{folder}: weight {weight:.3f}, {_quality(labels, column)}")
    log(f"{out}: {_quality(labels, together)}")

    from tfdeepfake.models.ensemble import ensemble_of

    models = [load_model(folder)[0] for folder in folders]
    rule = "hard" if vote == "hard" else "soft"
    frames = "spaced" if data.sampling == "spaced" else "consecutive"
    temperatures = [recipe.temperature for recipe in recipes]  # of the probabilities that weights and threshold are of
    model = ensemble_of(models, weights, rule, member_frames=frames, temperatures=temperatures)
    args = {
        "members": [[recipe.network, recipe.network_args] for recipe in recipes],
        "weights": [float(weight) for weight in weights],
        "rule": rule,
        "member_frames": frames,
        "temperatures": temperatures,
    }
    shape = {tensor.name: tensor.shape for tensor in model.inputs}["frames"]
    recipe = Recipe(
        network="ensemble",
        network_args=args,
        data=dataclasses.replace(data, height_px=shape[-3], width_px=shape[-2]),
        threshold=threshold,
        video_rule="mean",
        calibration=f"{chosen}; each member's probability by its own temperature",
        data_version="; ".join(dict.fromkeys(recipe.data_version for recipe in recipes)),
        parent="; ".join(str(recipe.parent) for recipe in recipes) if any(r.parent for r in recipes) else None,
        licence="; ".join(dict.fromkeys(recipe.licence for recipe in recipes)),
        data_terms="; ".join(dict.fromkeys(recipe.data_terms for recipe in recipes)),
        gmacs=macs.billions(model),
    )
    return save_model(out, model, recipe)


def _data(folders, recipes):
    """The data recipe of the ensemble: that of the member that sees most frames.

    Raises:
      InputError: a member is of classes or of members itself, or faces are cut otherwise.
    """
    for folder, recipe in zip(folders, recipes, strict=True):
        if recipe.classes or recipe.members or recipe.network_args.get("num_classes", 1) != 1:
            raise InputError(folder, "has K classes or members of its own.", "Take runs of one logit.")
        both = {name: (getattr(recipe.data, name), getattr(recipes[0].data, name)) for name in SHARED}
        differ = [
            f"{name} is {own!r}, {first!r} in {folders[0]}" for name, (own, first) in both.items() if own != first
        ]
        if differ:
            raise InputError(
                folder, f"cuts faces otherwise: {'; '.join(differ)}.", "Train the members on data of one recipe."
            )
    flows = sorted({recipe.data.flow for recipe in recipes} - {NO_FLOW})  # a member that reads none says "none"
    if len(flows) > 1:
        raise InputError(folders[0], f"and others read flow of several kinds: {', '.join(flows)}.", "Take one kind.")
    clips = [recipe.data for recipe in recipes if recipe.data.input_type == "clip"]
    if len({clip.sampling for clip in clips} | {clip.stride_frames for clip in clips}) > 2:
        raise InputError(folders[0], "and others sample clips otherwise.", "Train the members on data of one recipe.")
    longest = max(clips or [recipe.data for recipe in recipes], key=DataRecipe.clip_span_frames.fget)
    return dataclasses.replace(longest, flow=flows[0] if flows else NO_FLOW)


def validation_scores(folders: Sequence[str | Path], recipes: Sequence[Recipe]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the validation videos that every member scored.

    Returns:
      (labels int [V], probabilities float64 [V, M]).
    Raises:
      InputError: a run has no validation scores, the members share no videos, or only those of one class.
    """
    of_member, truth = [], {}
    for folder, recipe in zip(folders, recipes, strict=True):
        path = find_model_folder(folder).parent / SCORES
        if not path.exists():
            raise InputError(folder, f"has no {SCORES}: weights are chosen on validation videos.", "Give run folders.")
        videos = video_scores(read_scores(path), recipe.video_rule, recipe.temperature, faces_rule=recipe.faces_rule)
        scored = {}
        columns = (videos[name] for name in ("data_set", "method", "video", "score", "label"))
        for *key, score, label in zip(*columns, strict=True):
            if np.isfinite(score):
                scored[tuple(key)], truth[tuple(key)] = score, label
        of_member.append(scored)
    shared = sorted(set.intersection(*(set(scored) for scored in of_member)))
    labels = np.array([truth[key] for key in shared], int)
    if len(set(labels.tolist())) < 2:
        raise InputError(
            "ensemble",
            f"needs validation videos of both classes that all members scored; there are {len(shared)}.",
            "Train the members on the same data set.",
        )
    return labels, np.array([[scored[key] for scored in of_member] for key in shared], np.float64)


def fit_weights(labels: np.ndarray, probabilities: np.ndarray, is_3d: np.ndarray) -> np.ndarray:
    """Weights of a mean of probabilities that lower its log loss, softly held where they begin.

    They begin equal among networks of one kind, the 3D ones with `WEIGHT_3D` of the whole where there are both kinds.

    Args:
      labels: int [V], 1 for fake.
      probabilities: float64 [V, M].
      is_3d: bool [M].
    Returns:
      float64 [M], above 0, summing to 1.
    """
    from scipy.optimize import minimize
    from sklearn.metrics import log_loss

    both = is_3d.any() and not is_3d.all()
    start = np.where(is_3d, WEIGHT_3D / max(1, is_3d.sum()), (1 - WEIGHT_3D) / max(1, (~is_3d).sum()))
    start = start if both else np.full(len(is_3d), 1 / len(is_3d))

    def weights(x):
        exponents = np.exp(x - x.max())
        return exponents / exponents.sum()

    def loss(x):
        return log_loss(labels, probabilities @ weights(x)) + _PULL * np.square(x - np.log(start)).sum()

    return weights(minimize(loss, np.log(start), method="L-BFGS-B").x)


def _quality(labels, probabilities):
    from sklearn.metrics import log_loss, roc_auc_score

    loss, auc = log_loss(labels, probabilities), roc_auc_score(labels, probabilities)
    return f"log loss {loss:.4f}, AUC {auc:.4f} on {len(labels)} validation videos"
