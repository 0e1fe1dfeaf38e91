"""`tfdeepfake explain`: a video's maps drawn, put back onto its frames, scored and written."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from support import verdicts

from tfdeepfake import data
from tfdeepfake.data.video import write_video
from tfdeepfake.errors import InputError
from tfdeepfake.explain import attention, draw, scored
from tfdeepfake.explain.further import frames_apart
from tfdeepfake.explain.gradcam import gradcam
from tfdeepfake.explain.masks import mask_of
from tfdeepfake.explain.overlays import overlays
from tfdeepfake.explain.samples import crop_matrices, maps_of_video
from tfdeepfake.explain.settings import ExplainSettings
from tfdeepfake.explain.video import explain_video
from tfdeepfake.verdict.batch import Network, judge_many
from tfdeepfake.verdict.settings import JudgeSettings

SIDE = verdicts.SIZE


def bright_network():
    """Clips of 4: the logit is the brightness of the map `features`, 2 x 2 places."""
    frames = keras.Input((4, SIDE, SIDE, 3), name="frames")
    x = keras.layers.Conv3D(1, 1, kernel_initializer="ones", name="conv")(frames)
    x = keras.layers.AveragePooling3D((1, 4, 4), name="features")(x)
    x = keras.layers.GlobalAveragePooling3D(name="embedding")(x)
    return keras.Model({"frames": frames}, keras.layers.Rescaling(0.01, -3.0, name="logits")(x), name="bright")


@pytest.fixture
def network(tmp_path):
    recipe = verdicts.recipe(input_type="clip", num_frames=4, sampling="consecutive", num_clips=2)
    return Network(tmp_path, bright_network(), recipe, verdicts.no_detector, "mtcnn", "mtcnn")


def lit(frame, face=0):
    """A clip whose upper left quarter is bright, cut out of the frame's right half."""
    example = verdicts.example(0.0, face=face, frame=frame, count=4, box=(40, 10, 60, 40))
    example.frames[:, : SIDE // 2, : SIDE // 2] = 255
    boxes = np.tile(np.float32([32, 8, 64, 40]), (4, 1))
    return dataclasses.replace(example, boxes_px=boxes)


def test_a_video_explained(network, monkeypatch, tmp_path):
    verdicts.pretend(monkeypatch, [lit(0), lit(48), lit(48, face=1)])
    lines, out = [], tmp_path / "out"
    settings = ExplainSettings(sheet_every=24, num_random=3)
    about = explain_video(tmp_path / "clip.mp4", network, out, settings, log=lines.append)
    assert json.loads((out / "explanation.json").read_text()) == json.loads(json.dumps(about))
    assert [face["face"] for face in about["faces"]] == [1, 2]
    # 24 apart as far as there are maps.
    assert about["faces"][0]["sheet_frames"] == [0, 48]
    scores = about["faces"][0]["scores"]["frames"]
    assert scores["deletion"]["value"] < scores["deletion"]["interval"][0]
    assert scores["insertion"]["value"] > scores["insertion"]["interval"][1]
    assert set(scores) == {"deletion", "insertion", "likeness_to_randomised", "energy_in_face_box"}
    assert any("deletion" in line and "chance" in line for line in lines)
    # The interval of the likeness is over what it is a mean of, and holds it.
    likeness = scores["likeness_to_randomised"]
    if likeness["interval"]:
        (line,) = [line for line in lines if "likeness" in line][:1]
        assert f"{likeness['value']:.3f} [" in line and line.endswith(f"chance {likeness['chance']:.3f}")
    arrays = np.load(out / "maps.npz")
    maps = arrays["face1_map_frames"]
    assert maps.shape == (2, 4, SIDE, SIDE) and maps.dtype == np.float32
    assert maps[..., : SIDE // 2, : SIDE // 2].min() > 0.3 and maps[..., -1, -1].max() == 0
    assert arrays["face1_indices"].tolist() == [[0, 1, 2, 3], [48, 49, 50, 51]]
    page = (out / "index.html").read_text()
    assert "data:image/jpeg" in page and "http://" not in page and "https://" not in page and "deletion" in page
    assert (out / "annotated.mp4").stat().st_size > 0 and (out / "face_1.jpg").exists()


def test_frames_of_the_sheet_are_as_far_apart_as_asked_for(network, monkeypatch, tmp_path):
    """Also those between the clips of the verdict, which does not change; another person's face there is not taken."""
    verdicts.pretend(monkeypatch, [lit(0), lit(96)], frame_count=200)
    usual, asked = data.examples.extract, []

    def extract(path, recipe, detect=None, places=None, **more):
        if places is None:
            return usual(path, recipe, detect)
        asked.append((recipe.num_clips, recipe.select, places.tolist()))
        # Clips around the places, of which the last shows somebody elsewhere.
        clips = [lit(int(first) - 2) for first, _ in places]
        clips[-1] = dataclasses.replace(clips[-1], face_boxes_px=clips[-1].face_boxes_px + 60)
        return clips

    monkeypatch.setattr(data.examples, "extract", extract)
    sheets = {}
    for every in (None, 24):
        about = explain_video(tmp_path / "a.mp4", network, tmp_path / f"{every}", ExplainSettings(sheet_every=every))
        sheets[every] = about["faces"][0] | {"probability_of_video": about["probability"]}
    assert asked == [(3, "all", [[24, 25], [48, 49], [72, 73]])]
    face = sheets[24]
    assert face["probability_of_video"] == sheets[None]["probability_of_video"]
    assert face["sheet_frames"] == [0, 24, 48, 96] and face["of_sheet_alone"] == [24, 48]
    assert sheets[None]["sheet_frames"] == [0, 2, 96, 97, 99] and sheets[None]["of_sheet_alone"] == []
    assert "The verdict did not look at frames 24, 48" in (tmp_path / "24" / "index.html").read_text()
    assert len(np.load(tmp_path / "24" / "maps.npz")["face1_indices"]) == 2


def test_a_network_of_drawn_faces_says_so(network, monkeypatch, tmp_path):
    verdicts.pretend(monkeypatch, [lit(0)])
    lines, settings = [], ExplainSettings(num_random=0)
    for version, said in (("face_forensics/clip:1.0.0", False), ("synthetic_faces/clip:1.0.0", True)):
        recipe = dataclasses.replace(network.recipe, data_version=version)
        explain_video(
            tmp_path / "a.mp4", dataclasses.replace(network, recipe=recipe), tmp_path, settings, log=lines.append
        )
        assert ("Drawn faces only" in (tmp_path / "index.html").read_text()) == said
        assert ("trained on drawn faces only" in "".join(lines)) == said


def test_frames_apart_stay_within_the_video(network, monkeypatch, tmp_path):
    verdicts.pretend(monkeypatch, [lit(0), lit(48)])
    _, samples = maps_of_video(tmp_path / "a.mp4", network, JudgeSettings(), [gradcam(network.model)])
    assert samples[0].probability == samples[1].probability  # so that the first counts
    assert frames_apart(samples, 5, 24, 200) == [0, 24, 48, 72, 96]
    assert frames_apart(samples, 5, 24, 60) == [0, 24, 48]
    late = [dataclasses.replace(samples[1], indices=np.arange(98, 102))]
    assert frames_apart(late, 5, 24, 102) == [2, 26, 50, 74, 98] and frames_apart(late, 1, 24, 200) == [98]
    assert frames_apart(late, 5, 24, 1000) == [50, 74, 98, 122, 146]


def test_a_verdict_page_with_maps(network, monkeypatch, tmp_path):
    verdicts.pretend(monkeypatch, [lit(0), lit(48)])
    (tmp_path / "clip.mp4").write_bytes(b"")
    judged = {}
    for name, explain in (("plain", None), ("maps", overlays)):
        judged[name] = judge_many(tmp_path / "clip.mp4", network, tmp_path / name, explain=explain)["verdicts"][0]
    assert judged["maps"]["probability"] == judged["plain"]["probability"]
    (image,) = [image for image in judged["maps"]["images"] if image["kind"] == "map"]
    assert image["face"] == 1 and not image["empty"] and (tmp_path / "maps" / image["file"]).exists()
    pages = [(tmp_path / name / "index.html").read_text() for name in judged]
    assert ["Grad-CAM" in page for page in pages] == [False, True]


def test_a_map_is_put_back_where_its_crop_was_cut_out(network, monkeypatch, tmp_path):
    verdicts.pretend(monkeypatch, [lit(0)])
    verdict, (sample,) = maps_of_video(tmp_path / "a.mp4", network, JudgeSettings(), [gradcam(network.model)])
    assert verdict.status == "scored" and sample.probability == verdict.probability
    np.testing.assert_array_equal(sample.matrices[0] @ [32, 8, 1], [0, 0])
    np.testing.assert_array_equal(sample.matrices[0] @ [64, 40, 1], [SIDE, SIDE])
    back = draw.on_frame(sample.maps["frames"][0], sample.matrices[0], (48, 64))
    assert back.shape == (48, 64) and back[:, :30].max() == 0 and back[10:18, 34:42].min() > 0.75
    assert back[30:40, 54:].max() < 0.05


def test_matrices_of_aligned_crops_are_those_of_the_crop(network):
    turn = np.tile(np.array([[0.0, 2.0, 5.0], [-2.0, 0.0, 100.0]]), (4, 1, 1))
    example = dataclasses.replace(lit(0), transforms=turn, sides_px=np.full(4, 80))
    np.testing.assert_allclose(crop_matrices(example)[0] @ [10, 20, 1], np.array([45, 80]) * SIDE / 80)


def test_a_video_without_a_face_says_so_and_draws_nothing(network, monkeypatch, tmp_path):
    def none(path):
        raise data.examples.NoFace(path, "no face was found.")

    verdicts.pretend(monkeypatch, none)
    about = explain_video(tmp_path / "clip.mp4", network, tmp_path / "out", log=lambda line: None)
    assert about["status"] == "no_face" and about["probability"] is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["explanation.json"]


def test_a_mask_is_cut_like_the_crop_it_belongs_to(tmp_path):
    """A video of masks at half the size: white where the video's upper left quarter is, black in its first frame."""
    from tfdeepfake.explain.samples import Sample

    frames = np.zeros((3, 48, 64, 3), np.uint8)
    frames[1:, :24, :32] = 255
    write_video(tmp_path / "mask.mp4", frames, 25, crf=5)
    matrix = np.array([[0.25, 0.0, -8.0], [0.0, 0.25, -4.0]])  # x 32..64, y 16..48 of a video of 96 x 128 px
    crops = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    boxes = np.zeros((2, 4), np.float32)
    sample = Sample(1, 0.0, 0.5, np.array([0, 2]), np.zeros(2), crops, None, np.stack([matrix] * 2), boxes)
    region = mask_of(tmp_path / "mask.mp4", (96, 128), sample)
    assert region.shape == (2, SIDE, SIDE) and region[0].max() < 16 and region[1].min() > 240
    moved = dataclasses.replace(sample, matrices=np.stack([matrix - [[0, 0, 8], [0, 0, 0]]] * 2))  # x 64..96
    assert mask_of(tmp_path / "mask.mp4", (96, 128), moved)[1].max() < 16
    with pytest.raises(InputError, match="mask of 64 x 48 px for a video of 96 x 96 px"):
        mask_of(tmp_path / "mask.mp4", (96, 96), sample)
    write_video(tmp_path / "long.mp4", frames.repeat(4, axis=0), 25)
    assert mask_of(tmp_path / "long.mp4", (96, 128), sample, 7).shape == (2, SIDE, SIDE)
    with pytest.raises(InputError, match="has 12 frames, and the video 3: a mask goes with it frame for frame"):
        mask_of(tmp_path / "long.mp4", (96, 128), sample, 3)
    with pytest.raises(InputError, match="has 3 frames, and the video's frame 5"):
        mask_of(tmp_path / "mask.mp4", (96, 128), dataclasses.replace(sample, indices=np.array([0, 5])))


def test_energy_in_a_region_stands_beside_that_of_an_even_map():
    values = np.zeros((1, 4, 4), np.float32)
    values[0, 0] = 1
    region = np.zeros((1, 4, 4), np.uint8)
    region[0, :2, :2] = 255
    assert scored.energy_in(values, region)[:2] == (0.5, 0.25)
    assert scored.energy_in(np.zeros_like(values), region)[:2] == (None, 0.25)
    assert scored.energy_in(values, 0 * region).reason == "the region is empty"
    with pytest.raises(ValueError, match="needs a region of that size"):
        scored.energy_in(values, region[:, :3])


def test_a_map_of_what_decides_is_better_than_random_orders_and_one_of_the_rest_is_worse():
    def score(batch):
        return batch["frames"][..., :4, :4, 0].mean(axis=(1, 2)) / 255

    frames = np.zeros((8, 8, 3), np.uint8)
    frames[:4, :4] = 255
    good = np.zeros((1, 8, 8), np.float32)
    good[0, :4, :4] = 1
    right, curve = scored.curve_scores(score, {"frames": frames}, good)
    wrong, _ = scored.curve_scores(score, {"frames": frames}, 1 - good)
    assert right["deletion"].value < right["deletion"].interval[0] <= right["deletion"].interval[1]
    assert wrong["deletion"].value > wrong["deletion"].interval[1]
    assert curve.deletion[0] == curve.insertion[-1] == 1 and curve.fractions[[0, -1]].tolist() == [0, 1]
    empty, _ = scored.curve_scores(score, {"frames": frames}, 0 * good, num_random=2)
    assert empty["deletion"].value is None and "empty" in empty["deletion"].reason


def test_shuffled_weights_are_put_back_and_a_map_of_the_image_alone_is_found_out():
    model = bright_network()
    model.get_layer("conv").kernel.assign(np.random.default_rng(0).normal(0, 1, (1, 1, 1, 3, 1)))
    before = model.get_weights()
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, (1, 8, 8)).astype(np.float32)
    blind = scored.likeness_to_randomised(model, lambda: image, image)
    assert blind.value == pytest.approx(1) and blind.chance == pytest.approx(1)
    learned = scored.likeness_to_randomised(model, lambda: rng.uniform(0, 1, (1, 8, 8)), image)
    assert abs(learned.value) < 0.7 and learned.interval[0] <= learned.value <= learned.interval[1]
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert scored.likeness_to_randomised(model, lambda: image, 0 * image).reason == "the map is empty"


@pytest.mark.parametrize("name", ["num_copies", "sheet_frames", "sheet_every", "num_random"])
def test_numbers_that_mean_nothing_are_refused(name):
    with pytest.raises(InputError, match=name):
        ExplainSettings(**{name: -1})
    assert ExplainSettings(target="2").explained == 2 and ExplainSettings(target="real").explained == "real"


def test_attention_is_the_networks_own():
    from support.tiny_models import TINY, random_inputs

    from tfdeepfake import models

    keras.utils.set_random_seed(0)
    nonlocal_args = TINY["resnet3d_18"] | {"nonlocal_after": (3,)}
    for name, args, key in (
        ("attention2d", TINY["attention2d"], "attention"),
        ("vit_b", TINY["vit_b"], "class_token"),
        ("resnet3d_18", nonlocal_args, None),
        ("tall_vit", TINY["tall_vit"], "class_token"),
    ):
        model = models.build(name, **args)
        inputs = random_inputs(model, batch=2)
        shape = inputs["frames"].shape
        (found, maps), *_ = attention.attention(model)(inputs).items()
        assert key is None or found == key
        assert maps.values.shape == (2, shape[1] if len(shape) == 5 else 1, *shape[-3:-1])
        assert maps.values.min() >= 0 and maps.values.max() <= 1 and np.ptp(maps.values) > 0.5
        assert (maps.peak > 0).all() and (maps.peak <= 1).all()
        if name == "attention2d":
            weights = keras.Model(model.inputs, model.get_layer("attention").output)(inputs["frames"]).numpy()
            np.testing.assert_allclose(maps.peak, weights.max(axis=(1, 2, 3)), rtol=1e-5)
    with pytest.raises(InputError, match="attention2d"):
        attention.attention(models.build("meso4", **TINY["meso4"]))
