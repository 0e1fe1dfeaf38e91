"""One video explained: a page, contact sheets, an annotated video, the maps as arrays, all in a folder."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from tfdeepfake.explain import attention, draw, scored
from tfdeepfake.explain.further import frames_apart, further_samples
from tfdeepfake.explain.gradcam import Site, explained_logit, gradcam, sites
from tfdeepfake.explain.samples import Sample, maps_of_video, most_suspicious
from tfdeepfake.explain.seen import inputs_of
from tfdeepfake.explain.settings import ExplainSettings
from tfdeepfake.files import atomic_path, write_json
from tfdeepfake.report import html
from tfdeepfake.verdict.settings import JudgeSettings

if TYPE_CHECKING:
    import keras

    from tfdeepfake.recipe import Recipe
    from tfdeepfake.verdict.batch import Network

SCHEMA = 1
RESULT, ARRAYS, PAGE = "explanation.json", "maps.npz", "index.html"
# Faces that get a contact sheet and scores; arrays and the annotated video have all.
MOST_FACES = 3
# Networks with shuffled weights that a map is compared with.
NETWORKS = 5
# Frames further apart than this are shown one by one, so long each.
APART_S, SHOWN_S = 0.25, 0.5


def explain_video(
    path: Path | str,
    network: "Network",
    out_dir: Path | str,
    settings: ExplainSettings | None = None,
    judge_settings: JudgeSettings | None = None,
    mask: Path | str | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> dict:
    """Explains what a network says of a video's faces.

    Args:
      path: video or image.
      network: of `verdict.batch.load_network` with runtime "keras".
      out_dir: gets index.html, explanation.json, maps.npz, a contact sheet of each face and annotated.mp4 (of a still
        image annotated.jpg).
      settings: `ExplainSettings()` when not given; judge_settings: `JudgeSettings()`.
      mask: video of where the video was manipulated, see `data.masks`.
      log: called with lines for the user.
    Returns:
      dict, the content of explanation.json.
    Raises:
      InputError: a layer or class that the network has not, a mask of another size, a folder that cannot be written to.
    """
    settings, judge_settings = settings or ExplainSettings(), judge_settings or JudgeSettings()
    model, recipe, out_dir = network.model, network.recipe, Path(out_dir)
    places = sites(model, settings.layer)
    how = {"num_copies": settings.num_copies, "noise": settings.noise}
    functions = [gradcam(model, settings.layer, settings.explained, recipe, **how)]
    if attention.attention_tensors(model):
        functions.append(attention.attention(model))
    verdict, samples = maps_of_video(path, network, judge_settings, functions)
    about = {
        "schema": SCHEMA,
        "file": str(path),
        "model": str(network.folder),
        "network": recipe.network,
        "explained": settings.target or "fake",
        "maps": {site.name: f"Grad-CAM of layer {site.layer}" for site in places},
        "smoothed_over": settings.num_copies,
        "status": verdict.status,
        "probability": verdict.probability,
        "label": verdict.label,
        "caveat": verdict.caveat,
        "reason": verdict.reason,
        "remedy": verdict.remedy,
        "faces": [],
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    if not samples:
        write_json(out_dir / RESULT, about)
        log(f"{path}: {verdict.reason} {verdict.remedy}")
        return about
    about["maps"] |= {name: "attention" for name in samples[0].maps if name not in about["maps"]}
    masks = _masks(mask, path, samples) if mask else {}
    _write_arrays(out_dir / ARRAYS, samples)
    about["annotated"] = _write_annotated(out_dir, path, verdict, samples, places[0].name, recipe.threshold)
    sections = []
    for face in verdict.faces[:MOST_FACES]:
        of_face = [sample for sample in samples if sample.face == face["face"]]
        worst = most_suspicious(of_face)[face["face"]]
        wanted, further = None, []
        if settings.sheet_every and not verdict.video["is_image"]:
            wanted = frames_apart(of_face, settings.sheet_frames, settings.sheet_every, verdict.video["frame_count"])
            further = further_samples(path, network, judge_settings, samples, face["face"], wanted, functions)
        frames = draw.chosen_frames(of_face + further, settings.sheet_frames, wanted)
        heading = f"{recipe.network}, face {face['face']}: {face['label']} {face['probability']:.2f}"
        image, name = draw.sheet([(heading, frames)]), f"face_{face['face']}.jpg"
        with atomic_path(out_dir / name) as temporary:
            image.save(temporary, "JPEG", quality=88)
        scores, plots = {}, {}
        if settings.num_random:
            passes = len(places) * (1 + settings.num_random) * 2 * scored.STEPS
            log(f"scoring the maps of face {face['face']}: about {passes} passes of the network (--num-random) ...")
            total = len(places) * (1 + settings.num_random + NETWORKS)
            with tqdm(total=total, desc="scores", unit="map", disable=None, leave=False) as bar:
                scores, plots = _scores(model, recipe, places, functions[0], worst, settings, masks, bar.update)
        about["faces"].append(
            {
                "face": face["face"],
                "probability": face["probability"],
                "label": face["label"],
                "sheet": name,
                "sheet_frames": [int(sample.indices[t]) for sample, t in frames],
                "of_sheet_alone": [int(s.indices[t]) for s, t in frames if any(s is one for one in further)],
                "scored_sample": {"frame": int(worst.indices[0]), "probability": worst.probability},
                "nothing_speaks_for_it": [site for site, peak in worst.peaks.items() if not peak > 0],
                "scores": scores,
            }
        )
        sections.append(about["faces"][-1] | {"image": html.embedded(image, 1400, 84), "plots": plots})
    write_json(out_dir / RESULT, about)
    html.write_page(
        out_dir / PAGE,
        "explanation.html",
        title="Where the network looks",
        about=about,
        sections=sections,
        score_text=SCORE_TEXT,
    )
    for line in lines_of(about):
        log(line)
    log(f"The page: {out_dir / PAGE}")
    return about


def _masks(mask, path, samples):
    """{id of a sample: uint8 [T, h, w]}, read for the most suspicious samples alone."""
    from tfdeepfake.data import video
    from tfdeepfake.explain.masks import mask_of

    of_video = video.probe(path)
    size, count = (of_video.height, of_video.width), of_video.frame_count
    return {id(sample): mask_of(mask, size, sample, count) for sample in most_suspicious(samples).values()}


def _write_arrays(path, samples):
    """All maps, with what is needed to put them back onto the frames."""
    arrays = {}
    for face in sorted({sample.face for sample in samples}):
        of_face, key = [sample for sample in samples if sample.face == face], f"face{face}"
        for name in ("indices", "timestamps_s", "matrices", "frames", "logit", "probability"):
            arrays[f"{key}_{name}"] = np.array([getattr(sample, name) for sample in of_face])
        for name in of_face[0].maps:
            arrays[f"{key}_map_{name.replace(' ', '_')}"] = np.array([sample.maps[name] for sample in of_face])
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **arrays)


def _write_annotated(out_dir, path, verdict, samples, name, threshold):
    """Name of the annotated video, or of an image."""
    from tfdeepfake.data.video.write import write_image, write_video

    frames = draw.annotated_frames(path, verdict.video, samples, name, threshold)
    if verdict.video["is_image"]:
        write_image(out_dir / "annotated.jpg", np.asarray(next(frames)[2]))
        return "annotated.jpg"
    times = np.unique(np.concatenate([sample.timestamps_s for sample in samples]))
    steps = np.diff(times)
    usual_s = float(np.median(steps)) if len(steps) else SHOWN_S
    fps = 1 / SHOWN_S if usual_s > APART_S else 1 / usual_s
    write_video(out_dir / "annotated.mp4", (np.asarray(image) for _, _, image in frames), fps, crf=20)
    return "annotated.mp4"


def score_function(
    model: "keras.Model", site: Site, target: int | str | None, recipe: "Recipe"
) -> Callable[[dict], np.ndarray]:
    """Function of a batch of inputs that returns the explained logit over the temperature, float32 [B]."""
    import keras

    part = model if site.logit == "logits" else keras.Model(inputs_of(model), model.get_layer(site.logit).output)

    def score(batch):
        logits = np.asarray(part.predict_on_batch(batch), np.float32)
        # A member that votes with clip networks has a logit for each frame: its mean.
        logits = logits.reshape(len(batch["frames"]), -1, logits.shape[-1]).mean(axis=1)
        return keras.ops.convert_to_numpy(explained_logit(logits, target, recipe.classes)) / recipe.temperature

    return score


def _scores(model, recipe, places, function, sample, settings, masks, step):
    """({map: {score: dict of Beside}}, {map: curves for the page}) of one sample."""
    inputs, scores, plots = sample.inputs(model), {}, {}
    batch = {name: value[None] for name, value in inputs.items()}
    for site in places:
        values = sample.maps[site.name]
        score = score_function(model, site, settings.explained, recipe)
        of_site, own = scored.curve_scores(score, inputs, values, site.input_name, settings.num_random, step=step)
        again = functools.partial(_map_again, function, batch, site.name)
        of_site["likeness_to_randomised"] = scored.likeness_to_randomised(model, again, values, NETWORKS, step=step)
        of_site["energy_in_face_box"] = scored.energy_in(values, face_box_region(sample))
        if id(sample) in masks:
            of_site["energy_in_mask"] = scored.energy_in(values, masks[id(sample)])
        scores[site.name] = {name: beside._asdict() for name, beside in of_site.items()}
        plots[site.name] = own
    return scores, plots


def _map_again(function, batch, name):
    return function(batch)[name].values[0]


def face_box_region(sample: Sample) -> np.ndarray:
    """bool [T, h, w]: the detector's box of the face, in the crops."""
    shape = sample.frames.shape[:3]
    region = np.zeros(shape, bool)
    for t, (box, matrix) in enumerate(zip(sample.face_boxes_px, sample.matrices, strict=True)):
        corners = np.array([[box[x], box[y], 1] for x in (0, 2) for y in (1, 3)]) @ matrix.T
        (left, top), (right, bottom) = np.rint(corners.min(0)).astype(int), np.rint(corners.max(0)).astype(int)
        region[t, max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = True
    return region


SCORE_TEXT = {
    "deletion": "deletion: mean logit while what it names first is taken away (lower is better)",
    "insertion": "insertion: mean logit while it is put into a blurred image (higher is better)",
    "likeness_to_randomised": "likeness to maps of the network with shuffled weights (1: nothing learned shows), its "
    "own 95 % over these networks",
    "energy_in_face_box": "part of the map inside the face's box",
    "energy_in_mask": "part of the map inside the manipulated region",
}
# Of these the interval is over what the value is a mean of; of the others it is that of chance.
INTERVAL_OF_VALUE = ("likeness_to_randomised",)


def lines_of(about: dict) -> list[str]:
    """The scores as text, a line each."""
    lines = []
    for face in about["faces"]:
        said = f", {about['caveat']}" if about["caveat"] else ""
        lines.append(f"face {face['face']}: {face['label']} {face['probability']:.2f}, {face['sheet']}{said}")
        for site, scores in face["scores"].items():
            lines += [
                f"  {site}: {name.replace('_', ' ')} {beside_text(beside, name)}" for name, beside in scores.items()
            ]
    return lines


def beside_text(beside: dict, name: str = "") -> str:
    """Such as "0.41, chance 0.52 [0.48, 0.57]"; an interval that is the value's stands behind the value.

    Args:
      beside: `scored.Beside` as a dict.
      name: of the score.
    """
    value = f"undefined ({beside['reason']})" if beside["value"] is None else f"{beside['value']:.3f}"
    if beside["chance"] is None:
        return value
    chance = f"{beside['chance']:.3f}"
    spread = f" [{beside['interval'][0]:.3f}, {beside['interval'][1]:.3f}]" if beside["interval"] else ""
    if name in INTERVAL_OF_VALUE:
        return f"{value}{spread}, chance {chance}"
    return f"{value}, chance {chance}{spread}"
