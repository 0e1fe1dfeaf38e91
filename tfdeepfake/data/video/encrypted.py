"""Whether a media file is encrypted, told from its container: such a file is whole, yet no frame can be decoded."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# How much of a file's beginning is looked at; the index of an MP4 file is looked for wherever it stands.
_HEAD_BYTES = 2**20
_INDEX_BYTES = 2**26

# ASF header objects: content encryption, extended, advanced (Microsoft's ASF specification, 3.14 to 3.16).
_ASF = tuple(
    bytes.fromhex(guid)
    for guid in (
        "fbb31122 23bdd211 b4b700a0 c955fc6e",
        "14e68a29 2226174c b935dae0 7ee9289c",
        "33850543 8169e649 9b74ad12 cb86d58c",
    )
)
_MXF_TRIPLET = bytes.fromhex("060e2b34 02040107 0d010301 027e0100")  # SMPTE ST 429-6, of digital cinema


def encryption(path: str | Path) -> str | None:
    """Names what a file is encrypted with, e.g. "Common Encryption (cenc)"; None when it does not say so."""
    with open(path, "rb") as stream:
        head = stream.read(_HEAD_BYTES)
        if head[4:8] in (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"wide", b"skip"):
            return _of_mp4(stream)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        # ContentEncryption inside of ContentEncoding, before the first cluster.
        tracks = head.split(b"\x1f\x43\xb6\x75")[0]
        return "the encryption of Matroska and WebM" if re.search(rb"\x62\x40.{0,64}?\x50\x35", tracks, re.S) else None
    if any(guid in head for guid in _ASF):
        return "Windows Media DRM"
    if _MXF_TRIPLET in head:
        return "the encryption of digital cinema"
    return _of_transport_stream(head) or _of_program_stream(head)


def _of_mp4(stream):
    for kind, start, size in top_boxes(stream):
        if kind != b"moov":
            continue
        stream.seek(start)
        moov = stream.read(min(size, _INDEX_BYTES))
        for at in (match.start() for match in re.finditer(b"stsd", moov)):
            entry = moov[at + 16 : at + 20]
            if entry == b"drmi":
                return "Apple FairPlay"
            if entry == b"encv":
                scheme = moov.find(b"schm", at)
                name = moov[scheme + 8 : scheme + 12] if scheme > 0 else b""
                if name == b"itun":
                    return "Apple FairPlay"
                return f"Common Encryption ({name.decode()})" if name.isalnum() else "Common Encryption"
        if b"pssh" in moov:
            return "Common Encryption"
    return None


def top_boxes(stream: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yields (kind, start of the body, its length) of the boxes of an MP4 file, not of those inside them; the last may
    claim to end behind the file."""
    end, at = stream.seek(0, 2), 0
    for _ in range(10_000):
        stream.seek(at)
        header = stream.read(16)
        if len(header) < 8:
            return
        size, kind, skip = int.from_bytes(header[:4], "big"), header[4:8], 8
        if size == 1:
            size, skip = int.from_bytes(header[8:16], "big"), 16
        size = size or end - at
        if size < skip:
            return
        yield kind, at + skip, size - skip
        at += size
        if at >= end:
            return


def _of_transport_stream(head):
    """DVB and ATSC scramble the payload and leave the headers of the packets (ISO 13818-1, 2.4.3.3)."""
    for size, first in ((188, 0), (192, 4), (204, 0)):
        starts = range(first, len(head) - 3, size)
        if len(starts) < 5 or any(head[at] != 0x47 for at in starts[:200]):
            continue
        if b"zavc" in head:  # the registration of encrypted H.264 (Apple, MPEG-2 Stream Encryption Format for HLS)
            return "SAMPLE-AES"
        scrambled = sum(head[at + 3] >> 6 >= 2 for at in starts)
        return "the scrambling of a broadcast (conditional access)" if 2 * scrambled > len(starts) else None
    return None


def _of_program_stream(head):
    """DVDs scramble the payload of video packets and say so in their headers (ISO 13818-1, 2.4.3.7)."""
    if not head.startswith(b"\0\0\1\xba"):
        return None
    flags = [head[match.start() + 6] for match in re.finditer(rb"\x00\x00\x01[\xe0-\xef]..", head[:-8], re.S)]
    flags = [flag for flag in flags if flag >> 6 == 2]
    scrambled = sum(flag >> 4 & 3 != 0 for flag in flags)
    return "the scrambling of DVDs (CSS)" if flags and 4 * scrambled > len(flags) else None
