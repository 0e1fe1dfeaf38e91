"""audit: planted leaks are reported, each under its kind, and clean sets pass."""

import csv
import json

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_builders.adhoc_builder import AdhocBuilder

from tfdeepfake.cli.main import main
from tfdeepfake.data.batches.prepared import SCHEMA
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.vocabulary import SPLITS
from tfds_builders.audit import read
from tfds_builders.audit.compare import audit, conflict
from tfds_builders.audit.origins import origins
from tfds_builders.celeb_df.listing import LIST
from tfds_builders.core.features import feature_dict
from tfds_builders.core.testing import OFFICIAL, write_file
from tfds_builders.face_forensics.face_forensics_dataset_builder_test import fakes, write_lists, youtube

RECIPE = DataRecipe(input_type="frame", num_frames=4, detector="none", height_px=48, width_px=48)


def image(seed, index=0):
    """uint8 [48, 48, 3]: spots of a video, which drift a little from frame to frame."""
    rng = np.random.default_rng(seed)
    spots = [cv2.resize(rng.normal(size=(n, n, 3)), (64, 64), interpolation=cv2.INTER_CUBIC) for n in (9, 24)]
    grey = 128 + 30 * spots[0] + 25 * spots[1]
    return np.clip(grey[8:56, 8 + index % 4 : 56 + index % 4], 0, 255).astype(np.uint8)


def example(video, source, seed, index=0, change=lambda x: x, **facts):
    return {
        "frames": change(image(seed, index)), "label": 0, "data_set": "tiny", "method": "real", "video": video,
        "source": source, "face": 0, "frame_indices": np.array([index]), "timestamps_s": np.zeros(1, np.float32),
        "box_px": np.zeros(4, np.float32), "face_side_px": np.full(1, 80, np.float32), "confidence": np.float32(1),
    } | facts  # fmt: skip


def clean(first=0, **facts):
    """Three videos a split, four frames each: {split: examples}."""
    return {
        split: [
            example(f"v{n}", f"p{n}", seed=n, index=index, **facts)
            for n in range(first + 10 * place, first + 10 * place + 3)
            for index in range(0, 40, 10)
        ]
        for place, split in enumerate(SPLITS)
    }


def write(data_dir, name, splits):
    """Prepares examples as a data set without config."""

    class Written(AdhocBuilder, skip_registration=True):
        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=self._feature_spec,
                metadata=tfds.core.MetadataDict({"schema": SCHEMA, "recipe": RECIPE.to_dict(), "options": {}}),
            )

    keyed = {split: [(f"{k:05d}", e) for k, e in enumerate(examples)] for split, examples in splits.items()}
    features = feature_dict(RECIPE)
    Written(
        name=name, version="1.0.0", features=features, split_datasets=keyed, data_dir=str(data_dir), description=""
    ).download_and_prepare()


def kinds(leaks):
    return sorted((leak["kind"], leak["name"]) for leak in leaks)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """`plain` and `other` are clean, also together; `copied` has a copy of a video of `plain` under other names;
    `mixed` has a person in two splits, a brighter copy of a training video in validation, and grey frames."""
    folder = tmp_path_factory.mktemp("data")
    write(folder, "plain", clean())
    write(folder, "other", clean(100))
    copied = clean(300)
    # v0 of plain's training, smaller and sampled at other times.
    copied["test"] += [example("new", "new", seed=0, index=index, change=shrunk) for index in range(2, 40, 10)]
    write(folder, "copied", copied)
    mixed = clean(200)
    mixed["test"].append(example("again", "p200", seed=900))
    mixed["validation"] += [example("bright", "b", seed=201, index=i, change=brighter) for i in range(0, 40, 10)]
    for n, split in enumerate(SPLITS):
        mixed[split].append(example(f"grey{n}", f"g{n}", seed=0, change=lambda x: np.full_like(x, 70)))
    write(folder, "mixed", mixed)
    return folder


def shrunk(frame):
    return cv2.resize(cv2.resize(frame, (40, 40), interpolation=cv2.INTER_AREA), (48, 48))


def brighter(frame):
    return (frame * 0.7 + 50).astype(np.uint8)


def test_a_folder_of_ones_own_videos_is_looked_at_as_the_prepared_set_is(tmp_path, capsys):
    """A copy under another name is found before anything is prepared, as it is afterwards."""
    for n in range(4):
        folder = tmp_path / ("fake" if n % 2 else "real") / f"clip {'abcd'[n]}"
        folder.mkdir(parents=True)
        for index in range(4):
            cv2.imwrite(str(folder / f"{index}.png"), image(n, index))
    copy = tmp_path / "fake" / "copy"
    copy.mkdir()
    for index in range(4):
        cv2.imwrite(str(copy / f"{index}.png"), brighter(image(0, index)))
    (tmp_path / "real" / "broken.mp4").touch()
    rows = ["real/clip a,real,train", "fake/clip b,fake,train", "real/clip c,real,validation", "fake/clip d,fake,test"]
    rows += ["fake/copy,fake,test", "real/broken.mp4,real,train"]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,split", *rows]) + "\n")
    (leak,) = audit([f"video_folder={tmp_path}"])
    assert leak["kind"] == "frames" and leak["name"] == "video_folder/fake/fake/copy" and leak["frames"] == 4
    out = capsys.readouterr().out
    assert "train 3, validation 1, test 2; 20 frames compared, 1 videos cannot be read." in out
    assert "the column split says where 6 of 6 videos belong." in out
    assert audit([f"video_folder={tmp_path}"], num_frames=0) == []


def test_persons_of_ones_own_videos_are_known_by_published_names(tmp_path):
    for a, b in ("00", "01"), ("02", "03"), ("04", "05"), ("06", "07"):
        for name in (f"real/0{a}", f"real/0{b}", f"fake/0{a}_0{b}", f"fake/0{b}_0{a}"):
            write_file(tmp_path / "pairs", f"{name}.mp4", "")
    assert audit([f"video_folder={tmp_path / 'pairs'}"], num_frames=0) == []
    # Everybody with everybody: fakes go with their targets, and the other person is told of.
    for a in range(5):
        write_file(tmp_path / "all", f"real/id{a}_0000.mp4", "")
        for b in {*range(5)} - {a}:
            write_file(tmp_path / "all", f"fake/id{a}_id{b}_0000.mp4", "")
    leaks = audit([f"video_folder={tmp_path / 'all'}"], num_frames=0)
    assert leaks and {leak["kind"] for leak in leaks} == {"identity"}


def test_clean_sets_pass(data_dir, capsys):
    assert main(["audit", "plain", "other", "--data-dir", str(data_dir)]) == 0
    out = capsys.readouterr().out
    assert "plain: videos: train 3, validation 3, test 3; 36 frames compared." in out
    assert out.splitlines()[-1] == "no leaks: 18 identities, 18 sources, 72 frames compared"


def test_a_person_in_two_splits_and_a_brighter_copy_in_validation(data_dir, capsys, tmp_path):
    assert main(["audit", "mixed", "--data-dir", str(data_dir), "--out", str(tmp_path / "leaks.csv")]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "3 leaks: 1 identities, 1 sources, 1 near-duplicate videos"
    assert "tiny:p200" in out and "test of mixed: tiny/real/again" in out and "train of mixed: tiny/real/v200" in out
    assert "41 frames compared, 3 flat ones not" in out
    rows = list(csv.DictReader((tmp_path / "leaks.csv").open()))
    assert [row["kind"] for row in rows] == ["identity"] * 2 + ["source"] * 2 + ["frames"] * 2
    assert [(row["split"], row["example"], row["frames"]) for row in rows[4:]] == [
        ("train", "tiny/real/v201", "4"),
        ("validation", "tiny/real/bright", "4"),
    ]


def test_a_video_under_another_name_in_another_set(data_dir, tmp_path):
    assert not audit(["copied"], data_dir)
    (leak,) = audit(["plain", "copied"], data_dir, out=tmp_path / "l.json", exclude_out=tmp_path / "x.csv")
    assert leak["kind"] == "frames" and leak["name"] == "tiny/real/new" and leak["frames"] == 4
    assert [(p["data"], p["split"], p["example"]) for p in leak["places"]] == [
        ("plain", "train", "tiny/real/v0"),
        ("copied", "test", "tiny/real/new"),
    ]
    assert json.loads((tmp_path / "l.json").read_text())["leaks"] == [leak]
    assert list(csv.reader((tmp_path / "x.csv").open())) == [["data_set", "method", "video"], ["tiny", "real", "new"]]
    # The other way round it is the test of a set before the last: nothing to leave out of the last one's.
    audit(["copied", "plain"], data_dir, exclude_out=tmp_path / "y.csv")
    assert len((tmp_path / "y.csv").read_text().splitlines()) == 1
    assert not audit(["plain", "copied"], data_dir, num_frames=0)


def test_few_frames_of_each_video_are_taken_and_always_the_same(data_dir):
    two, four = (read.read("plain", data_dir, frames) for frames in (2, 4))
    assert np.bincount(two.owners).tolist() == [2] * 9 and np.bincount(four.owners).tolist() == [4] * 9
    assert {tuple(row) for row in two.hashes.tolist()} < {tuple(row) for row in four.hashes.tolist()}


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["nothing"], "not prepared"),
        (["plain", "plain"], "twice"),
        (["nothing=/tmp"], "no builder"),
        (["synthetic_faces=/tmp"], "no builder that reads a folder"),
        (["face_forensics=/no/such/folder"], "/no/such/folder: is no folder"),
        (["plain", "--out", "leaks.txt"], "json or .csv"),
        (["plain", "--distance", "100"], "0..64"),
    ],
)
def test_what_is_wrong_is_named(data_dir, capsys, arguments, said):
    assert main(["audit", *arguments, "--data-dir", str(data_dir)]) == 2
    assert said in capsys.readouterr().err


def test_which_places_are_in_conflict():
    assert conflict((0, "train"), (0, "test")) and conflict((0, "validation"), (0, "test"))
    assert conflict((0, "train"), (1, "test")) and conflict((0, "validation"), (1, "train"))
    assert not conflict((0, "train"), (1, "train")) and not conflict((0, "validation"), (1, "test"))
    assert not conflict((0, "test"), (0, "test"))


def test_origins_tell_both_persons_of_a_fake():
    assert origins("face_forensics", "Deepfakes", "071_054", "071_054")[0] == {"ff++:071", "ff++:054"}
    assert origins("face_forensics", "youtube", "071", "071_054")[0] == {"ff++:071"}
    actors, recording = origins("face_forensics", "DeepFakeDetection", "01_02__kitchen_pan__YVGY8LOK", "actor01")
    assert actors == {"DeepFakeDetection:actor01", "DeepFakeDetection:actor02"}
    assert recording == origins("face_forensics", "actors", "01__kitchen_pan", "actor01")[1]
    assert "ff++:000" in origins("deeper_forensics", "end_to_end", "000_M101", "M101")[0]
    assert origins("deeper_forensics", "targets", "000", "target000") == ({"ff++:000"}, {"ff++:000"})
    people, recording = origins("celeb_df", "Celeb-synthesis", "id0_id1_0002", "id0")
    assert people == {"celeb_df:id0", "celeb_df:id1"}
    assert recording == origins("celeb_df", "Celeb-real", "id0_0002", "id0")[1]
    assert len(origins("dfdc_preview", "method_A", "1224068/1229999_A_001", "1224068")[0]) == 2
    assert origins("kodf", "dffs", "r00_r01_2_0001", "person")[1] == {"kodf:r00", "kodf:r01"}
    assert origins("dfdc", "fake", "part/x", "original")[0] == {"dfdc:original"}
    synthetic = origins("synthetic_faces", "face_swap", "008_007_face_swap", "person008")[0]
    assert synthetic == {"synthetic_faces:person008", "synthetic_faces:person007"}
    assert not synthetic & origins("synthetic_faces", "real", "008_0", "person008", {"seed": 1})[0]
    assert origins("self_blended", "real", "a.mp4", "a") == origins("video_folder", "real", "a.mp4", "a")


def test_folders_before_they_are_prepared(tmp_path):
    pairs = {"train": [("000", "003")], "val": [("001", "870")], "test": [("002", "004")]}
    write_lists(tmp_path / "ff", pairs)
    for name in [*youtube(sum(pairs.values(), [])), *fakes("Deepfakes", sum(pairs.values(), []))]:
        write_file(tmp_path / "ff", name, "")
    for split, name in (("train", "010_M001"), ("val", "011_M002"), ("test", "000_M003")):
        write_file(tmp_path / "df", f"{split}.txt", f"{name}.mp4")
        write_file(tmp_path / "df", f"manipulated_videos/end_to_end/{name}.mp4", "")
        write_file(tmp_path / "df", f"source_videos/{name[4:]}/x.mp4", "")
    names = [f"face_forensics={tmp_path / 'ff'}", f"deeper_forensics={tmp_path / 'df'}"]
    methods = {"methods": "Deepfakes"}
    assert not audit(names[:1], options=methods) and not audit(names[1:])
    leaks = audit(names, options=methods, exclude_out=tmp_path / "x.csv")
    assert kinds(leaks) == [("identity", "ff++:000"), ("source", "ff++:000")]
    assert (tmp_path / "x.csv").read_text().splitlines()[1:] == ["deeper_forensics,end_to_end,000_M003"]


def test_the_official_test_of_celeb_df_leaks_and_unshared_training_has_no_recording_of_it(tmp_path, capsys):
    for name in ("Celeb-real/id0_0000", "Celeb-real/id0_0001", "Celeb-synthesis/id0_id1_0000", "YouTube-real/00001"):
        write_file(tmp_path, f"{name}.mp4", "")
    write_file(tmp_path, LIST, "0 Celeb-synthesis/id0_id1_0000.mp4\n1 YouTube-real/00001.mp4\n")
    leaks = kinds(audit([f"celeb_df={tmp_path}"]))
    assert leaks == [("identity", "celeb_df:id0"), ("source", "celeb_df:id0_0000")]
    capsys.readouterr()
    assert main(["audit", f"celeb_df={tmp_path}", "--option", "training=unshared"]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "1 leaks: 1 identities, 0 sources, 0 near-duplicate videos"


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="needs the official lists in ../shared/splits")
def test_the_overlap_of_the_official_lists(tmp_path):
    table = {}
    for split in ("train", "val", "test"):
        write_file(tmp_path / "ff", f"{split}.json", (OFFICIAL / "faceforensics" / f"{split}.json").read_text())
        text = (OFFICIAL / "deeperforensics" / f"{split}.txt").read_text()
        write_file(tmp_path / "df", f"{split}.txt", text)
        table[split] = text.split()
        for pair in json.loads((tmp_path / "ff" / f"{split}.json").read_text()):
            for one in pair:
                write_file(tmp_path / "ff", f"original_sequences/youtube/c23/videos/{one}.mp4", "")
            write_file(tmp_path / "ff", f"manipulated_sequences/Deepfakes/c23/videos/{'_'.join(pair)}.mp4", "")
    for name in sum(table.values(), []):
        write_file(tmp_path / "df", f"manipulated_videos/end_to_end/{name}", "")
        write_file(tmp_path / "df", f"source_videos/{name[4:8]}/x.mp4", "")
    names = [f"face_forensics={tmp_path / 'ff'}", f"deeper_forensics={tmp_path / 'df'}"]
    assert not audit(names[:1], options={"methods": "Deepfakes"}) and not audit(names[1:])
    leaks = audit(names, options={"methods": "Deepfakes"}, exclude_out=tmp_path / "x.csv")
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 1 + 138
    tested = [
        leak["name"]
        for leak in leaks
        if leak["kind"] == "identity" and {("deeper_forensics", "test")} & {
            (p["data"].partition("=")[0], p["split"]) for p in leak["places"]
        }
    ]  # fmt: skip
    assert len(tested) >= 138
