"""Presets: every row of the papers' results tables is one, and each describes a run that can start."""

import dataclasses
import importlib
import inspect

import keras
import numpy as np
import pytest
from support import prepared as prepared_support
from support.prepared import write_prepared
from support.tiny_models import TINY

from tfdeepfake import models
from tfdeepfake.cli.main import main
from tfdeepfake.cli.presets import about, check_data, data_of, load_preset, load_trained, presets
from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.training import run_setup
from tfdeepfake.training import train as loop
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset
from tfdeepfake.vocabulary import TTA

P3 = ("I3D", "3D ResNet", "3D ResNet (w/o pre-training)", "3D ResNet (with SE)", "3D ResNet (with non-local)",
      "3D ResNeXt", "3D ResNeXt (with non-local)")  # fmt: skip
OVER = ("ResNet50", "EffNetB4", "ViT-B", "Swin-B")
# The rows that are the papers' own: their competitors are out of scope, but Xception and MesoNet.
ROWS = {
    "P0 Table I": ["XN (Xception)", "E4 (EfficientNetB4)", "E4A (EfficientNetB4Att)", "E4AS (EfficientNetB4AttST)",
                   "2D (Attention2D)", "E4 + E4A", "E4 + E4A + E4AS", "3D (Ensemble3D)", "3D + 2D"],
    "P1 3.5": ["Efficientnet-b7 + Softmax"],
    "P2 Table 7": ["Baseline", "Two-Stream Per-Frame"],
    "P2 5.2": ["Two-Stream Whole-Video", "CNN-RNN", "3D CNN"],
    **{f"P3 Table {number}": P3 for number in (2, 4, 5)},
    "P4 Table 1": [f"{name}, {quality}" for name in ("TALL", "TALL++") for quality in ("HQ", "LQ")],
    "P4 Table 2": [f"{name}, {data}" for name in ("TALL", "TALL++") for data in ("CDF", "DFDC", "Wild-DF")],
    "P4 Table 3": ["TALL", "TALL++"],
    "P4 Table 4": ["TALL", "TALL++"],
    "P4 Table 5": [f"{name}, {data}" for name in ("TALL", "TALL++*") for data in ("FF++", "GANs", "DMs")],
    "P4 Fig. 8": ["TALL", "TALL++"],
    "P4 Table 6": ["I3D-RGB", "R3D-50", *OVER, *(f"{one}+{name}" for one in OVER for name in ("TALL", "TALL++"))],
    "P4 Table 7": ["1", "2", "3", "4", "5", "6", "7"],
    "P4 Table 8": ["(a)", "(b)", "(c)", "(d)"],
    "P4 Table 9": ["0, 1, 2, -", "0, 1, -, -", "Random", "Reverse", "Forward"],
    "P4 Table 10": ["3x3, 672", "2x2, 448", "3x3, 224", "4x4, 224", "2x2, 224"],
    "P4 Table 11": ["(7,7,7,7)", "(28,28,28,7)", "(14,14,14,7)"],
}  # fmt: skip


@pytest.mark.parametrize("table", ROWS)
def test_every_row_of_the_papers_tables_is_a_preset(table):
    by_row = {}
    for name in presets():
        for row in load_preset(name).rows:
            by_row.setdefault(row, []).append(name)
    assert set(row for row in by_row if row.startswith(f"{table}:")) >= {f"{table}: {row}" for row in ROWS[table]}
    assert all(len(names) == 1 for names in by_row.values()), "a row is one preset"


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_a_whole_experiment(name):
    preset = load_preset(name)
    config = preset.config
    text = importlib.import_module(f"train_scripts.{name}").__doc__
    assert isinstance(preset, Preset) and all(stage in presets() for stage in preset.stages)
    plain = " ".join(text.replace("\\\n", " ").split())
    assert preset.prepare_command(data_dir="data") in plain and preset.evaluate_command(name) in plain
    assert preset.tta in TTA
    if config is None:
        assert preset.ensemble_command(name) in plain and len(preset.stages) > 1
        with pytest.raises(InputError, match="is an ensemble of runs.*tfdeepfake ensemble runs/"):
            load_trained(name)
        return
    assert config.data == preset.data_set
    assert set(config.network_args) <= set(inspect.signature(models.MODELS[config.network]).parameters)
    assert TrainConfig.from_dict(config.to_dict()) == config
    if name.startswith("p") and config.augment == "none":
        assert "No augmentation" in plain, "what the paper is silent about is said"
    for needed in (f"tfdeepfake train --preset {name}", "hardware", "time", "expected score"):
        assert needed in text.lower()
    if not name.startswith("demo"):
        triplets = config.loss == "triplet"
        weights = {None: "random", "imagenet": "ImageNet", "kinetics": "Kinetics"}.get(config.start_from, "")
        batches = f"{config.batch_size // 3} triplets a batch" if triplets else f"batches of {config.batch_size}"
        stated = ("scratch" if "scratch" in plain else weights, batches, f"{config.epochs} epochs")
        assert all(one in plain for one in stated), "what a run begins with, and for how long, is said"
    data_set, _, named = data_of(preset).partition("/")
    assert data_set == preset.data_set and named
    for number in range(len(preset.evaluate)):
        assert data_of(preset, number).startswith(preset.evaluate[number][0])


def tiny(preset):
    """(config, recipe) of a preset, shrunk by one rule: the network's tiny arguments, but what the preset varies stays;
    the data's sizes follow the network's."""
    config = preset.config
    varied = {key: value for key, value in config.network_args.items() if key not in ("input_size", "weights", "width")}
    small = TINY[config.network]
    args = small | varied
    if "thumbnail_size" in small:
        # A last map that the grid's cells can be told apart in: an EfficientNet's is a 32nd of its input.
        side = 96 if "efficientnet" in config.network else 48
        args |= {"thumbnail_size": (side, side), "backbone_args": small["backbone_args"]}
        args |= {"input_size": (48, 48)} if varied.get("whole_frames") else {}
    elif "num_frames" in small:
        args["num_frames"] = small["num_frames"]
    reads, flow = models.reads(config.network, args)
    size = args.get("input_size", (24, 24))
    frames = args.get("num_frames", 4) if reads == "clip" else 4
    given = preset.recipe() | {"num_frames": frames, "num_clips": 1, "height_px": size[0], "width_px": size[1]}
    given |= {"flow": given.get("flow", "dis") if flow else "none", "detector": "none", "alignment": "none"}
    args = {key: value for key, value in args.items() if key not in ("input_size", "num_frames")}
    if config.window_frames:  # of longer runs, or chunks
        given["num_frames"] = frames + 2
    changes = {"window_frames": frames} if config.window_frames else {}
    changes |= {"start_from": None, "new_layers": [], "epochs": 1, "warmup_epochs": min(config.warmup_epochs, 0.5)}
    changes |= {"batch_size": 6 if config.loss == "triplet" else 4, "max_videos_per_method": []}
    return dataclasses.replace(config, network_args=args, **changes), DataRecipe(**given)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Function recipe -> (data dir, name): random examples of two methods, made once for each recipe."""
    root, names = tmp_path_factory.mktemp("data"), {}
    plain = prepared_support.random_example

    def named(recipe, label, number, rng, contrast):
        return plain(recipe, label, number, rng, contrast) | {
            "method": ("real", "swap", "lips")[label and 1 + number % 2]
        }

    def write(recipe):
        if recipe not in names:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(prepared_support, "random_example", named)
                splits = {"train": (6, 8), "validation": (4, 4)}
                names[recipe] = write_prepared(root, recipe, splits, name=f"tiny{len(names)}")
        return names[recipe]

    return write


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in presets() if load_preset(name).config])
def test_two_steps_of_every_preset(name, drawn, tmp_path):
    config, recipe = tiny(load_preset(name))
    data_dir, data = drawn(recipe)
    config = dataclasses.replace(config, data=data, data_dir=data_dir, methods=[])
    run = run_setup.build(config, tmp_path / "run")
    run.trained.run_eagerly = True  # tracing costs more than two steps
    before = [np.array(v) for v in run.trained.trainable_variables]
    losses = []
    for inputs, labels, *weights in loop.training_batches(run, 1).take(2):
        losses.append(run.trained.train_on_batch(inputs, labels, *weights, return_dict=True)["loss"])
    assert len(losses) == 2 and np.isfinite(losses).all()
    after = [np.array(v) for v in run.trained.trainable_variables]
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    keras.backend.clear_session()


@pytest.mark.parametrize(
    ("name", "batch_size", "loss"),
    [
        ("p2_baseline", 16, "bce"),
        ("p2_two_stream_frame", 16, "bce"),
        ("p2_two_stream_video", 4, "bce_f1"),
        ("p2_cnn_rnn", 4, "bce_f1"),
        ("p2_cnn3d", 4, "bce_f1"),
    ],
)
def test_the_settings_of_p2(name, batch_size, loss):
    """P2 Sec. 4.2: batches of 16 frames or 4 videos, Adam at "10e-3", class weights, BCE or BCE + F1."""
    config = load_preset(name).config
    assert (config.batch_size, config.loss, config.class_weights) == (batch_size, loss, "balanced")
    assert config.learning_rate == 0.01 and config.schedule == "constant"


def test_the_demo_and_its_counterpart_have_the_same_budget():
    demo, baseline = load_preset("demo").config, load_preset("demo_baseline").config
    differ = {"network", "network_args", "batch_size", "limits", "limits_measured"}
    a, b = ({n: v for n, v in c.to_dict().items() if n not in differ} for c in (demo, baseline))
    assert a == b
    assert baseline.batch_size == 16 * demo.batch_size  # clips of 16 frames
    for shared in ("backbone", "width"):
        assert demo.network_args.get(shared) == baseline.network_args.get(shared)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(InputError, match="'p2_two_streem_video'. Did you mean p2_two_stream_video"):
        load_preset("p2_two_streem_video")


def test_the_list_and_the_commands(capsys):
    assert main(["presets"]) in (0, None)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(presets()) and lines[0].startswith("demo ") and "P4 Table 3: TALL++" in "\n".join(lines)
    assert about("p0_i3d").endswith("with CutMix")
    main(["presets", "p4_tall"])
    text = capsys.readouterr().out
    assert "On deeper_forensics:" in text and "--option methods=FaceShifter" in text


def test_data_that_was_prepared_otherwise_is_refused(tmp_path):
    preset = load_preset("p2_baseline")
    recipe = DataRecipe(**preset.recipe() | {"height_px": 32, "width_px": 40})
    data_dir, data = write_prepared(tmp_path, recipe)
    config = dataclasses.replace(preset.config, data=data, data_dir=data_dir)
    with pytest.raises(InputError) as error:
        check_data(preset, "p2_baseline", config)
    assert "height_px is 32 there, 108 in p2_baseline" in str(error.value)
    assert "tfdeepfake prepare video_folder --dir DIR --input-type clip" in str(error.value)
    with pytest.raises(InputError, match="is not prepared.*Run: tfdeepfake prepare video_folder"):
        check_data(preset, "p2_baseline", dataclasses.replace(config, data=data_of(preset)))
    _, fitting = write_prepared(tmp_path, DataRecipe(**preset.recipe()), {"train": (1, 1)}, name="fitting")
    check_data(preset, "p2_baseline", dataclasses.replace(config, data=fitting))
    # The builder's own options, and frames of a class, are those of the preset too.
    name, flags = data_of(preset).split("/")
    options = {"landscape": True}
    for there, change, problem in (
        (options, {}, None), ({}, {}, "landscape is False there, True in p2_baseline"),
        (options, {"num_frames_real": 40}, "num_frames_real is None there, 40 in p2_baseline"),
    ):  # fmt: skip
        root, recipe = tmp_path / str(problem), DataRecipe(**preset.recipe())
        write_prepared(root, recipe, {"train": (1, 1)}, name=name, config=flags, options=there)
        own = dataclasses.replace(config, data=f"{name}/{flags}", data_dir=str(root))
        changed = dataclasses.replace(preset, prepare=preset.prepare | change)
        if problem is None:
            check_data(changed, "p2_baseline", own)
            continue
        with pytest.raises(InputError, match=problem):
            check_data(changed, "p2_baseline", own)
