"""`compare`: pairs on the same videos, other people's files, tests against their definitions, clear errors."""

import csv
import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from tfdeepfake.cli.main import main
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.compare import compare, holm, mcnemar
from tfdeepfake.evaluation.compare_text import PAIRS, format_comparison
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.files import write_json
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.report import tables
from tfdeepfake.scoring.table import table
from tfdeepfake.scoring.table_file import read_scores, write_scores


def draw(sources=40, seed=0):
    """[(method, video, source, label, mood)]: each source has a real video and two fakes, of one file name."""
    rng = np.random.default_rng(seed)
    videos = []
    for source in range(sources):
        mood = rng.normal()
        for label, method in ((0, "original"), (1, "swap"), (1, "reenact")):
            videos.append((method, f"{source:03d}.mp4", f"id{source}", label, mood))
    return videos


def write_run(folder, videos, gap, seed, unscored=()):
    """scores.csv and metrics.json as `evaluate` writes them; `unscored` are numbers of videos without a face."""
    rng, rows = np.random.default_rng(seed), []
    for number, (method, video, source, label, mood) in enumerate(videos):
        row = {"data_set": "d", "method": method, "video": video, "source": source, "label": label}
        if number in unscored:
            rows.append(row | {"status": "no_face"})
            continue
        middle = gap * (2 * label - 1) + mood + rng.normal()
        rows += [row | {"face": 0, "frame": t, "logit": middle + 0.2 * rng.normal()} for t in range(3)]
    rows = table(rows)
    write_scores(folder / "scores.csv", rows)
    write_json(folder / "metrics.json", evaluate(rows, 0.4, None, 1.5, resamples=0))
    return folder


def write_foreign(path, videos, gap, seed, header="name,truth,p,kind", methods=True):
    rng = np.random.default_rng(seed)
    lines = [header]
    for method, video, _, label, mood in videos:
        p = expit(gap * (2 * label - 1) + mood + rng.normal())
        lines.append(f"{video},{'fake' if label else 'real'},{p:.6f}" + (f",{method}" if methods else ""))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def three(tmp_path):
    """A good, a bad and somebody else's detector on 120 videos."""
    videos = draw()
    good = write_run(tmp_path / "runs" / "good" / "evaluation" / "test", videos, 2.0, 1)
    write_run(tmp_path / "bad", videos, 0.4, 2)
    foreign = write_foreign(tmp_path / "theirs.csv", videos, 1.0, 3)
    # The data set's name is not in their file.
    text = foreign.read_text().splitlines()
    foreign.write_text("\n".join([text[0] + ",set", *(line + ",d" for line in text[1:])]))
    return [str(good.parent.parent), str(tmp_path / "bad" / "scores.csv"), f"theirs={foreign}"]


COLUMNS = {"video": "name", "label": "truth", "score": "p", "method": "kind", "data_set": "set"}


def test_command_writes_tables_and_curves(three, tmp_path, capsys):
    columns = ",".join(f"{name}={column}" for name, column in COLUMNS.items())
    assert main(["compare", *three, "--columns", columns, "--out", str(tmp_path / "out"), "--resamples", "200"]) == 0
    text = capsys.readouterr().out
    assert "120 videos have a score in all files: 80 fake, 40 real, of 40 sources." in text
    report = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [entry["name"] for entry in report["detectors"]] == ["good", "bad", "theirs"]
    good_bad, good_theirs, bad_theirs = report["pairs"]
    low, high = good_bad["auc"]["interval"]
    assert 0 < low < good_bad["auc"]["difference"] < high and good_bad["auc"]["p"] < 0.001
    assert good_bad["auc"]["bootstrap_interval"] == pytest.approx([low, high], abs=0.04)
    # The three differences are of one set of videos.
    total = good_theirs["auc"]["difference"] - bad_theirs["auc"]["difference"]
    assert good_bad["auc"]["difference"] == pytest.approx(total)
    assert report["detectors"][0]["thresholds"] == [0.4] and report["detectors"][2]["thresholds"] == [0.5]
    with open(tmp_path / "out" / "comparison.csv", newline="") as stream:
        cells = list(csv.reader(stream))
    assert tuple(cells[0]) == (*PAIRS, "fake", "real", "sources") and len(cells) == 4
    assert all(row[-3:] == ["80", "40", "40"] for row in cells[1:])
    markdown, latex = ((tmp_path / "out" / f"comparison.{suffix}").read_text() for suffix in ("md", "tex"))
    assert markdown.count("\n|---") == 2 and latex.count(r"\toprule") == 2
    # A table in a paper has lost its terminal: which videos, and what the brackets are, goes with it.
    for text in (markdown, latex):
        assert "120 videos have a score in all files: 80 fake, 40 real, of 40 sources." in text
        assert "95 %, by source. p (Holm): for all pairs together." in text
    assert all(line.startswith(("%", "\\", " ")) or " & " in line or not line for line in latex.splitlines())
    assert (tmp_path / "out" / "roc.png").stat().st_size > 20_000


def test_figures_of_one_detector_are_those_of_evaluate(three, tmp_path):
    report = compare(three[:2], resamples=0)
    known = json.loads((tmp_path / "bad" / "metrics.json").read_text())["levels"]["video"]
    assert report["detectors"][1]["auc"] == pytest.approx(known["auc"])
    assert report["detectors"][1]["accuracy"] == pytest.approx(known["accuracy"])
    assert report["pairs"][0]["auc"]["bootstrap_interval"] is None


def test_a_detector_beside_itself_does_not_differ(three):
    report = compare([three[0], three[0]], resamples=20)
    assert [entry["name"] for entry in report["detectors"]] == ["good", "good (2)"]
    pair = report["pairs"][0]
    assert pair["auc"]["difference"] == 0 and pair["auc"]["p"] == 1 and pair["auc"]["interval"] == [0, 0]
    assert pair["accuracy"]["mcnemar"] == {"only_a": 0, "only_b": 0, "p": 1}


def test_videos_that_one_file_lacks_are_named_and_counted(tmp_path):
    videos = draw()
    write_run(tmp_path / "all", videos, 2.0, 1, unscored=(7,))
    write_run(tmp_path / "fewer", videos[:-4], 1.0, 2)
    report = compare([str(tmp_path / "all"), str(tmp_path / "fewer")], resamples=0)
    assert report["videos"]["common"] == 120 - 4 - 1
    first, second = (entry["left_out"] for entry in report["detectors"])
    assert len(first["only_here"]) == 4 and "d/reenact/039.mp4" in first["only_here"] == second["missing"]
    assert first["unscored"] == ["d/swap/002.mp4"] and not first["missing"]
    text = format_comparison(report)
    assert "4 videos not in fewer" in text and text.count("d/reenact/039.mp4") == 1  # not as "only in all" too
    assert "1 video without a score in all: d/swap/002.mp4" in text
    assert "119 of 120" in text and "116 of 120" in text


def test_scores_of_other_data_and_optimistic_ones_are_told(tmp_path):
    videos = draw()
    known = {"c23": {"tta": "none"}, "c40": {"tta": "flip", "score_notes": ["optimistic: trained on them."]}}
    for seed, (name, told) in enumerate(known.items()):
        path = write_run(tmp_path / name, videos, 1.0, seed) / "metrics.json"
        write_json(path, json.loads(path.read_text()) | {"data": f"ff/{name}:1.0.0", "split": "test"} | told)
    notes = compare([str(tmp_path / name) for name in known], resamples=0)["notes"]
    assert "the scores are of different prepared data, and so is the difference (c23: ff/c23:1.0.0; c40: " in notes[0]
    assert "of different test-time augmentation, and so is the difference (c23: none; c40: flip)" in notes[1]
    assert notes[2:] == ["c40: optimistic: trained on them."]
    assert not compare([str(tmp_path / "c23")] * 2, resamples=0)["notes"]


def test_names_alone_find_the_videos_of_other_files(tmp_path):
    videos = [(m, f"{m}_{v}", s, y, mood) for m, v, s, y, mood in draw()]
    write_run(tmp_path / "ours", videos, 2.0, 1)
    theirs = write_foreign(tmp_path / "theirs.csv", videos, 1.0, 3, "file,label,score", methods=False)
    report = compare([str(tmp_path / "ours"), str(theirs)], resamples=0)
    assert report["videos"] | {"unlabelled": 0} == report["videos"] and report["videos"]["common"] == 120
    assert report["videos"]["sources"] == 40  # the other file knows none


def test_methods_and_names_find_the_videos_of_files_that_tell_the_data_set(tmp_path):
    """Names that methods share are no matter where the method is told; nobody else writes our data sets' names."""
    videos = draw()
    write_run(tmp_path / "ours", videos, 2.0, 1)
    theirs = [write_foreign(tmp_path / f"{n}.csv", videos, 1.0, n, "file,label,score,method") for n in (3, 4)]
    report = compare([str(theirs[0]), str(tmp_path / "ours"), str(theirs[1])], resamples=0)
    assert report["videos"]["common"] == 120 and report["videos"]["sources"] == 40
    write_run(tmp_path / "again", videos, 2.0, 1)
    path = tmp_path / "again" / "scores.csv"
    path.write_text(path.read_text().replace("\nd,", "\ne,"))
    with pytest.raises(InputError, match="000.mp4 could be d/original/000.mp4 or e/original/000.mp4"):
        compare([str(theirs[0]), str(tmp_path / "ours"), str(tmp_path / "again")], resamples=0)


def test_several_seeds_are_one_detector(tmp_path):
    videos = draw()
    paths = [str(write_run(tmp_path / f"seed{n}", videos, 1.2, n)) for n in (1, 2, 3)]
    write_run(tmp_path / "other", videos, 0.5, 9)
    report = compare([f"mine={','.join(paths)}", str(tmp_path / "other")], out=tmp_path / "out", resamples=50)
    mine = report["detectors"][0]
    assert mine["name"] == "mine" and mine["seeds"] == 3
    assert mine["auc"] == pytest.approx(np.mean(mine["auc_of_seeds"]))
    assert mine["auc_spread"] == pytest.approx(np.std(mine["auc_of_seeds"], ddof=1)) and mine["auc_spread"] > 0
    assert report["pairs"][0]["accuracy"]["mcnemar"]["p"] is None
    assert "spread over seeds" in format_comparison(report)


def test_a_detector_that_errs_nowhere_is_said_to_make_p_too_small(tmp_path):
    videos = draw()
    folders = [
        write_run(tmp_path / name, videos, gap, 1) for name, gap in (("all", 20.0), ("most", 1.2), ("some", 0.8))
    ]
    report = compare([str(folder) for folder in folders], resamples=0)
    assert [entry["auc"] == 1 for entry in report["detectors"]] == [True, False, False]
    (note,) = report["notes"]
    assert note.startswith("all: with an AUC of 1 or 0 DeLong's variance is 0")
    assert compare([str(folder) for folder in folders[1:]], resamples=0)["notes"] == []


def test_scores_that_are_no_probabilities_have_no_accuracy(tmp_path):
    videos = draw()
    write_run(tmp_path / "ours", videos, 2.0, 1)
    path = write_foreign(tmp_path / "theirs.csv", videos, 1.0, 3, "video,label,score,method")
    lines = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text(
        "\n".join(",".join([*c[:2], c[2] if n == 0 else f"{9 * float(c[2])}", c[3]]) for n, c in enumerate(lines))
    )
    again = write_foreign(tmp_path / "again.csv", videos, 1.0, 3, "video,label,score,method")
    report = compare([str(path), str(again)], resamples=0)
    assert report["detectors"][0]["accuracy"] is None and report["detectors"][0]["auc"] == report["detectors"][1]["auc"]
    assert "no threshold" in report["pairs"][0]["accuracy"]["undefined"]


def test_mcnemar_is_the_exact_binomial_test():
    rng = np.random.default_rng(0)
    a, b = rng.random((1, 60)) < 0.8, rng.random((1, 60)) < 0.6
    only_a, only_b = np.sum(a & ~b), np.sum(~a & b)
    tail = binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)
    assert mcnemar(a, b) == {"only_a": only_a, "only_b": only_b, "p": pytest.approx(min(1, 2 * tail))}


def test_holm_is_never_below_p_and_keeps_its_order():
    assert holm([0.01, 0.04, None, 0.03]) == [pytest.approx(0.03), pytest.approx(0.06), None, pytest.approx(0.06)]
    values = np.random.default_rng(1).random(20)
    held = [p for _, p in sorted(zip(values, holm(values), strict=True))]
    assert all(a <= b <= 1 for a, b in pairwise(held)) and all(
        h >= p for h, p in zip(held, sorted(values), strict=True)
    )


def test_tables_keep_their_cells_whatever_stands_in_them():
    header, rows = ("a", "b"), [("50 % of a_b & c|d", "\\x{}")]
    assert r"50 \% of a\_b \& c|d & \textbackslash{}x\{\} \\" in tables.as_latex(header, rows)
    assert "| 50 % of a_b & c\\|d |" in tables.as_markdown(header, rows)
    assert list(csv.reader(tables.as_csv(header, rows).splitlines()))[1] == list(rows[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("video,label,score\na,1,nan\nb,0,0.2\n", "line 2: score needs a finite number, got 'nan'"),
        ("video,label,score\na,1,x\n", "line 2: score needs a finite number"),
        ("video,label,score\na,1,0.3\na,1,0.4\n", "line 3: video a stands here twice"),
        ("video,label,score\na,maybe,0.3\n", "label 'maybe' is unknown"),
        ("video,label\na,1\n", "the column score is missing"),
        ("video,label,score\n", "has no rows"),
        ("video,label,score\n,1,0.4\n", "video is empty"),
        ("video,label,score\na,1,0.4\nb,1,0.2\n", "only fakes are among the 2 videos that all have"),
        ("video,label,score\nx,1,0.4\ny,0,0.2\n", "no video has a score in all of them .*theirs.csv has x"),
        ("video,label,score\na,0,0.4\nb,1,0.2\n", "video a has two labels: 0 here and 1 in"),
    ],
)
def test_files_that_do_not_fit_say_why(tmp_path, text, said):
    (tmp_path / "theirs.csv").write_text(text)
    (tmp_path / "ours.csv").write_text("video,label,score\na,1,0.9\nb,,0.1\n")
    with pytest.raises(InputError, match=said):
        compare([str(tmp_path / "ours.csv"), str(tmp_path / "theirs.csv")])


def test_arguments_that_do_not_fit_say_why(tmp_path, three, capsys):
    with pytest.raises(InputError, match="needs two detectors or more"):
        compare(three[:1])
    with pytest.raises(InputError, match="scores file is missing"):
        compare([three[0], str(tmp_path / "none.csv")])
    with pytest.raises(InputError, match="evaluate .* --split validation"):
        compare(three[:2], split="validation")
    with pytest.raises(InputError, match="knows no 'sore'"):
        compare(three, {"sore": "p"})
    with pytest.raises(InputError, match="one column for two things"):
        compare(three, COLUMNS | {"score": "name"})
    videos = draw()
    named = write_foreign(tmp_path / "names.csv", videos[:1], 1.0, 3, "video,label,score", methods=False)
    with pytest.raises(InputError, match="video 000.mp4 could be d/original/000.mp4 or d/reenact"):
        compare([three[0], str(named)])
    assert main(["compare", *three, "--columns", "video"]) == 2
    assert "needs NAME=COLUMN" in capsys.readouterr().err


def test_scores_of_predict_find_their_videos_by_name(tmp_path):
    videos = [(m, f"{m}_{v}", s, y, mood) for m, v, s, y, mood in draw()]
    write_run(tmp_path / "ours", videos, 2.0, 1)
    write_run(tmp_path / "judged", videos, 1.0, 2)
    rows = read_scores(tmp_path / "judged" / "scores.csv")
    unnamed = {"data_set": np.full(len(rows["video"]), "predict", object), "source": rows["video"]}
    empty = {"method": np.full(len(rows["video"]), "", object), "label": np.full(len(rows["video"]), -1, np.int8)}
    write_scores(tmp_path / "judged" / "scores.csv", rows | unnamed | empty)
    (tmp_path / "judged" / "metrics.json").unlink()
    recipe = Recipe("meso4", threshold=0.6, temperature=2.0, data=DataRecipe(input_type="frame"))
    write_json(tmp_path / "judged" / "predictions.json", {"recipe": recipe.to_dict()})
    report = compare([str(tmp_path / "ours"), str(tmp_path / "judged")], resamples=0)
    assert report["videos"]["common"] == 120 and report["videos"]["sources"] == 40
    assert report["detectors"][1]["thresholds"] == [0.6] and not report["notes"]
