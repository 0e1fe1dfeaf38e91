"""The compiled form of a saved model folder: made once, equal to Keras, made again when it must be, no TensorFlow."""

import dataclasses
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tfdeepfake.cli.main import main
from tfdeepfake.compiled import choice
from tfdeepfake.compiled import folder as compiled
from tfdeepfake.compiled.traced import TracedModel
from tfdeepfake.data import synthetic, video
from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import load_model, save_model
from tfdeepfake.recipe import DataRecipe, Recipe

SIZE = (48, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Saved model folder of a small Meso4, and the lines logged while it was compiled by a process of its own."""
    import keras

    from tfdeepfake import models

    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("models") / "meso4"
    data = DataRecipe(input_type="frame", num_frames=4, height_px=SIZE[0], width_px=SIZE[1], margin_frac=0.1)
    save_model(path, models.build("meso4", input_size=SIZE), Recipe("meso4", {"input_size": SIZE}, data))
    log = []
    compiled.compile_folder(path, log.append)
    return path, log


@pytest.fixture
def copy(folder, tmp_path, monkeypatch):
    """A copy of the folder; `runs` counts conversions, which copy the file there is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    target, runs = tmp_path / "model", []
    shutil.copytree(folder[0], target)

    def run(model_folder, out):
        runs.append(model_folder)
        shutil.copy(folder[0] / compiled.COMPILED_FILE, out)
        return ""

    monkeypatch.setattr(compiled, "_run_converter", run)
    return target, runs


def frames(count=3):
    return np.random.default_rng(0).integers(0, 256, (count, *SIZE, 3), np.uint8)


def test_the_converter_ends_with_the_process_that_began_it(tmp_path):
    command = [sys.executable, "-m", "tfdeepfake.compiled.convert", str(tmp_path), str(tmp_path / "out")]
    # `input` is a pipe, closed at once, as when that process has died. Without a pipe the error is told.
    assert subprocess.run(command, input=b"").returncode == 70
    assert subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 2


def test_it_is_made_once_and_scores_as_keras(folder):
    path, log = folder
    assert "compiling meso4" in log[0] and str(path / "model.tflite") in log[1]
    model, recipe = compiled.load_compiled(path, log.append)
    assert len(log) == 2, "it was there"
    expected = load_model(path)[0].predict(frames(), verbose=0)
    assert np.ptp(expected) > 1e-3, "constant scores would prove nothing"
    np.testing.assert_allclose(model.predict_on_batch({"frames": frames()}), expected, atol=1e-5, rtol=0)
    assert recipe.network == "meso4" and model.predict_on_batch({"frames": frames()[:0]}).shape == (0, 1)


def test_what_does_not_fit_is_named(folder):
    model, _ = compiled.load_compiled(folder[0])
    for wrong in ({"frames": frames()[:, :-1]}, {"flow": frames()}):
        with pytest.raises(ValueError, match="meso4 needs frames"):
            model.predict_on_batch(wrong)


def test_threads_share_one(folder):
    model, _ = compiled.load_compiled(folder[0])
    batches = [{"frames": frames(8)[i : i + 1]} for i in range(8)]
    expected, got = [model.predict_on_batch(b) for b in batches], [None] * 8

    def work(i):
        for _ in range(5):
            got[i] = model.predict_on_batch(batches[i])

    workers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    np.testing.assert_array_equal(got, expected)


def test_other_weights_and_other_code_make_it_again(copy, monkeypatch):
    path, runs = copy
    compiled.compile_folder(path)
    assert not runs
    model, recipe = load_model(path)
    model.weights[0].assign(model.weights[0] + 0.1)
    save_model(path, model, recipe)
    log = []
    compiled.compile_folder(path, log.append)
    compiled.compile_folder(path)
    assert len(runs) == 1 and "other weights" in log[0]
    monkeypatch.setattr(compiled, "_code_sha256", lambda: "other code")
    compiled.compile_folder(path)
    assert len(runs) == 2


def test_a_damaged_one_is_never_run(copy):
    path, runs = copy
    content = bytearray((path / "model.tflite").read_bytes())
    content[-1] ^= 1
    (path / "model.tflite").write_bytes(content)
    log = []
    compiled.compile_folder(path, log.append)
    assert len(runs) == 1 and "damaged" in log[0]
    (path / "model.tflite.json").write_text("{")
    compiled.compile_folder(path, log.append)
    assert len(runs) == 2 and "not valid JSON" in log[2]
    # One whose facts agree and that is no network: written by somebody else.
    (path / "model.tflite").write_bytes(b"no network")
    facts = json.loads((path / "model.tflite.json").read_text())
    facts["sha256"] = compiled.sha256(path / "model.tflite")
    (path / "model.tflite.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="is no compiled network"):
        compiled.load_compiled(path)


def test_weights_that_are_not_the_recipes_are_refused(copy):
    path, _ = copy
    (path / "model.weights.h5").write_bytes(b"others")
    with pytest.raises(InputError, match="does not match the checksum"):
        compiled.load_compiled(path)


def test_an_exported_folder_stands_alone(copy, tmp_path, monkeypatch, capsys):
    path, runs = copy
    assert main(["export", str(path), "--out", str(tmp_path / "out"), "--format", "litert"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "model.tflite")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "model.tflite",
        "model.tflite.json",
        "recipe.json",
    ]
    expected = compiled.load_compiled(path)[0].predict_on_batch({"frames": frames()})
    monkeypatch.setattr(compiled, "_code_sha256", lambda: "a later version")
    model, recipe = choice.load_for_verdict(tmp_path / "out", "litert")
    np.testing.assert_array_equal(model.predict_on_batch({"frames": frames()}), expected)
    assert recipe.network == "meso4" and not runs


def test_the_cache_serves_a_folder_that_cannot_be_written(copy, monkeypatch, tmp_path):
    path, runs = copy
    for name in ("model.tflite", "model.tflite.json"):
        (path / name).unlink()
    written = compiled.atomic_path

    def locked(target):
        if Path(target).parent == path:
            raise PermissionError(13, "Permission denied")
        return written(target)

    monkeypatch.setattr(compiled, "atomic_path", locked)
    first, _ = compiled.compile_folder(path)
    again, _ = compiled.compile_folder(path)
    assert first == again and tmp_path / "cache" in first.parents and len(runs) == 1
    assert sorted(file.name for file in path.iterdir()) == ["model.weights.h5", "recipe.json"]


def test_a_network_without_compiled_form_is_asked_once_and_keras_takes_its_place(copy, monkeypatch):
    path, runs = copy
    (path / "model.tflite.json").unlink()
    monkeypatch.setattr(compiled, "_run_converter", lambda *args: runs.append(args) or "no such operation")
    for _ in range(2):
        with pytest.raises(compiled.NoCompiledForm, match="meso4 has no compiled form: no such operation"):
            choice.load_for_verdict(path, "litert")
    log = []
    monkeypatch.setattr(choice, "preferred", lambda recipe, num_files: "litert")
    model, _ = choice.load_for_verdict(path, "auto", log.append)
    assert len(runs) == 1 and "Keras" in log[0] and isinstance(model, TracedModel)
    monkeypatch.setattr(compiled, "_converter", lambda: "a later one")
    with pytest.raises(compiled.NoCompiledForm):
        compiled.compile_folder(path)
    assert len(runs) == 2, "another converter may do better"


def test_a_folder_that_cannot_be_built_is_told_by_the_converters_process(folder, tmp_path):
    shutil.copytree(folder[0], tmp_path / "model", ignore=shutil.ignore_patterns("*.tflite*"))
    recipe = json.loads((tmp_path / "model" / "recipe.json").read_text())
    recipe["network_args"] = {"width": 3}
    (tmp_path / "model" / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(InputError, match="recipe.json: describes no network.*has no argument width"):
        choice.load_for_verdict(tmp_path / "model")


def test_a_large_network_is_not_compiled_where_memory_is_short(copy, monkeypatch):
    path, runs = copy
    for file in path.glob("*.tflite*"):
        file.unlink()
    size = (path / "model.weights.h5").stat().st_size
    monkeypatch.setattr(compiled, "WHOLE_BYTES", size - 1)
    monkeypatch.setattr(compiled, "free_bytes", lambda: 4 * size - 1)
    with pytest.raises(compiled.NoCompiledForm, match=r"takes 0 GB of memory to compile, and 0\.0 GB are free"):
        compiled.compile_folder(path)
    monkeypatch.setattr(compiled, "free_bytes", lambda: 4 * size)
    compiled.compile_folder(path)
    assert len(runs) == 1, "short memory is not remembered"


def test_auto_takes_what_is_faster(monkeypatch):
    monkeypatch.setattr(choice, "has_accelerator", lambda: False)
    member = ["r3d_18", {}]
    wide, fast = Recipe("clip_vit_l14"), Recipe("efficientnet_b4")
    assert [choice.preferred(wide, n) for n in (1, 10**6)] == ["litert", "keras"]
    assert choice.preferred(fast, 10**6) == "litert"
    monkeypatch.setattr(choice, "KERAS_FROM_FILES", {"r3d_18": 3})
    ensemble = Recipe("ensemble", {"members": [["meso4", {}], member]})
    assert [choice.preferred(ensemble, n) for n in (1, 2, 3)] == ["litert", "litert", "keras"]
    monkeypatch.setattr(choice, "has_accelerator", lambda: True)
    assert choice.preferred(fast) == "keras"
    with pytest.raises(InputError, match="needs one of auto, litert, keras"):
        choice.load_for_verdict("nowhere", "onnx")


def test_a_verdict_imports_neither_tensorflow_nor_keras(folder, tmp_path):
    drawn = synthetic.draw_video(synthetic.identity(0, 1), synthetic.scene(0, 1), synthetic.motion(0, 8), 320, 256)
    video.write_video(tmp_path / "clip.mp4", drawn, 25)
    code = (
        "import sys; from tfdeepfake.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "assert not {'tensorflow', 'keras', 'h5py', 'sklearn', 'jax'} & set(sys.modules), sorted(sys.modules)\n"
        "sys.exit(code)"
    )
    clip, out = str(tmp_path / "clip.mp4"), str(tmp_path / "out")
    command = ["predict", clip, "--model", str(folder[0]), "--runtime", "litert", "--out", out]
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (verdict,) = json.loads((tmp_path / "out" / "predictions.json").read_text())["verdicts"]
    from tfdeepfake.verdict.judging import judge

    model, recipe = load_model(folder[0])
    by_keras = judge(clip, model, dataclasses.replace(recipe))
    assert verdict["status"] == "scored" == by_keras.status
    logits = [[point["logit"] for point in v["faces"][0]["timeline"]] for v in (verdict, by_keras.to_dict())]
    assert len(logits[0]) == 4
    np.testing.assert_allclose(*logits, atol=1e-5, rtol=0)


def test_a_converter_that_the_system_ends_is_told_in_plain_words(folder, tmp_path, monkeypatch):
    ended = subprocess.CompletedProcess([], -9, "", "WARNING:absl:Please consider something")
    monkeypatch.setattr(compiled.subprocess, "run", lambda *args, **options: ended)
    with pytest.raises(compiled.NoCompiledForm, match="ended by signal 9, most often because memory ran out") as error:
        compiled._run_converter(folder[0], tmp_path / "out")
    assert "absl" not in str(error.value)


def test_two_at_once_compile_once(copy, monkeypatch):
    target, runs = copy
    (target / compiled.COMPILED_FILE).unlink()
    (target / compiled.FACTS_FILE).unlink()
    convert, waits, lines = compiled._run_converter, threading.Event(), []

    def slow(*args):
        assert waits.wait(30)
        return convert(*args)

    def log(line):
        lines.append(line)
        if "waiting until it is done" in line:
            waits.set()

    monkeypatch.setattr(compiled, "_run_converter", slow)
    threads = [threading.Thread(target=compiled.compile_folder, args=(target, log)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(runs) == 1 and sum("compiling" in line for line in lines) == 1
    assert (target / compiled.COMPILED_FILE).is_file()
