"""The page stands alone, escapes what it shows, stays small, and says nothing about files that were not scored."""

import functools
import html.parser
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.verdicts import face, judged_files, point, scored, unscored

from tfdeepfake import report
from tfdeepfake.data import video
from tfdeepfake.errors import InputError
from tfdeepfake.report import html as html_files
from tfdeepfake.report import palette
from tfdeepfake.report.text import printable
from tfdeepfake.verdict import images, page
from tfdeepfake.verdict.page import timeline, write_page
from tfdeepfake.vocabulary import STATUS_TEXT

NASTY = '<script>alert("x")</script>&\'.mp4'


def write(path, verdicts, **recipe):
    def read(order):
        return iter(verdicts if order is None else [verdicts[n] for n in order])

    write_page(path / "index.html", judged_files(verdicts, **recipe), read)
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
            assert re.match(r"#|data:image/jpeg", attrs.get(name, "#")), (tag, attrs)
    for style in Path(report.__file__).with_name("templates").glob("*.css"):
        assert "url(" not in style.read_text() and "@import" not in style.read_text()


def test_every_row_links_to_its_own_section(tmp_path):
    verdicts = [scored(f"{k}.mp4", [face(1, [p, p])]) for k, p in enumerate([0.2, 0.9, 0.5])]
    verdicts.insert(1, unscored("broken.mp4", "unreadable"))
    page = write(tmp_path, verdicts)
    links = re.findall(r'<a href="#(v\d+)">([^<]*)</a>', page)
    assert [name for _, name in links] == ["1.mp4", "2.mp4", "0.mp4", "broken.mp4"], "most suspicious first"
    sections = re.findall(r'<article id="(v\d+)">.*?<h3>([^<]*)</h3>', page, re.S)
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
    assert "b&lt;c&gt; is left out." in page, "how the folder was read"
    page = write(
        tmp_path, [scored("a.mp4", [face(1, [0.9])])], calibration="temperature on validation", temperature=1.7
    )
    assert "not calibrated" not in page and "temperature 1.7" in page


def test_the_timeline_is_drawn_to_scale(tmp_path):
    points = [point(0.0, 0.25), point(5.0, 0.75, end_s=7.5)]
    page = write(tmp_path, [scored("a.mp4", [face(1, [0.25, 0.75]) | {"timeline": points}])])
    paths = re.findall(r'<path class="(\w+)" d="M([\d.]+) ([\d.]+)H([\d.]+)"', page)
    assert paths.pop(0) == ("limit", "0", "50.0", "1000")
    assert paths == [("real", "0.0", "75.0", "0.1"), ("fake", "500.0", "25.0", "750.1")]
    assert '<polyline points="0.0,75.0 625.0,25.0 "/>' in page
    assert timeline([point(0.0, 0.25)], 0, 0.5) is None, "a still image has none"


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
    for text in ("1: 0.93", "a very long name that does not fit into the image"):
        drawn = np.asarray(images.annotate(frame, [((50, 40, 120, 90), (200, 62, 38), [text])], "3.20 s"))
        assert drawn.shape == frame.shape
        assert (drawn[89, 60:110] == (200, 62, 38)).all() and (drawn[50:85, 50] == (200, 62, 38)).all()
        assert (drawn[50:80, 60:110] == frame[50:80, 60:110]).all(), "the face itself stays as it is"
    for box in ((-30, -20, 500, 400), (60, 50, 40, 30), (300, 300, 310, 310)):
        assert images.annotate(frame, [(box, (0, 0, 0), ["x"])], "").size == (200, 120)


def test_no_label_covers_another_and_the_first_finds_room(monkeypatch):
    rng, places = np.random.default_rng(0), []
    real = images._place_beside

    def watched(box, extent, size, taken, boxes):
        places.append(real(box, extent, size, taken, boxes))
        return places[-1]

    monkeypatch.setattr(images, "_place_beside", watched)
    frame = rng.integers(0, 90, (540, 960, 3), np.uint8)
    for count in (1, 2, 8, 24, 120):
        corners, places[:] = rng.uniform((0, 0), (900, 480), (count, 2)), []
        marks = [((x, y, x + 50, y + 60), (200, 62, 38), [f"{k}: 0.93", str(k)]) for k, (x, y) in enumerate(corners)]
        images.annotate(frame, marks, "still image")
        written = [place for place in places if place]
        assert places[0] and len(written) > 0.4 * count
        for k, one in enumerate(written):
            assert 0 <= one[0] and one[2] <= 960 and 0 <= one[1] and one[3] <= 540
            assert not any(images._overlap_px(one, other) for other in written[:k])
        # At the width that four frames have on the page the figures are at least 10 px high.
        assert count > 3 or (written[0][3] - written[0][1]) * 255 / 960 > 10


def with_images(tmp_path, count, frames=4, thumbs=1):
    """Verdicts whose images are as hard to compress as a camera's: smooth shapes with noise of 6 grey levels."""
    rng = np.random.default_rng(0)
    (tmp_path / "frames").mkdir()
    for k in range(5):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 16, 3), np.uint8))
        smooth = coarse.resize((960, 540), Image.Resampling.BICUBIC)
        noisy = np.clip(np.asarray(smooth) + rng.normal(0, 6, (540, 960, 1)), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(tmp_path / f"frames/{k}.jpg", quality=85)
    for number in range(count):
        files = [f"frames/{(number + k) % 5}.jpg" for k in range(max(frames, thumbs))]
        shown = [
            {"file": file, "kind": "frame", "frame": 10 * k, "time_s": float(k)}
            for k, file in enumerate(files[:frames])
        ]
        shown += [
            {"file": file, "kind": "face", "face": k + 1, "frame": 10 * k, "time_s": float(k)}
            for k, file in enumerate(files[:thumbs])
        ]
        both = [face(1, rng.uniform(size=16)), face(2, rng.uniform(size=16))]
        yield scored(f"{number}.mp4", both) | {"images": shown}


@pytest.mark.parametrize("count, frames_shown, side_px", [(2, 4, 960), (50, 4, 640), (100, 4, 360)])
def test_few_videos_have_large_images_and_many_stay_below_15_mb(monkeypatch, tmp_path, count, frames_shown, side_px):
    # The same five images over and over: each is made small once.
    monkeypatch.setattr(html_files, "embedded_image", functools.cache(html_files.embedded_image))
    page = write(tmp_path, list(with_images(tmp_path, count)))
    assert len(page.encode()) < 15e6
    sizes = re.findall(r'class="zoom"><input type="checkbox"><img width="(\d+)"', page)
    assert sizes == [str(side_px)] * frames_shown * count
    assert page.count("data:image/jpeg") == (frames_shown + 1) * count


def test_thousands_of_videos_have_fewer_images_and_then_none():
    def chosen(count):
        return page.image_size([{"num_images": {"frame": 4, "face": 2}}] * count)

    assert [chosen(count).num_frames for count in (1, 300, 500, 5000)] == [4, 1, 1, 0]
    for count in (1, 30, 100, 200, 400, 800, 2000):
        size = chosen(count)
        assert count * (4 * 1024 + size.num_frames * size.num_bytes) < 20e6


def test_faces_without_a_thumbnail_are_listed_and_leave_no_empty_square(tmp_path):
    faces = [face(k, [0.9 - 0.01 * k]) for k in range(1, 21)]
    still = scored("crowd.jpg", faces)
    still["video"] |= {"is_image": True, "duration_s": 0.0}
    still["images"] = next(with_images(tmp_path, 1, frames=1, thumbs=5))["images"]
    page = write(tmp_path, [still])
    assert page.count('class="face-tile"') == page.count('class="thumb"') == 5
    listed = re.search(r'<p class="note">(.*?)</p>', page, re.S).group(1)
    assert [int(k) for k in re.findall(r"face (\d+)", listed)] == list(range(6, 21))


def test_labels_show_what_is_right_and_wrong(tmp_path):
    right, wrong = scored("a.mp4", [face(1, [0.9])]), scored("b.mp4", [face(1, [0.8])])
    gone = unscored("c.mp4", "unreadable")
    page = write(
        tmp_path, [right | {"true_label": "FAKE"}, wrong | {"true_label": "REAL"}, gone | {"true_label": "FAKE"}]
    )
    table = re.search(r"<tbody>(.*)</tbody>", page, re.S).group(1)
    rows = [re.sub(r"<[^>]*>", " ", row) for row in table.split("</tr>")[:3]]
    assert "✓ right" in rows[0] and "✗ labelled REAL" in rows[1]
    assert "labelled FAKE" in rows[2] and "✗" not in rows[2] and "✓" not in rows[2]
    assert re.search(r"<b>1</b><span>as labelled</span>.*<b>1</b><span>not as labelled</span>", page, re.S)
    assert "labelled" not in write(tmp_path, [right]), "without labels nothing is said of them"


def test_an_expert_finds_the_calibration_in_the_details(tmp_path):
    page = write(tmp_path, [scored("a.mp4", [face(1, [0.9])])], calibration="grid of 61 values", temperature=1.7)
    before, details = page.split("<details>")
    assert "grid of 61" in details and "temperature" not in before.split("</style>")[1]


def test_an_image_that_is_gone_leaves_a_page(tmp_path):
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


def test_the_page_is_written_while_it_is_read(tmp_path):
    """Thousands of verdicts are never in memory together: each is in the file when the next but few is asked for."""
    sizes = []

    def read(order):
        for number in range(300) if order is None else order:
            if order is not None:
                (part,) = tmp_path.glob(".tmp-*index.html")
                sizes.append(part.stat().st_size)
            yield scored(f"{number}.mp4", [face(1, np.full(50, 0.5))])

    counted = judged_files([scored("a.mp4", [face(1, [0.5])])] * 300)
    write_page(tmp_path / "index.html", counted, read)
    whole = (tmp_path / "index.html").stat().st_size
    assert len(sizes) == 300 and sizes[150] > 0.4 * whole and sizes[-1] > 0.95 * whole


def test_names_cannot_turn_the_direction_of_the_page(tmp_path):
    page = write(tmp_path, [scored("\u202egpj.4pm\u2066.mp4", [face(1, [0.9])])], data_version="a\u202eb\x1b[31m\nc")
    assert "\u202e" not in page and "\u2066" not in page and "\x1b" not in page
    assert "a\ufffdb\ufffd[31m c" in page
    assert printable("视频 ünï שלום.mp4") == "视频 ünï שלום.mp4"


def test_a_browser_may_load_nothing_and_run_nothing(tmp_path):
    tags = Tags(write(tmp_path, [scored("a.mp4", [face(1, [0.9])])])).tags
    (policy,) = [a["content"] for tag, a in tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script" not in policy


def test_page_images_and_plots_have_one_palette(tmp_path):
    from tfdeepfake.report import figure

    page = write(tmp_path, [scored("a.mp4", [face(1, [0.9])])])
    for name, in_image, in_plot in (
        ("fake", images.COLOURS["FAKE"], figure.FAKE),
        ("real", images.COLOURS["REAL"], figure.REAL),
    ):
        assert f"--{name}: {in_plot};" in page
        assert "#{:02x}{:02x}{:02x}".format(*in_image) == in_plot == palette.LIGHT[name]
    used = set(re.findall(r"var\(--([a-z-]+)\)", page))
    assert used <= {name.replace("_", "-") for name in palette.LIGHT} and palette.LIGHT.keys() == palette.DARK.keys()
