"""What fewer bits do to a network's scores: drawn videos, judged by it as it is and by a smaller form of it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tfdeepfake.data import faces, synthetic
from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path, sha256, write_json
from tfdeepfake.model_folder import RECIPE_FILE, find_model_folder, load_model
from tfdeepfake.recipe import Recipe
from tfdeepfake.verdict.judging import judge_looked, look_plan
from tfdeepfake.verdict.looking import Looked, look
from tfdeepfake.verdict.settings import JudgeSettings
from tfdeepfake.verdict.timelines import network_inputs

# By how much the probability of a drawn test video may move: a score's second digit, or its first.
LIMITS = {"float16": 0.01, "int8": 0.05, "int8_full": 0.05}
# Drawn videos of people of their own, real and faked: the first are for calibration, the others are tests.
_CALIBRATION, _TESTS = 4, 8
_EXAMPLES = 64


def write_smaller_form(
    model_folder: Path | str,
    path: Path,
    facts_path: Path,
    precision: str,
    make: Callable,
    log: Callable[[str], None],
    most: float | None,
) -> Path:
    """Writes a network in fewer bits, what it was made of, and the recipe.

    Its scores of drawn videos are near enough to those of the network as it is.

    Videos are drawn and their faces cut by the recipe. Some of them are for calibration; the others, of other people,
    are judged by both.

    Args:
      model_folder: as written by `model_folder.save_model`, or a run folder, whose best/ is taken.
      path: of the file; its folder is made when absent.
      facts_path: of the JSON file beside it.
      precision: a key of `LIMITS`.
      make: function of (keras.Model, Recipe, inputs of single examples for calibration) that returns the file's bytes
        and what runs them, as `score_change` takes it.
      log: called with a line on sizes and scores.
      most: by which the probability of a test video may move; `LIMITS` when not given.
    Returns:
      `path`.
    Raises:
      InputError: the folder cannot be used, it finds no face in the drawn videos, or a score moves by more than `most`.
    """
    model_folder = find_model_folder(model_folder)
    model, recipe = load_model(model_folder)
    most = LIMITS[precision] if most is None else most
    looks = drawn_looks(model, recipe)
    calibration = list(_inputs(looks[:_CALIBRATION], model, recipe))[:_EXAMPLES]
    content, small = make(model, recipe, calibration)
    moved = score_change(model, small, recipe, looks[_CALIBRATION:])
    size, whole = len(content) / 1e6, 4e-6 * model.count_params()
    log(
        f"{precision}: {size:.1f} MB (weights in float32 {whole:.1f} MB); probabilities of {moved['videos']} drawn "
        f"videos move by {moved['most']:.4f} at most, {moved['mean']:.4f} on average; labels that change: "
        f"{moved['labels']}."
    )
    if moved["most"] > most:
        raise InputError(
            model_folder,
            f"scores move by up to {moved['most']:.3f} in {precision}; {most:g} is the limit.",
            "Use another --precision.",
        )
    with atomic_path(path) as temporary:
        Path(temporary).write_bytes(content)
    with atomic_path(path.parent / RECIPE_FILE) as temporary:
        shutil.copyfile(model_folder / RECIPE_FILE, temporary)
    made_of = {"network": recipe.network, "weights_sha256": recipe.weights_sha256, "precision": precision}
    made_of["network_args"] = recipe.network_args
    write_json(facts_path, {"made_of": made_of, "sha256": sha256(path), "score_change": moved})
    return path


def drawn_looks(model: object, recipe: Recipe) -> list[tuple[str, Looked]]:
    """[(name, what a drawn video shows)], as a verdict of this network looks at it; only those with faces.

    Raises:
      InputError: fewer than half of them show a face.
    """
    plan = look_plan(model, recipe, JudgeSettings())
    span = plan.data.clip_span_frames if plan.data.sampling == "consecutive" else plan.data.num_frames
    detect = faces.make_detector("mtcnn" if plan.data.detector == "none" else plan.data.detector)
    drawn = synthetic.make_set((4, 0, 0), real_per_identity=1, num_frames=max(24, span + 2), seed=7)
    specs = [spec for spec in drawn if spec.method in ("real", "learned_face", "face_swap")]
    looks = []
    with tempfile.TemporaryDirectory(prefix="tfdeepfake-") as folder:
        for spec in specs[: _CALIBRATION + _TESTS]:
            looked = look(synthetic.write_clip(spec, folder), plan, detect)
            if looked.failure is None:
                looks.append((spec.file_name, looked))
    if len(looks) < (_CALIBRATION + _TESTS) // 2:
        raise InputError(recipe.network, "its recipe finds no faces in drawn videos, on which scores are compared.")
    return looks


def _inputs(looks, model, recipe) -> Iterator[dict]:
    """Inputs of single examples, of all videos in turn."""
    input_type = look_plan(model, recipe, JudgeSettings()).input_type
    rows = [list(network_inputs(looked.examples, input_type)) for _, looked in looks]
    for number in range(max(map(len, rows), default=0)):
        for video in rows:
            if number < len(video):
                example, at = video[number]
                inputs = {"frames": example.frames[at][None]}
                inputs |= {} if example.flow is None else {"flow": np.asarray(example.flow[at][None], np.float32)}
                yield {tensor.name: inputs[tensor.name] for tensor in model.inputs}


def score_change(model: object, other: object, recipe: Recipe, looks: list[tuple[str, Looked]]) -> dict:
    """How the verdicts of two forms of a network differ.

    Args:
      model, other: keras.Model, or anything with its `inputs`, `outputs` and `predict_on_batch`.
      looks: of `drawn_looks`.
    Returns:
      {"videos", "most" and "mean": of the probabilities' differences, "labels": how many labels differ}.
    """
    differences, labels = [], 0
    for name, looked in looks:
        one, two = (judge_looked(name, looked, m, recipe, JudgeSettings()) for m in (model, other))
        if one.probability is None:
            continue
        differences.append(np.inf if two.probability is None else abs(one.probability - two.probability))
        labels += one.label != two.label
    if not differences:
        raise InputError(recipe.network, "judges none of the drawn videos, on which scores are compared.")
    return {
        "videos": len(differences),
        "most": float(np.max(differences)),
        "mean": float(np.mean(differences)),
        "labels": int(labels),
    }
