"""Files that cannot be read end in an error that names the file, what is wrong and what to do."""

import os

import av
import numpy as np
import pytest
from PIL import Image
from support.media import cut, flip_bits, frame_number, make_sound, make_video, moving_frames

from tfdeepfake.data import video
from tfdeepfake.data.video import check, packets
from tfdeepfake.errors import InputError


def refused(path, problem, **options):
    """The error of a file that cannot be read, which every way of reading it must raise."""
    with pytest.raises(video.VideoError, match=problem) as probed:
        video.probe(path, **options)
    with pytest.raises(video.VideoError, match=problem):
        video.read_frames(path, [0], **options)
    with pytest.raises(video.VideoError, match=problem):
        next(video.iter_chunks(path, **options))
    error = probed.value
    assert isinstance(error, InputError) and error.subject == str(path) and error.problem and error.remedy
    return error


def test_missing_file(tmp_path):
    refused(tmp_path / "nothing here.mp4", "does not exist")


def test_a_folder(tmp_path):
    refused(tmp_path, "is a folder")


def test_an_empty_file(tmp_path):
    (tmp_path / "a.mp4").touch()
    refused(tmp_path / "a.mp4", "is empty")


def test_pipes_and_devices_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    for path in (tmp_path / "a.mp4", "/dev/zero"):
        with pytest.raises(video.VideoError, match="is a pipe or a device"):
            video.probe(path)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission(tmp_path):
    path = make_video(tmp_path / "a.mp4", moving_frames(2))
    path.chmod(0)
    refused(path, "cannot be opened .Permission denied")


def test_an_error_of_the_file_system(tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", moving_frames(2))

    def no_permission(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(check, "open", no_permission, raising=False)
    refused(path, "cannot be opened .Permission denied")


@pytest.mark.parametrize(
    "content, problem",
    [
        ("This is not a video.\n" * 50, "holds text"),
        ("<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git-lfs pointer"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{other}\n#EXT-X-ENDLIST\n", "is a playlist"),
        ("ffconcat version 1.0\nfile '{other}'\n", "holds text"),
    ],
)
def test_text_named_as_video(tmp_path, content, problem):
    # A playlist that was followed would read any file of this machine.
    other = make_video(tmp_path / "other.ts", moving_frames(3))
    path = tmp_path / "a.mp4"
    path.write_text(content.format(other=other))
    refused(path, problem)


@pytest.mark.parametrize("name, problem", [("JPEG2000", "is a JPEG 2000 image"), ("PPM", "is a PPM image")])
def test_images_that_are_not_read_are_named(tmp_path, name, problem):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    for suffix in ("jpg", "mp4", "bin"):
        image.save(tmp_path / f"a.{suffix}", name)
        refused(tmp_path / f"a.{suffix}", problem)


def test_a_piece_of_a_streamed_video(tmp_path):
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    data = make_video(tmp_path / "a.mp4", moving_frames(30), g=10, container_options=flags).read_bytes()
    assert video.probe(tmp_path / "a.mp4").frame_count == 30
    (tmp_path / "piece.m4s").write_bytes(data[data.index(b"moof") - 4 :])
    refused(tmp_path / "piece.m4s", "is one piece of a streamed video")


def test_random_bytes(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(np.random.default_rng(0).integers(0, 256, 20000, np.uint8).tobytes())
    refused(path, "no video that can be read|no frame that can be decoded")


def test_sound_only(tmp_path):
    refused(make_sound(tmp_path / "a.m4a"), "only sound")


def test_sound_with_a_cover_image(tmp_path):
    sound = make_sound(tmp_path / "a.m4a")
    make_video(tmp_path / "cover.mjpeg", moving_frames(1), codec="mjpeg", pix_fmt="yuvj420p")
    with av.open(str(sound)) as given, av.open(str(tmp_path / "b.mp4"), "w") as container:
        tone = container.add_stream_from_template(given.streams.audio[0])
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 128, 96, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(moving_frames(1)[0], format="rgb24")))
        container.mux(cover.encode(None))
        for packet in given.demux(given.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = tone
                container.mux(packet)
    refused(tmp_path / "b.mp4", "only sound")


def test_video_beside_sound(tmp_path):
    path = make_video(tmp_path / "a.mp4", moving_frames(20), sound=True)
    assert video.probe(path).frame_count == 20
    assert frame_number(video.read_frames(path, [11]).frames[0]) == 11


def test_cut_before_the_index(tmp_path):
    whole = make_video(tmp_path / "a.mp4", moving_frames(30))
    refused(cut(whole, tmp_path / "b.mp4", 0.6), "was cut off.*moov")


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_cut_inside_the_index(tmp_path, suffix):
    path = make_video(tmp_path / f"a.{suffix}", moving_frames(30))
    data = path.read_bytes()
    for lost in (100, 150, 300, 700, len(data) - data.index(b"moov") - 8):
        path.write_bytes(data[:-lost])
        with pytest.raises(video.VideoError, match=r"was cut off.*moov"):
            video.probe(path)


@pytest.mark.parametrize("suffix", ["mp3", "flac", "wav", "aac", "ogg"])
def test_files_of_sound_are_said_to_be_that(tmp_path, suffix):
    codec = {"mp3": "libmp3lame", "wav": "pcm_s16le", "ogg": "libopus"}.get(suffix, suffix)
    with av.open(str(tmp_path / f"a.{suffix}"), "w") as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        resampler = av.AudioResampler(stream.format.name, "mono", 48000, stream.codec_context.frame_size or 1024)
        for part in [*resampler.resample(frame), None]:
            container.mux(stream.encode(part))
    with pytest.raises(video.VideoError, match="holds only sound"):
        video.probe(tmp_path / f"a.{suffix}")


def test_cut_inside_the_frames(tmp_path):
    whole = make_video(tmp_path / "a.mp4", moving_frames(50), container_options={"movflags": "faststart"}, g=10, bf=2)
    most = cut(whole, tmp_path / "most.mp4", 0.8)
    info = video.probe(most)
    assert 25 < info.frame_count < 50 == info.frame_count + info.missing
    got = video.read_frames(most, np.arange(info.frame_count))
    assert (got.missing, got.damaged) == (0, 0)
    np.testing.assert_array_equal(got.frames[:25], video.read_frames(whole, np.arange(25)).frames)
    refused(cut(whole, tmp_path / "little.mp4", 0.4), r"was cut off: \d+ of 50 frames are there")


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi"])
def test_cut_in_containers_that_announce_nothing(tmp_path, suffix):
    whole = make_video(tmp_path / f"a.{suffix}", moving_frames(50), g=10)
    short = cut(whole, tmp_path / f"b.{suffix}", 0.7)
    count = video.probe(short).frame_count
    assert 20 < count < 50
    got = video.read_frames(short, np.arange(count))
    assert got.missing == 0 and [frame_number(frame) for frame in got.frames[:20]] == list(range(20))


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "libvpx-vp9"])
@pytest.mark.parametrize("flips", [1, 8, 60])
def test_flipped_bits_are_counted(tmp_path, codec, flips):
    options = {"x265_params": "log-level=none:keyint=10"} if codec == "libx265" else {"g": 10}
    path = make_video(tmp_path / "a.mp4", moving_frames(60, 192, 256), codec=codec, **options)
    whole = video.read_frames(path, np.arange(60)).frames
    bad = flip_bits(path, tmp_path / "b.mp4", flips, seed=flips)
    try:
        info = video.probe(bad)
        got = video.read_frames(bad, np.arange(info.frame_count))
    except video.VideoError:
        return  # more than half of it is lost
    assert len(got) + got.missing == info.frame_count
    assert info.frame_count == 60 or info.missing
    if flips == 1:
        # An image that is wrong but can be decoded spoils at most its group, B-frames before it included.
        smeared = (got.frames != whole[got.indices]).any(axis=(1, 2, 3)).sum()
        assert smeared <= got.damaged + 14


def packet_places(path):
    """[(position, bytes)] of the packets of an .mp4 file."""
    with av.open(str(path)) as container:
        return [(entry.pos, entry.size) for entry in container.streams.video[0].index_entries]


def test_frames_after_a_lost_one_are_called_damaged(tmp_path):
    path = make_video(tmp_path / "a.mp4", moving_frames(40, 192, 256), g=20, bf=0, sc_threshold=0)
    place, size = packet_places(path)[25]
    data = bytearray(path.read_bytes())
    data[place + 5 : place + size] = b"\xff" * (size - 5)
    (tmp_path / "b.mp4").write_bytes(data)
    got = video.read_frames(tmp_path / "b.mp4", np.arange(40))
    assert got.missing == 1 and 25 not in got.indices
    assert 14 <= got.damaged <= 14 + packets.THREADS  # 26 to 39; with threads the error shows a little late
    assert video.read_frames(tmp_path / "b.mp4", [3, 12, 19]).damaged == 0
    chunk = next(video.iter_chunks(tmp_path / "b.mp4"))
    assert (len(chunk), chunk.missing, chunk.damaged) == (39, 1, got.damaged)


def test_all_frames_overwritten(tmp_path):
    path = make_video(tmp_path / "a.mp4", moving_frames(20, 192, 256))
    data = bytearray(path.read_bytes())
    for place, size in packet_places(path):
        data[place : place + size] = bytes(size)
    (tmp_path / "b.mp4").write_bytes(data)
    refused(tmp_path / "b.mp4", "no frame that can be decoded")


def test_all_frames_at_one_time(tmp_path):
    # Equal times cannot tell frames apart; they are then counted.
    path = make_video(tmp_path / "a.mkv", moving_frames(10), bf=0)
    with av.open(str(path)) as given, av.open(str(tmp_path / "b.mkv"), "w") as container:
        out = container.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                packet.stream, packet.pts, packet.dts = out, 0, 0
                container.mux(packet)
    info = video.probe(tmp_path / "b.mkv")
    assert info.frame_count == 10 and info.duration_s > 0
    assert [frame_number(frame) for frame in video.read_frames(tmp_path / "b.mkv", [2, 9]).frames] == [2, 9]


@pytest.mark.parametrize("suffix", ["gif", "avi"])
def test_a_header_that_claims_a_huge_image(tmp_path, suffix):
    codec, pix_fmt = ("gif", "rgb8") if suffix == "gif" else ("mjpeg", "yuvj420p")
    path = make_video(tmp_path / f"a.{suffix}", moving_frames(1), codec=codec, pix_fmt=pix_fmt)
    data = bytearray(path.read_bytes())
    if suffix == "gif":
        data[6:10] = b"\xff\xff\xff\xff"
    else:
        at = data.index(b"\xff\xc0")  # the size that the image claims
        data[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"
        at = data.index(b"strf") + 12  # and that of the container
        data[at : at + 8] = (65500).to_bytes(4, "little") * 2
    path.write_bytes(data)
    refused(path, "claims frames of|no frame that can be decoded|no video that can be read")


def test_too_many_pixels(tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", moving_frames(2))
    monkeypatch.setattr(check, "MAX_PIXELS", 128 * 96 - 1)
    assert "128 x 96 px" in str(refused(path, "claims frames of 128 x 96 px; at most 12287"))


def test_too_many_packets(tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", moving_frames(5))
    monkeypatch.setattr(packets, "MAX_PACKETS", 4)
    refused(path, "more than 4 frames")
    monkeypatch.setattr(packets, "MAX_PACKETS", 5)
    assert video.probe(path).frame_count == 5


def test_time_limit(tmp_path):
    path = make_video(tmp_path / "a.mp4", moving_frames(5))
    refused(path, "took longer to read than the limit of 1e-09 s", time_limit_s=1e-9)
    assert len(video.read_frames(path, [0], time_limit_s=60)) == 1
    with pytest.raises(ValueError, match="time_limit_s needs seconds above 0"):
        video.probe(path, time_limit_s=0)


def test_nothing_is_printed(tmp_path, capfd):
    path = make_video(tmp_path / "a.mp4", moving_frames(60, 192, 256), g=10)
    capfd.readouterr()
    for bad in (flip_bits(path, tmp_path / "b.mp4", 20), cut(path, tmp_path / "c.mp4", 0.5)):
        try:
            video.read_frames(bad, [0, 30, 59])
        except video.VideoError:
            pass
    assert capfd.readouterr() == ("", "")
