"""What is found in a folder, once and alike for all verbs, and what is left out."""

import os
import shutil

import pytest
from support.media import make_sound, make_video, moving_frames

from tfdeepfake.data.video.formats import MEDIA_SUFFIXES, sniff
from tfdeepfake.data.video.walk import lines, walk
from tfdeepfake.data.video.write import write_image

FRAMES = moving_frames(6)


def names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("media") / "a.mp4", FRAMES)


def test_every_suffix_and_what_has_none(tmp_path, clip):
    wanted = sorted([f"a{suffix}" for suffix in MEDIA_SUFFIXES] + ["B.MP4", "download", "clip.part", "image.orig"])
    for name in wanted:
        (tmp_path / name).touch()
    shutil.copy(clip, tmp_path / "download")
    shutil.copy(clip, tmp_path / "clip.part")
    write_image(tmp_path / "x.png", FRAMES[0])
    (tmp_path / "x.png").rename(tmp_path / "image.orig")
    others = ["labels.csv", "notes", "README", "song.mp3"]
    for name in others:
        (tmp_path / name).write_text("text")
    content = walk(tmp_path)
    assert names(content.media, tmp_path) == sorted(wanted) and names(content.others, tmp_path) == sorted(others)


def test_a_file_named_as_sound_may_hold_a_video(tmp_path, clip):
    for suffix in (".m4a", ".mka"):
        make_sound(tmp_path / f"song{suffix}")
        shutil.copy(clip, tmp_path / f"clip{suffix}")
    (tmp_path / "a.wma").touch()
    content = walk(tmp_path)
    assert names(content.media, tmp_path) == ["clip.m4a", "clip.mka"]
    assert names(content.others, tmp_path) == ["a.wma", "song.m4a", "song.mka"]


def test_links_are_followed_once(tmp_path, clip):
    for name in ("set/a", "elsewhere/deep"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("set/a/1.mp4", "elsewhere/2.mp4", "elsewhere/deep/3.mp4"):
        shutil.copy(clip, tmp_path / name)
    (tmp_path / "set" / "0 link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set" / "a")
    (tmp_path / "set" / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "set" / "z").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "one.mp4").symlink_to(clip)
    content = walk(tmp_path / "set")
    assert names(content.media, tmp_path / "set") == ["0 link/2.mp4", "0 link/deep/3.mp4", "a/1.mp4", "one.mp4"]
    told = lines(content)
    assert [path.name for path, _ in content.left_out] == ["loop", "again", "z"]
    assert "loop leads to" in told[0] and "which is around the folder that is read; it is left out" in told[0]
    assert told[1].endswith(f"again is {tmp_path / 'set' / 'a'}, which is read already; it is left out.")


def test_links_to_themselves_and_folders_of_systems(tmp_path, clip):
    shutil.copy(clip, tmp_path / "a.mp4")
    for link in ("self", "self.mp4", "chain.mp4"):
        (tmp_path / link).symlink_to("self.mp4" if link == "chain.mp4" else link)
    for folder in ("__MACOSX", "@eaDir"):
        (tmp_path / folder).mkdir()
        shutil.copy(clip, tmp_path / folder / "a.mp4")
    content = walk(tmp_path)
    # A link with the name of a video that leads nowhere is one that cannot be read.
    assert [path.name for path in content.media] == ["a.mp4", "chain.mp4", "self.mp4"]
    assert [path.name for path in content.others] == ["@eaDir", "__MACOSX", "self"]


def test_a_folder_that_links_to_itself(tmp_path, clip):
    shutil.copy(clip, tmp_path / "a.mp4")
    (tmp_path / "self").symlink_to(tmp_path)
    content = walk(tmp_path)
    assert names(content.media, tmp_path) == ["a.mp4"] and [path.name for path, _ in content.left_out] == ["self"]


def test_folders_of_frames_are_one_video_each(tmp_path):
    for name in ("real/001", "real/002", "people"):
        (tmp_path / name).mkdir(parents=True)
    for n in (1, 2, 10):
        for name in ("real/001", "real/002"):
            write_image(tmp_path / name / f"frame{n}.png", FRAMES[0])
        write_image(tmp_path / "people" / f"{'abcdefghijk'[n]}.png", FRAMES[0])
    content = walk(tmp_path)
    assert names(content.media, tmp_path) == ["people/b.png", "people/c.png", "people/k.png", "real/001", "real/002"]
    assert names(content.frame_folders, tmp_path) == ["real/001", "real/002"]
    (line,) = lines(content)
    assert line == "2 folders of numbered images are videos of 25 frames/s (--frame-rate says otherwise): 001, 002."
    assert lines(walk(tmp_path / "real" / "001"), 12.5) == [
        "1 folder of numbered images is a video of 12.5 frames/s: 001."
    ]
    assert len(walk(tmp_path / "real" / "001", as_video=False).media) == 3


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    content = walk(tmp_path)
    assert names(content.media, tmp_path) == ["gone.mp4"]
    assert names(content.others, tmp_path) == ["gone", "pipe", "pipe.mp4"]


def test_hidden_and_skipped(tmp_path, clip):
    for name in (".cache", "out"):
        (tmp_path / name).mkdir()
        shutil.copy(clip, tmp_path / name / "a.mp4")
    shutil.copy(clip, tmp_path / "._a.mp4")
    shutil.copy(clip, tmp_path / "a.mp4")
    content = walk(tmp_path, skip=[tmp_path / "out"])
    assert names(content.media, tmp_path) == ["a.mp4"] and names(content.others, tmp_path) == ["._a.mp4", ".cache"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path, clip, monkeypatch):
    (tmp_path / "closed").mkdir()
    shutil.copy(clip, tmp_path / "a.mp4")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    content = walk(tmp_path)
    assert names(content.media, tmp_path) == ["a.mp4"]
    assert content.unreadable == [(tmp_path / "closed", "cannot be opened (Permission denied).")]


@pytest.mark.parametrize(
    "codec, kind", [(b"\x80theora", "video"), (b"\x01vorbis", ""), (b"OpusHead", ""), (b"\x7fFLAC", "")]
)
def test_ogg_files_are_videos_where_they_hold_one(tmp_path, codec, kind):
    for name in ("a.ogg", "b", "c.ogx"):
        (tmp_path / name).write_bytes(b"OggS" + bytes(24) + codec + bytes(60))
        assert sniff(tmp_path / name) == kind
