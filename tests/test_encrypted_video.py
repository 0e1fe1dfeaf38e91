"""Encrypted files are called so, and not damaged: downloading them again would not help."""

import av
import numpy as np
import pytest
from support.media import make_video, moving_frames

from tfdeepfake.data import video
from tfdeepfake.data.video.encrypted import encryption

KEY = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb"}
KEY["encryption_kid"] = "a7e61c373e219033c21091fa607bf3b8"
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


def refused(path, problem):
    for read in (video.probe, lambda path: video.read_frames(path, [0]), lambda path: next(video.iter_chunks(path))):
        with pytest.raises(video.VideoError, match=f"is encrypted with {problem}.*without its key"):
            read(path)


def scrambled(path, target, old=b"", new=b""):
    """Writes a copy whose frames are noise, with a four-letter code of the index exchanged."""
    data = bytearray(path.read_bytes().replace(old, new) if old else path.read_bytes())
    rng = np.random.default_rng(0)
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size and packet.pos is not None:
                data[packet.pos + 4 : packet.pos + packet.size] = rng.bytes(packet.size - 4)
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("suffix", ["mp4", "mov", "m4v"])
@pytest.mark.parametrize("options", [{}, FRAGMENTS, {"movflags": "faststart"}])
def test_common_encryption(tmp_path, suffix, options):
    path = make_video(tmp_path / f"a.{suffix}", moving_frames(20), g=5, container_options=KEY | options)
    refused(path, r"Common Encryption( \(cenc\))?")


def test_encrypted_after_a_clear_beginning(tmp_path):
    # Streaming services leave the first seconds open, as a fragment of its own.
    clear = make_video(tmp_path / "a.mp4", moving_frames(20), g=5, container_options=FRAGMENTS)
    closed = make_video(tmp_path / "b.mp4", moving_frames(20), g=5, container_options=KEY | FRAGMENTS)
    data = clear.read_bytes()
    rest = closed.read_bytes()
    path = tmp_path / "c.mp4"
    path.write_bytes(
        rest[: rest.index(b"moof") - 4] + data[data.index(b"moof") - 4 :] + rest[rest.index(b"moof") - 4 :]
    )
    refused(path, "Common Encryption")


@pytest.mark.parametrize("entry, name", [(b"drmi", "Apple FairPlay"), (b"encv", "Common Encryption")])
def test_protected_sample_entries(tmp_path, entry, name):
    path = make_video(tmp_path / "a.m4v", moving_frames(10))
    refused(scrambled(path, tmp_path / "b.m4v", b"avc1\0\0\0\0\0\0", entry + b"\0\0\0\0\0\0"), name)


def test_scrambled_broadcast(tmp_path):
    data = bytearray(make_video(tmp_path / "a.ts", moving_frames(20, 192, 256)).read_bytes())
    rng = np.random.default_rng(0)
    for at in range(0, len(data), 188):
        if int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF == 256:  # the video
            data[at + 3] |= 0x80
            start = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
            data[start : at + 188] = rng.bytes(at + 188 - start)
    (tmp_path / "b.ts").write_bytes(data)
    refused(tmp_path / "b.ts", "the scrambling of a broadcast")


def test_encrypted_webm(tmp_path):
    path = scrambled(make_video(tmp_path / "a.webm", moving_frames(10), codec="libvpx-vp9"), tmp_path / "b.webm")
    # ContentEncodings { ContentEncoding { ContentEncodingType 1, ContentEncryption { AES } } } in the place of what
    # the muxer wrote about itself.
    inner = bytes.fromhex("6d80 8e 6240 8b 5033 81 01 5035 84 47e1 81 05")
    data = path.read_bytes()
    at = data.index(b"\xae", data.index(b"\x16\x54\xae\x6b") + 4)
    size = int.from_bytes(data[at + 1 : at + 9], "big") & (2**56 - 1) if data[at + 1] == 1 else data[at + 1] & 127
    assert size > len(inner)
    (tmp_path / "c.webm").write_bytes(data[: at + 9] + inner + data[at + 9 + len(inner) :])
    assert encryption(tmp_path / "c.webm") == "the encryption of Matroska and WebM"
    assert encryption(path) is None


def test_windows_media_and_digital_cinema(tmp_path):
    path = make_video(tmp_path / "a.wmv", moving_frames(10), codec="wmv2")
    assert encryption(path) is None
    guid = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e")
    (tmp_path / "b.wmv").write_bytes(path.read_bytes()[:30] + guid + path.read_bytes()[30:])
    assert encryption(tmp_path / "b.wmv") == "Windows Media DRM"
    refused(tmp_path / "b.wmv", "Windows Media DRM")


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "mpg", "avi", "flv", "mxf"])
def test_damaged_files_are_not_called_encrypted(tmp_path, suffix):
    codec = {"codec": "mpeg2video"} if suffix in ("mpg", "mxf") else {}
    path = make_video(tmp_path / f"a.{suffix}", moving_frames(10), **codec)
    assert encryption(path) is None
    if suffix in ("mp4", "mkv"):
        with pytest.raises(video.VideoError, match="no frame that can be decoded"):
            video.probe(scrambled(path, tmp_path / f"b.{suffix}"))


def test_scrambled_dvd(tmp_path):
    data = bytearray(make_video(tmp_path / "a.vob", moving_frames(20, 192, 256), codec="mpeg2video").read_bytes())
    at = data.find(b"\0\0\1\xe0")
    while at >= 0:
        data[at + 6] |= 0x10
        size = int.from_bytes(data[at + 4 : at + 6], "big")
        start = at + 9 + data[at + 8]
        data[start : at + 6 + size] = np.random.default_rng(at).bytes(at + 6 + size - start)
        at = data.find(b"\0\0\1\xe0", at + 6 + size)
    (tmp_path / "b.vob").write_bytes(data)
    refused(tmp_path / "b.vob", "the scrambling of DVDs")


def test_a_box_of_absurd_length(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x08ftyp" + b"\0\0\0\x01free" + b"\xff" * 8 + bytes(100))
    assert encryption(tmp_path / "a.mp4") is None
    with pytest.raises(video.VideoError):
        video.probe(tmp_path / "a.mp4")
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x01free" + b"\xff" * 8
    (tmp_path / "a.heic").write_bytes(head + bytes(100))
    with pytest.raises(video.VideoError, match="damaged"):
        video.probe(tmp_path / "a.heic")
