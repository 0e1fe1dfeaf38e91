"""Builders of published sets: options as text, what is left out, and errors that name files."""

import importlib
import inspect
import types
from pathlib import Path

import pytest

from tfdeepfake.cli.main import main
from tfdeepfake.errors import InputError
from tfds_builders.core.manual import (
    Listing,
    find_file,
    hold_out,
    left_out_lines,
    listing_of,
    media_below,
    media_in,
    read_text,
)
from tfds_builders.core.testing import write_file
from tfds_builders.prepare import BUILDERS, _like

OWN = ("synthetic_faces", "video_folder", "self_blended")


@pytest.mark.parametrize("name", [name for name in BUILDERS if name not in OWN])
def test_a_published_set_names_its_own_page_and_not_one_of_tfds(name, tmp_path):
    builder = importlib.import_module(BUILDERS[name]).Builder
    page = builder(data_dir=tmp_path).info.homepage
    assert "tensorflow.org" not in page
    assert page in (Path(inspect.getfile(builder)).parent / "README.md").read_text()


def test_options_as_text():
    assert _like(("a",), "methods", "b,c") == ("b", "c") and _like((), "methods", "b") == ("b",)
    assert _like((1, 2), "identities", "3,4,5") == (3, 4, 5) and _like(("a",), "methods", ["b"]) == ["b"]
    assert _like("c23", "compression", "c40") == "c40" and _like(8, "seed", "12") == 12
    assert _like(False, "drop", "True") is True and _like(True, "drop", "false") is False
    for default, text in ((8, "x"), (False, "yes"), ((1,), "1,x")):
        with pytest.raises(InputError, match="option: needs a value like"):
            _like(default, "option", text)


@pytest.mark.parametrize("option", ["compression", "margin_frac=0.1"])
def test_options_on_the_command_line(option, tmp_path, capsys):
    arguments = ["prepare", "face_forensics", "--dir", str(tmp_path), "--option", option]
    assert main([*arguments, "--margin-frac", "0.2"]) == 2
    assert "NAME=VALUE" in capsys.readouterr().err


def test_hold_out():
    names = {f"person{n}" for n in range(200)}
    held = hold_out(names)
    assert len(held) == 20 and held < names and held == hold_out(sorted(names))
    assert hold_out(set()) == hold_out({"a", "b"}) == set()


def test_what_is_left_out_is_said():
    listing = Listing()
    listing.exclude("crossing")
    assert not listing.left_out
    metadata = {"notes": ["A note."], "left_out": {"crossing": {"videos": 12, "names": ["a", "b", "c", "d"]}}}
    assert left_out_lines(metadata) == ["A note.", "12 videos left out, crossing: a, b, c, ..."]
    assert left_out_lines({}) == []
    one = {"left_out": {"crossing": {"videos": 1, "names": ["a"]}}}
    assert left_out_lines(one) == ["1 video left out, crossing: a"]


def test_a_folder_without_usable_videos(tmp_path):
    builder = types.SimpleNamespace(
        name="set",
        MANUAL_DOWNLOAD_INSTRUCTIONS="Get it.",
        OPTIONS={"part": 1},
        builder_config=types.SimpleNamespace(options={"part": 2}),
        LIST=lambda folder, part: Listing(left_out={f"crossing {part}": ["a", "b"]}),
    )
    with pytest.raises(InputError, match=r"no video of set that can be used \(2 are crossing 2\).*Get it"):
        listing_of(builder, tmp_path)
    with pytest.raises(InputError, match="missing.*Get it"):
        listing_of(builder, tmp_path / "other")


def test_files_and_folders(tmp_path):
    for name in ("b.mp4", "a.mp4", ".hidden.mp4", "notes.txt", "in/c.mov", ".in/d.mp4"):
        write_file(tmp_path, name, "")
    assert [p.name for p in media_in(tmp_path, "Get it.")] == ["a.mp4", "b.mp4"]
    assert [p.name for p in media_below(tmp_path)] == ["a.mp4", "b.mp4", "c.mov"]
    assert find_file(tmp_path, ("x.txt", "notes.txt"), "Get it.") == tmp_path / "notes.txt"
    with pytest.raises(InputError, match=r"x\.txt: this list is missing.*Get it"):
        find_file(tmp_path, ("x.txt",), "Get it.", beside=("in", "other"))
    with pytest.raises(InputError, match=r"nothing of the data set \(none of x\.txt, other/\).*Get it"):
        find_file(tmp_path, ("x.txt",), "Get it.", beside=("other",))
    write_file(tmp_path, "list.txt", b"\xef\xbb\xbfa\xc3\xa9")
    assert read_text(tmp_path / "list.txt") == "aé"
    write_file(tmp_path, "list.txt", b"\xff\xfe")
    with pytest.raises(InputError, match="list.txt.*not UTF-8"):
        read_text(tmp_path / "list.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty.*no videos.*Get it"):
        media_in(tmp_path / "empty", "Get it.")
