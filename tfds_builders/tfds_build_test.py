"""`tfds build`, the command of tensorflow_datasets, makes every builder's set from synthetic data."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfds_builders import published_sets_test as published
from tfds_builders.core.building import VideoBuilder, lost_lines
from tfds_builders.core.manual import listing_of
from tfds_builders.core.testing import OFFICIAL, WHOLE
from tfds_builders.prepare import BUILDERS, prepare
from tfds_builders.synthetic_faces import synthetic_faces_dataset_builder_test as synthetic_faces_test

pytest.importorskip("mlcroissant", reason="the command `tfds` needs it and apache-beam: the extra [beam]")
pytest.importorskip("apache_beam")

FOLDER = Path(__file__).resolve().parent
SETS = {cls.DATASET_CLASS.name: cls for cls in published.Drawn.__subclasses__()}
TWO = "runner=DirectRunner,direct_running_mode=multi_processing,direct_num_workers=2"
# Functions of the builder's own test that draw into a folder.
DRAW = {"self_blended": "people", "diffusion_gan_bedroom": "write_set"}
TWO = "runner=DirectRunner,direct_running_mode=multi_processing,direct_num_workers=2"
REAL = OFFICIAL.parent / "real"


def arguments(name, folder):
    """Arguments of `tfds build` for a builder, after its dummy data are written to a folder; and examples by split."""
    recipe = {"flow": "none"} | WHOLE
    if name == "synthetic_faces":
        splits, options, manual = synthetic_faces_test.SyntheticFacesTest.SPLITS, synthetic_faces_test.TINY, folder
    elif name in SETS:
        cls, manual = SETS[name], folder / "manual é"
        manual.mkdir()
        cls.draw(manual)
        options = cls.BUILDER_CONFIG_NAMES_TO_TEST[0].options
        recipe = cls.BUILDER_CONFIG_NAMES_TO_TEST[0].recipe.to_dict()
        config = cls.DATASET_CLASS.builder_config_cls(name="tiny", recipe=recipe, options=options)
        videos = listing_of(cls.DATASET_CLASS(config=config, data_dir=folder / "none"), manual).videos
        splits = {split: sum(v.split == split for v in videos) for split in {v.split for v in videos}}
    elif name in DRAW:
        module, manual = importlib.import_module(f"tfds_builders.{name}.{name}_dataset_builder_test"), folder / "manual"
        getattr(module, DRAW[name])(manual)
        (cls,) = [c for c in vars(module).values() if hasattr(c, "BUILDER_CONFIG_NAMES_TO_TEST")]
        splits, options = cls.SPLITS, {}
        recipe = cls.BUILDER_CONFIG_NAMES_TO_TEST[0].recipe.to_dict()
    else:
        # Six real and six fake videos.
        splits, options, manual = {"train": 4, "validation": 3, "test": 5}, {}, FOLDER / "video_folder" / "dummy_data"
    config = json.dumps({"name": "tiny", "recipe": recipe, "options": options})
    return ["--config", config, "--manual_dir", str(manual), "--data_dir", str(folder / "data")], splits


def check(name, folder, splits):
    """The whole set is there, and no other file."""
    (path,) = folder.glob(f"data/{name}/tiny/*")
    builder = tfds.builder_from_directory(path)
    assert {split: info.num_examples for split, info in builder.info.splits.items()} == splits
    assert set(builder.info.metadata["coverage"]) == set(splits) and not lost_lines(builder.info.metadata["coverage"])
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    example = next(iter(tfds.as_numpy(builder.as_dataset(split="train"))))
    assert example["data_set"].decode() == name and np.ptp(example["frames"]) > 50
    return builder


@pytest.mark.parametrize("name", BUILDERS)
def test_tfds_build(name, tmp_path, monkeypatch):
    from tensorflow_datasets.scripts.cli import main as command

    monkeypatch.setattr(VideoBuilder, "workers", 0)
    given, splits = arguments(name, tmp_path)
    command._parse_flags(["tfds", "build", str(FOLDER / name), *given]).execute()
    check(name, tmp_path, splits)


def test_tfds_build_by_name(tmp_path, monkeypatch):
    from tensorflow_datasets.scripts.cli import main as command

    monkeypatch.setattr(VideoBuilder, "workers", 0)
    given, splits = arguments("kodf", tmp_path)
    command._parse_flags(["tfds", "build", "kodf", "--imports", "tfds_builders", *given]).execute()
    check("kodf", tmp_path, splits)


@pytest.mark.slow
def test_tfds_build_on_beam_in_a_process_of_its_own(tmp_path):
    """In the builder's folder, as a newcomer types it."""
    given, splits = arguments("face_forensics", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tensorflow_datasets.scripts.cli.main", "build", "--beam_pipeline_options", TWO, *given],
        cwd=FOLDER / "face_forensics",
        env=os.environ | {"PYTHONPATH": str(FOLDER.parent), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    check("face_forensics", tmp_path, splits)


@pytest.mark.slow
@pytest.mark.skipif(not (REAL.is_dir() and OFFICIAL.is_dir()), reason="needs ../shared/real and ../shared/splits")
def test_face_forensics_of_real_files_has_the_official_splits(tmp_path):
    """Files of FaceForensics++, in the set's layout, come to the split that the lists say."""
    files = {
        "original_sequences/youtube/c23/videos/004.mp4": "real/ffpp_c23_004.mp4",
        "original_sequences/youtube/c23/videos/519.mp4": "real/ffpp_c23_519.mp4",
        "manipulated_sequences/Deepfakes/c23/videos/519_515.mp4": "fake/ffpp_c23_DF_519_515.mp4",
        "manipulated_sequences/NeuralTextures/c23/videos/004_982.mp4": "fake/ffpp_c23_NT_004_982.mp4",
    }
    expected = {}
    for name in ("train.json", "val.json", "test.json"):
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / name).symlink_to(OFFICIAL / "faceforensics" / name)
        ids = {one for pair in json.loads((OFFICIAL / "faceforensics" / name).read_text()) for one in pair}
        split = {"val": "validation"}.get(name[:-5], name[:-5])
        expected[split] = {Path(file).stem for file in files if Path(file).stem[:3] in ids}
    assert sorted(map(len, expected.values())) == [0, 2, 2]
    for name, file in files.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).symlink_to(REAL / file)
    summary = prepare(
        "face_forensics", input_type="frame", dir=tmp_path / "set", data_dir=tmp_path, workers=0, num_frames=2,
        methods=("Deepfakes", "NeuralTextures"),
    )  # fmt: skip
    builder, read = tfds.builder_from_directory(summary["path"]), {"test": set()}
    for split in builder.info.splits:
        for example in tfds.as_numpy(builder.as_dataset(split=split)):
            read.setdefault(split, set()).add(example["video"].decode())
            assert example["label"] == ("_" in example["video"].decode()) and example["frames"].shape == (224, 224, 3)
    assert read == expected and summary["splits"] == {"train": 4, "validation": 4}
