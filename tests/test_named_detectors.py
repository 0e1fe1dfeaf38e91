"""Detectors by name: fetched from a server of the tests' own, converted once, used by predict and from Python."""

import dataclasses
import html
import os
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from support import loopback
from support.prepared import write_prepared
from support.published_files import noisy_crops, publish
from support.verdicts import no_detector, pretend

import tfdeepfake
from tfdeepfake.cli import prepare
from tfdeepfake.cli.main import main
from tfdeepfake.data import faces
from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import load_recipe
from tfdeepfake.published.fetch import direct_address, file_name
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.verdict import named
from tfdeepfake.weights import cache

CLIP = Path(__file__).parents[1] / "tfds_builders/video_folder/dummy_data/real/000_0.mp4"
# All detectors whose address gives the file.
NAMES = [
    "gend_clip_l14",
    "deepfakebench_xception",
    "deepfakebench_efficientnetb4",
    *[f"dfdc_winner_b7_{n}" for n in ("111_36", "555_19", "777_29", "777_31", "888_37", "888_40", "999_23")],
    *[
        f"bonettini_{form}_{data}"
        for form in ("b4", "b4_att", "b4_st", "b4_att_st", "xception")
        for data in ("dfdc", "ffpp")
    ],
    *[f"{network}_{data}" for network in ("meso4", "meso_inception4") for data in ("df", "f2f")],
]


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    loopback.isolate(monkeypatch, tmp_path / "home")
    monkeypatch.setattr(named, "has_accelerator", lambda: False)
    # The converter's process would not know the shallow networks.
    monkeypatch.setattr("tfdeepfake.compiled.choice.preferred", lambda recipe, num_files: "keras")
    yield
    keras.backend.clear_session()


@pytest.fixture
def site():
    with loopback.Site() as site:
        yield site


def test_all_names_with_a_direct_address_are_tried():
    assert sorted(NAMES) == sorted(
        name for name, known in SOURCES.items() if known.is_detector and direct_address(known)
    )


def test_verbs_of_researchers_take_names(monkeypatch, tmp_path, site, capsys):
    _, size = publish(monkeypatch, site, "meso4_df", tmp_path)
    assert prepare.fields_like("meso4_df")["height_px"] == size
    for arguments in (["evaluate", "meso4_df"], ["submission", "meso4_df"], ["prepare", "x", "--like", "i3d_kinetics"]):
        assert main(arguments) == 2 and arguments[-1] in capsys.readouterr().err
    assert main(["evaluate", "", "--data", "x"]) == 2 and "is empty" in capsys.readouterr().err
    assert not site.asked and not named.is_ready("meso4_df")  # what is missing is said before anything is fetched
    out, data = ["--out", str(tmp_path / "out")], ["--data", "absent/frame", "--data-dir", str(tmp_path)]
    for verb in ("evaluate", "embed", "correlate", "calibrate"):
        assert main([verb, "meso4_df", *data, *out]) == 2
        assert "absent" in capsys.readouterr().err.splitlines()[-1] and not named.is_ready("meso4_df")
    data_dir, name = write_prepared(tmp_path / "data", SOURCES["meso4_df"].data)
    here = ["--data", name, "--data-dir", data_dir]
    assert main(["evaluate", "meso4_df", *here, *out, "--split", "dev"]) == 2
    assert "no examples in a split 'dev'" in capsys.readouterr().err and not site.asked
    assert main(["evaluate", "meso4_df", *here, *out]) == 0 and len(site.asked) == 1


@pytest.mark.parametrize("source", NAMES)
def test_the_whole_way_of_a_name(monkeypatch, tmp_path, site, capsys, source):
    _, size = publish(monkeypatch, site, source, tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"clip")
    pretend(monkeypatch, noisy_crops(size))
    monkeypatch.setattr(faces, "make_detector", lambda name, weights=None: no_detector)
    assert main(["predict", str(tmp_path / "clip.mp4"), "--model", source]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(("FAKE", "REAL")) and "1 of 1 scored" in told.out
    known = SOURCES[source]
    for fact in (known.size, known.licence, known.trained_on, known.data_terms):
        assert fact in told.err, fact
    recipe = load_recipe(cache.home() / "models" / source)
    assert (recipe.data, recipe.licence, recipe.data_terms) == (known.data, known.licence, known.data_terms)
    # The second time nothing is fetched and nothing converted.
    assert named.is_ready(source) and len(site.asked) == 1
    located = named.locate(source, log=pytest.fail)
    assert located.file is None and located.ready(pytest.fail) == cache.home() / "models" / source
    assert named.remove(source) > known.num_bytes if known.num_bytes else named.remove(source) > 0
    assert not named.is_ready(source) and not cache.is_here(file_name(source))


def test_the_default_detector_judges_a_real_video_and_says_what_it_costs(monkeypatch, tmp_path, site, capsys):
    publish(monkeypatch, site, "gend_clip_l14", tmp_path)
    out = tmp_path / "results"
    assert main(["predict", str(CLIP), "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "default detector is gend_clip_l14" in told.err and "8 samples of each video on this CPU" in told.err
    page = html.unescape((out / "index.html").read_text())
    known = SOURCES["gend_clip_l14"]
    for fact in (known.licence, known.data_terms, known.accuracy, "8 samples of the video looked at"):
        assert fact in page, fact


def test_a_file_of_weights_needs_the_name_of_its_layout(monkeypatch, tmp_path, site):
    path, _ = publish(monkeypatch, site, "meso4_df", tmp_path)
    with pytest.raises(InputError, match="small.h5: is a file, not .* --source NAME"):
        named.locate(path)
    located = named.locate(path, "meso4_df")
    folder = located.ready()
    assert folder.parent == cache.home() / "models" and load_recipe(folder).network == "meso4" and not site.asked
    assert named.locate(str(path), "meso4_df") == named.Located(folder, "meso4_df")
    with pytest.raises(InputError, match="nowhere.h5: is no file of weights.* --model meso4_df fetches"):
        named.locate("nowhere.h5", "meso4_df")
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(InputError, match="not the published file of meso4_df.*convert it with --any-file"):
        named.locate(path, "meso4_df").ready()
    assert named.remove("meso4_df") > 0 and not folder.exists()


def test_what_a_name_may_be_is_said(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="is not a saved model folder.*Or did you mean the detector gend_clip_l14"):
        named.locate("gend_clip_l15")
    with pytest.raises(
        InputError,
        match="r3d_18_kinetics: is no detector.*Kinetics-400.*train r3d_18 --start-from r3d",
    ):
        named.locate("r3d_18_kinetics")
    with pytest.raises(InputError, match="sbi_b4: has no address that gives the file.*convert sbi_b4 FILE"):
        named.locate("sbi_b4")
    # A folder of the user's own goes before a name.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sbi_b4").mkdir()
    with pytest.raises(InputError, match="sbi_b4: has no recipe.json"):
        named.locate("sbi_b4")


def test_a_folder_of_an_older_description_is_made_anew(monkeypatch, tmp_path, site):
    publish(monkeypatch, site, "meso4_f2f", tmp_path)
    named.locate("meso4_f2f").ready()
    known = SOURCES["meso4_f2f"]
    monkeypatch.setitem(SOURCES, "meso4_f2f", dataclasses.replace(known, licence="corrected"))
    assert not named.is_ready("meso4_f2f")
    assert load_recipe(named.locate("meso4_f2f").ready()).licence == "corrected" and len(site.asked) == 1


def test_without_a_network_it_ends_before_tensorflow_is_loaded(tmp_path):
    code = (
        "import sys\nfrom tfdeepfake.cli.main import main\n"
        f"assert main(['predict', {str(CLIP)!r}]) == 2\n"
        "heavy = {'tensorflow', 'keras', 'cv2', 'av'} & set(sys.modules)\nassert not heavy, heavy"
    )
    # A port that nobody listens at stands for the network.
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "TFDEEPFAKE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env(nowhere))
    assert done.returncode == 0, done.stderr
    assert "1.2 GB" in done.stderr and "tfdeepfake convert gend_clip_l14 FILE" in done.stderr


def env(more):
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | more


def test_the_list_needs_no_keras_and_names_what_is_known(capsys):
    code = (
        "import sys\nfrom tfdeepfake.cli.main import main\nassert main(['detectors']) == 0\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'requests'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        known = SOURCES[name]
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
        assert known.network in line and known.size in line and known.gmacs, name
        assert known.licence in done.stdout and known.data_terms in done.stdout and known.accuracy in done.stdout
    assert "r3d_18_kinetics" not in done.stdout


def test_detectors_fetch_and_remove(monkeypatch, tmp_path, site, capsys):
    path, _ = publish(monkeypatch, site, "meso4_df", tmp_path)
    made = []
    monkeypatch.setattr("tfdeepfake.compiled.choice.compile_ahead", lambda folder, log: made.append(folder))
    assert main(["detectors", "fetch", "meso4_df", "--to", str(tmp_path / "stick")]) == 0
    assert (tmp_path / "stick" / "meso4_df.h5").read_bytes() == path.read_bytes()
    assert "On the other machine" in capsys.readouterr().out
    assert main(["detectors", "fetch", "meso4_df"]) == 0
    # Converted and compiled too, so that its first verdict starts as the later ones do.
    assert named.is_ready("meso4_df") and made == [cache.home() / "models" / "meso4_df"]
    main(["detectors", "list", "meso4_df"])
    assert capsys.readouterr().out.splitlines()[-6].split()[-1] == "yes" and len(site.asked) == 2
    main(["detectors", "fetch", "meso4_df"])
    assert len(site.asked) == 2
    assert main(["detectors", "remove", "meso4_df"]) == 0 and "freed" in capsys.readouterr().out
    for wrong in (["fetch"], ["fetch", "nonsense"], ["list", "--to", "x"]):
        assert main(["detectors", *wrong]) == 2


def test_the_stored_costs_are_the_counted_ones():
    from tfdeepfake import models
    from tfdeepfake.profiling import macs

    for name in ("meso4_df", "meso_inception4_df", "bonettini_xception_dfdc"):
        known = SOURCES[name]
        args = known.network_args
        counted = sum(macs.count(models.build(known.network, **args)).values())
        # Stored to three digits behind the point.
        assert abs(known.gmacs - counted / 1e9) <= 5.1e-4, name


@pytest.fixture
def detector(monkeypatch, tmp_path, site):
    _, size = publish(monkeypatch, site, "meso4_df", tmp_path)
    pretend(monkeypatch, noisy_crops(size))
    monkeypatch.setattr(faces, "make_detector", lambda name, weights=None: no_detector)
    (tmp_path / "clip.mp4").write_bytes(b"clip")
    return tfdeepfake.Detector("meso4_df", log=lambda line: None)


def test_a_detector_in_python(detector, tmp_path, site):
    verdict = detector(str(tmp_path / "clip.mp4"))
    assert verdict.status == "scored" and verdict.label in ("FAKE", "REAL") and 0 < verdict.probability < 1
    assert len(verdict.faces) == 1 and detector.recipe.network == "meso4" and "meso4" in repr(detector)
    assert detector(tmp_path / "clip.mp4").probability == verdict.probability
    for one in (str(tmp_path / "clip.mp4"), tmp_path / "clip.mp4"):
        judged = detector.predict(one)
        assert [v["file"] for v in judged["verdicts"]] == [str(one)]
        assert judged["verdicts"][0]["probability"] == verdict.probability
    (tmp_path / "b.mp4").write_bytes(b"b")
    judged = detector.predict([tmp_path / "clip.mp4", tmp_path / "b.mp4"], out_dir=tmp_path / "results")
    assert judged["counts"]["scored"] == 2 and (tmp_path / "results" / "index.html").exists()
    assert tfdeepfake.Detector(detector.folder, log=pytest.fail)(tmp_path / "clip.mp4").label == verdict.label
    bytes_path = os.fsencode(tmp_path / "clip.mp4")
    assert detector(bytes_path).probability == verdict.probability
    for paths in (bytes_path, [bytes_path]):
        assert detector.predict(paths)["counts"]["scored"] == 1
    frames = np.zeros((4, 8, 8, 3), np.uint8)
    for given in ([tmp_path / "clip.mp4"], frames, None):
        with pytest.raises(TypeError, match="path needs .*, got (list|ndarray|NoneType); `predict`"):
            detector(given)
    for given in (frames, None, [None]):
        with pytest.raises(TypeError, match="path needs"):
            detector.predict(given)
    with pytest.raises(tfdeepfake.InputError, match="^paths: holds no video"):
        detector.predict([])
    with pytest.raises(tfdeepfake.InputError, match="holds no video"):
        detector.predict(tmp_path / "home")
    # An empty path, such as that of a variable that was not set, is not the working directory.
    for empty in (detector, detector.predict, lambda path: detector.predict([path]), tfdeepfake.Detector):
        with pytest.raises(tfdeepfake.InputError, match="is empty"):
            empty("")


def test_a_detector_outside_the_main_thread_and_elsewhere(detector, tmp_path, monkeypatch):
    here, there = detector(tmp_path / "clip.mp4"), []
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    thread = threading.Thread(
        target=lambda: there.append(tfdeepfake.Detector("meso4_df", log=print)(tmp_path / "clip.mp4"))
    )
    thread.start()
    thread.join()
    assert there[0].probability == here.probability


def test_a_verdict_shows_itself_in_a_notebook(detector, tmp_path):
    nasty = tmp_path / "<script>alert(1)</script>&.mp4"
    (tmp_path / "<script>alert(1)<").mkdir()
    nasty.write_bytes(b"clip")
    shown = detector(nasty)._repr_html_()
    assert "<script" not in shown and "&lt;script&gt;" in shown
    assert shown.count("<svg") == 1 and shown.count("<title>") == 3 and shown.count("data:image/jpeg") == 1
    broken = dataclasses.replace(detector(nasty), status="unreadable", probability=None, label=None, faces=[])
    shown = dataclasses.replace(broken, interval=None, reason="is <b>odd</b>.", threshold=None)._repr_html_()
    assert "<svg" not in shown and "is &lt;b&gt;odd" in shown


def test_importing_the_package_is_instant():
    code = (
        "import sys, tfdeepfake\nassert not {'tensorflow', 'keras', 'numpy', 'importlib.metadata'} & set(sys.modules)\n"
        "assert issubclass(tfdeepfake.InputError, ValueError) and 'keras' not in sys.modules\n"
        "assert {'Detector', 'build', 'InputError'} <= set(dir(tfdeepfake))\n"
        "try: tfdeepfake.nothing\nexcept AttributeError as error: assert 'nothing' in str(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert tfdeepfake.build("meso4").name and tfdeepfake.Detector.__module__ == "tfdeepfake.detector"
