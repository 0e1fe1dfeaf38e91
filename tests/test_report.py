"""The page stands alone, escapes what it shows, stays small, and says nothing about files that were not scored."""

import html.parser
import re

import numpy as np
import pytest
from PIL import Image

from tfdeepfake.data import video
from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.verdict import images, report
from tfdeepfake.vocabulary import STATUS_TEXT

NASTY = '<script>alert("x")</script>&\'.mp4'


def point(time_s, probability, frame=None, **more):
    return {
        "time_s": time_s,
        "end_s": time_s,
        "frame": int(time_s * 10) if frame is None else frame,
        "box": [10.0, 8.0, 40.0, 44.0],
        "logit": 0.0,
        "probability": probability,
        **more,
    }


def face(number, probabilities, brief=False):
    timeline = [point(float(k), p) for k, p in enumerate(probabilities)]
    mean = float(np.mean(probabilities))
    return {
        "face": number,
        "probability": mean,
        "label": "FAKE" if mean >= 0.5 else "REAL",
        "fraction": 1.0,
        "brief": brief,
        "timeline": timeline,
    }


def scored(name, faces):
    return {
        "name": name,
        "file": name,
        "status": "scored",
        "probability": faces[0]["probability"],
        "label": faces[0]["label"],
        "interval": [0.1, 0.9],
        "interval_reason": "",
        "reason": "",
        "remedy": "",
        "faces": faces,
        "faces_not_judged": 0,
        "num_samples": len(faces[0]["timeline"]),
        "whole_frame": False,
        "video": {
            "width": 64,
            "height": 48,
            "frame_count": 100,
            "fps": 10.0,
            "duration_s": 10.0,
            "codec": "h264",
            "is_image": False,
            "missing": 0,
        },
        "timings": {"decode": 1.0, "detect": 0.5, "network": 0.1},
        "images": [],
    }


def unscored(name, status):
    return scored(name, [face(1, [0.5])]) | {
        "status": status,
        "probability": None,
        "label": None,
        "interval": None,
        "faces": [],
        "reason": "it is <odd>.",
        "remedy": "Look & see.",
    }


def result_of(verdicts, **recipe):
    from tfdeepfake.verdict.batch import counts

    values = {"data": DataRecipe(input_type="frame"), "data_version": "drawn/frame:1.0.0"} | recipe
    return {
        "counts": counts(verdicts),
        "recipe": Recipe("meso4", **values).to_dict(),
        "recipe_sha256": "0" * 64,
        "detector": "mtcnn",
        "trained_with_detector": "mtcnn",
        "threshold": 0.5,
        "model": "saved_models/demo",
        "tool": "tfdeepfake 0",
        "other_files": ["notes<b>.txt"],
        "unreadable_folders": [],
    }


def write(path, verdicts, **recipe):
    def read(order=None):
        return iter(verdicts if order is None else [verdicts[n] for n in order])

    report.write_page(path / "index.html", result_of(verdicts, **recipe), read)
    return (path / "index.html").read_text(encoding="utf-8")


class Tags(html.parser.HTMLParser):
    """Collects what the browser would see: tags with attributes, and the balance of opened and closed ones."""

    VOID = {"meta", "img", "br", "link", "input"}

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.wrong = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_page_needs_no_network_and_escapes_names(tmp_path):
    verdicts = [scored(NASTY, [face(1, [0.2, 0.9]), face(2, [0.1, 0.1])]), unscored(NASTY + "2", "unreadable")]
    seen = Tags(write(tmp_path, verdicts, data_version='"><script>', calibration="<i>"))
    assert not seen.wrong and not seen.open
    assert not [tag for tag, _ in seen.tags if tag in ("script", "link", "iframe", "i<")]
    for tag, attrs in seen.tags:
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href"):
            assert re.match(r"#|data:image/jpeg|frames/", attrs.get(name, "#")), (tag, attrs)
    style = report.Path(report.__file__).with_name("report.html").read_text()
    assert "url(" not in style and "@import" not in style


def test_every_row_links_to_its_own_section(tmp_path):
    verdicts = [scored(f"{k}.mp4", [face(1, [p, p])]) for k, p in enumerate([0.2, 0.9, 0.5])]
    verdicts.insert(1, unscored("broken.mp4", "unreadable"))
    page = write(tmp_path, verdicts)
    links = re.findall(r'<a href="#(v\d+)">([^<]*)</a>', page)
    assert [name for _, name in links] == ["1.mp4", "2.mp4", "0.mp4", "broken.mp4"], "most suspicious first"
    sections = re.findall(r'<article id="(v\d+)">.*?<h3>([^<]*)</h3>', page)
    assert sections == links


def test_a_file_that_was_not_scored_is_neither_real_nor_fake(tmp_path):
    for status, word in STATUS_TEXT.items():
        page = write(tmp_path, [unscored("clip.mp4", status)])
        for part in (re.search(r"<tbody>.*</tbody>", page, re.S), re.search(r"<article.*</article>", page, re.S)):
            assert word in part.group()
            assert not re.search(r"REAL|FAKE|0\.\d\d", part.group())
            assert "it is &lt;odd&gt;." in part.group()
        assert "0 of 1 files were scored." in page


def test_what_must_be_known_before_believing_is_said(tmp_path):
    page = write(tmp_path, [scored("a.mp4", [face(1, [0.9])])])
    assert "not calibrated" in page and "None of this is proof" in page and "drawn/frame:1.0.0" in page
    assert "meso4" in page and "1 of 1 files were scored" in page and "notes&lt;b&gt;.txt" in page
    page = write(
        tmp_path, [scored("a.mp4", [face(1, [0.9])])], calibration="temperature on validation", temperature=1.7
    )
    assert "not calibrated" not in page and "temperature 1.7" in page


def test_the_timeline_is_drawn_to_scale():
    drawn = report._timeline([point(0.0, 0.25), point(5.0, 0.75, end_s=7.5)], 10.0, 0.5)
    paths = re.findall(r'<path class="(\w+)" d="M([\d.]+) ([\d.]+)H([\d.]+)"', drawn)
    assert paths.pop(0) == ("limit", "0", "50.0", "1000")
    assert paths == [("real", "0.0", "75.0", "0.1"), ("fake", "500.0", "25.0", "750.1")]
    assert '<polyline points="0.0,75.0 625.0,25.0"/>' in drawn


def test_the_most_suspicious_frame_is_among_those_shown():
    probabilities = np.random.default_rng(0).uniform(size=50)
    for count in (1, 2, 4, 9, 50, 60):
        chosen = images.choose_frames([face(1, probabilities), face(2, probabilities[:5])], count)
        assert len(chosen) == min(count, 50) and list(chosen) == sorted(chosen)
        assert 10 * int(np.argmax(probabilities)) in chosen
        assert all(time_s == frame / 10 for frame, (time_s, _) in chosen.items())
    assert len(images.choose_frames([face(1, probabilities), face(2, probabilities[:5])], 60)[0][1]) == 2


def test_a_box_is_drawn_where_the_face_is():
    frame = np.random.default_rng(0).integers(0, 90, (120, 200, 3), np.uint8)
    for text in ("face 1: 0.93", "a very long name that does not fit into the image"):
        drawn = np.asarray(images.annotate(frame, [((50, 40, 120, 90), (200, 62, 38), text)], "3.20 s"))
        assert drawn.shape == frame.shape
        assert (drawn[89, 60:110] == (200, 62, 38)).all() and (drawn[50:85, 50] == (200, 62, 38)).all()
        assert (drawn[50:80, 60:110] == frame[50:80, 60:110]).all(), "the face itself stays as it is"
    for box in ((-30, -20, 500, 400), (60, 50, 40, 30), (300, 300, 310, 310)):
        assert images.annotate(frame, [(box, (0, 0, 0), "x")], "").size == (200, 120)


def test_a_hundred_videos_make_a_page_below_15_mb(tmp_path):
    rng = np.random.default_rng(0)
    verdicts = []
    for number in range(100):
        below = f"frames/{number}"
        (tmp_path / below).mkdir(parents=True)
        images = []
        for k in range(4):
            name = f"{below}/frame_{k}.jpg"
            if number < 5:
                # As hard to compress as a camera's image: smooth shapes with noise of 6 grey levels.
                coarse = Image.fromarray(rng.integers(0, 256, (9, 16, 3), np.uint8))
                smooth = coarse.resize((960, 540), Image.Resampling.BICUBIC)
                noisy = np.clip(np.asarray(smooth) + rng.normal(0, 6, (540, 960, 1)), 0, 255).astype(np.uint8)
                Image.fromarray(noisy).save(tmp_path / name, quality=85)
            else:
                (tmp_path / name).hardlink_to(tmp_path / f"frames/{number % 5}/frame_{k}.jpg")
            images.append({"file": name, "kind": "frame", "frame": 10 * k, "time_s": float(k)})
        verdicts.append(
            scored(f"{number}.mp4", [face(1, rng.uniform(size=16)), face(2, rng.uniform(size=16))]) | {"images": images}
        )
    page = write(tmp_path, verdicts)
    assert page.count("<img") == 400 and page.count("data:image/jpeg") == 400
    assert len(page.encode()) < 15e6


def test_a_image_that_is_gone_leaves_a_page(tmp_path):
    gone = scored("a.mp4", [face(1, [0.9, 0.2])])
    gone["images"] = [
        {"file": "frames/gone.jpg", "kind": "frame", "frame": 0, "time_s": 0.0},
        {"file": "frames/gone.jpg", "kind": "face", "face": 1, "frame": 0, "time_s": 0.0},
    ]
    page = write(tmp_path, [gone])
    assert "<img" not in page and "<svg" in page


def test_a_full_disk_names_the_page(tmp_path, monkeypatch):
    import errno
    import os

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"index\.html.*full"):
        write(tmp_path, [scored("a.mp4", [face(1, [0.9])])])
    assert not list(tmp_path.iterdir()), "no half page is left"


def test_images_that_cannot_be_read_again_cost_no_verdict(tmp_path, monkeypatch):
    def gone(*args, **options):
        raise video.VideoError("a.mp4", "is gone.")

    monkeypatch.setattr(video, "read_frames", gone)
    assert images.draw_images("a.mp4", scored("a.mp4", [face(1, [0.9])]), tmp_path) == []
    assert images.draw_images("a.mp4", unscored("a.mp4", "error"), tmp_path) == []


def test_folder_names_are_safe_and_unique():
    names = [images.folder_name(n, n) for n in ("a/clip.mp4", "b/clip.mp4", "../..", "ü ñ 视频.mp4", NASTY, "x" * 400)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[\w.-]{1,80}", n) and not n.startswith(".") for n in names)
