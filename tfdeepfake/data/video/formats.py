"""Which files are videos or images: by the suffix of the name, and by the first bytes where that says nothing."""

import os
from pathlib import Path

from tfdeepfake.data.video.heif_boxes import is_heif

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .bmp .dib .tif .tiff .heic .heif .hif .heics .avif .avifs".split()
)
VIDEO_SUFFIXES = frozenset(
    (
        ".mp4 .m4v .mov .qt .3gp .3g2 .f4v .mkv .webm .mk3d .avi .divx .flv .wmv .asf .ogv .ogm .mxf .wtv .rm .rmvb "
        ".nut .mpg .mpeg .mpe .m1v .m2v .mpv .mp2v .m2p .vob .ts .mts .m2ts .m2t .trp .tp "
        ".gif .apng .mjpeg .mjpg .dv .h264 .264 .avc .hevc .h265 .265 .y4m .ivf .obu"
    ).split()
)
MEDIA_SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES

# Suffixes of files that lie beside media in people's folders: they are not opened to look what they are.
_OTHER_SUFFIXES = frozenset(
    (
        ".txt .md .csv .tsv .json .jsonl .xml .html .htm .yaml .yml .py .sh .log .pdf .doc .docx .xls .xlsx "
        ".zip .gz .tar .7z .rar .npy .npz .h5 .hdf5 .pt .pth .pkl .tfrecord .srt .vtt .ass .mp3 .wav .aac .flac "
        ".opus .aae .thm .m4a .m4b .mka .weba .wma .oga .ra"
    ).split()
)
# Of these, containers that also videos come in.
SOUND_SUFFIXES = frozenset(".m4a .m4b .mka .weba .wma .oga .ra".split())
_VIDEO_MARKS = (
    (0, b"\x1a\x45\xdf\xa3"),  # Matroska and WebM
    (0, b"FLV\1"),
    (0, b"GIF87a"),
    (0, b"GIF89a"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # ASF and WMV
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01"),  # MXF
    (0, b"\0\0\1\xba"),  # MPEG program stream
    (0, b"\0\0\1\xb3"),  # MPEG video
    (0, b"YUV4MPEG2"),
    (0, b"DKIF\0\0"),  # IVF
    (0, b"\x12\0\x0a"),  # AV1
    (0, b".RMF"),
    (0, b"nut/multimedia container"),
    (0, b"\x1f\x07\0"),  # DV
    (0, b"\xb7\xd8\0\x20\x37\x49\xda\x11"),  # WTV
    (8, b"AVI "),
)
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot")


def is_media(path: str | Path) -> bool:
    """Whether the suffix is that of a video or a still image that can be read here."""
    return Path(path).suffix.lower() in MEDIA_SUFFIXES


def is_animation(path: str | Path) -> bool:
    """Whether a file with the suffix of an image holds an animation, which is read as a video."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES and sniff_content(path) == "video"


def sniff(path: str | Path) -> str:
    """Whether a file is a video or a still image, by its suffix, or by its first bytes where that says nothing.

    For walks through folders: a file without a suffix, or with one that belongs to no kind of file, is opened; it need
    not be whole to be called by its kind.

    Returns:
      "video", "image", or "" for anything else and for what cannot be opened.
    """
    suffix = Path(path).suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return "image"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    if suffix in _OTHER_SUFFIXES or not os.path.isfile(path):
        return ""
    return sniff_content(path)


def sniff_content(path: str | Path) -> str:
    """As `sniff`, whatever the name."""
    from tfdeepfake.data.video.images import is_still

    try:
        with open(path, "rb") as stream:
            head = stream.read(1024)
    except OSError:
        return ""
    if is_still(path):
        # Two letters alone would make texts images.
        return "image" if not head.startswith(b"BM") or head[6:10] == bytes(4) else ""
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or head[8:12] == b"WEBP" or is_heif(head):
        return "video"  # many of them
    if head.startswith(b"OggS"):
        # All streams of an Ogg file begin in its first pages; most such files hold sound alone.
        return "video" if any(mark in head for mark in (b"\x80theora", b"OVP80", b"BBCD\0")) else ""
    if any(head[at : at + len(mark)] == mark for at, mark in _VIDEO_MARKS):
        return "video"
    if head[4:8] in _BOXES and head[4:12] not in (b"ftypM4A ", b"ftypM4B "):
        return "video"
    if _is_transport_stream(head) or _is_raw(head) or _is_multipart(head):
        return "video"
    return ""


def _is_transport_stream(head):
    for size, first in ((188, 0), (192, 4), (204, 0)):
        if len(head) > first + 4 * size and all(head[first + n * size] == 0x47 for n in range(5)):
            return True
    return False


def _is_raw(head):
    """H.264 or HEVC between start codes: it begins with parameter sets or a delimiter."""
    at = 4 if head.startswith(b"\0\0\0\1") else 3 if head.startswith(b"\0\0\1") else 0
    if not at or len(head) < at + 2:
        return False
    h264 = head[at] & 0x9F in (6, 7, 9)
    hevc = head[at] & 0x81 == 0 and head[at] >> 1 in (32, 33, 35, 39) and head[at + 1] == 1
    return h264 or hevc


def _is_multipart(head):
    """JPEG images as a camera's web server sends them."""
    return head.lstrip().startswith(b"--") and b"image/jpeg" in head.lower()
