"""Writes H.264 whose two fields are pictures of their own (PAFF), which the usual encoders cannot."""

from fractions import Fraction

import av
import numpy as np

GROUP = 10


class _Bits:
    def __init__(self):
        self.bits = []

    def u(self, count, number):
        self.bits += [number >> place & 1 for place in range(count - 1, -1, -1)]

    def ue(self, number):
        self.u(2 * (number + 1).bit_length() - 1, number + 1)

    def align(self, bit=0):
        self.bits += [bit] * (-len(self.bits) % 8)

    def bytes(self):
        return np.packbits(np.array(self.bits, np.uint8)).tobytes()


def _nal(kind, payload):
    out, zeros = bytearray([kind]), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = 0 if byte else zeros + 1
    return b"\0\0\0\1" + bytes(out)


def _headers(width, height):
    sps = _Bits()
    for count, number in ((8, 77), (8, 0), (8, 30)):
        sps.u(count, number)
    for number in (0, 0, 0, 4, 1):  # id, 4 bits of frame number, order type 0 of 8 bits, one reference
        sps.ue(number)
    sps.u(1, 0)
    sps.ue(width // 16 - 1)
    sps.ue(height // 32 - 1)
    for flag in (0, 0, 1, 0, 1):  # not only frames, no MBAFF, direct 8x8, no cropping, VUI
        sps.u(1, flag)
    for flag in (0, 0, 0, 0, 1):
        sps.u(1, flag)
    sps.u(32, 1)
    sps.u(32, 50)
    for flag in (1, 0, 0, 0, 0):
        sps.u(1, flag)
    pps = _Bits()
    for number in (0, 0):
        pps.ue(number)
    pps.u(2, 0)
    for number in (0, 0, 0):
        pps.ue(number)
    pps.u(3, 0)
    for _ in range(3):
        pps.ue(0)
    pps.u(3, 0b100)  # deblocking is told in slices
    for bits in (sps, pps):
        bits.u(1, 1)
        bits.align()
    return _nal(0x67, sps.bytes()) + _nal(0x68, pps.bytes())


def _slice(planes, number, bottom, fields):
    """A picture of samples as they are: one of two fields where `fields`, else a whole frame."""
    is_idr = number % GROUP == 0 and not bottom
    bits = _Bits()
    for value in (0, 7, 0):
        bits.ue(value)
    bits.u(4, number % GROUP)
    bits.u(1, int(fields))
    if fields:
        bits.u(1, int(bottom))
    if is_idr:
        bits.ue(number // GROUP % 2)
    bits.u(8, 2 * (number % GROUP) + bottom)
    bits.u(2 if is_idr else 1, 0)
    bits.ue(0)
    bits.ue(1)
    y, u, v = planes
    for row in range(0, y.shape[0], 16):
        for column in range(0, y.shape[1], 16):
            bits.ue(25)
            bits.align()
            block = [y[row : row + 16, column : column + 16]]
            block += [c[row // 2 : row // 2 + 8, column // 2 : column // 2 + 8] for c in (u, v)]
            bits.bits += np.unpackbits(np.concatenate([b.ravel() for b in block])).tolist()
    bits.u(1, 1)
    bits.align()
    return _nal(0x65 if is_idr else 0x41, bits.bytes())


def write_paff(path, frames, whole=()):
    """Writes frames, uint8 [T, H, W, 3] of multiples of 32 px, as two fields each, the top one first.

    Args:
      path: of any container of H.264; a raw stream with .h264.
      whole: numbers of frames that are one picture, as encoders choose from frame to frame.
    """
    height, width = frames[0].shape[:2]
    units = []
    for number, frame in enumerate(frames):
        image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(format="yuv420p")
        planes = image.to_ndarray()
        y = planes[:height]
        u, v = (
            planes[height + n * height // 4 : height + (n + 1) * height // 4].reshape(height // 2, width // 2)
            for n in (0, 1)
        )
        data = _headers(width, height) if number % GROUP == 0 else b""
        if number in whole:
            data += _slice((y, u, v), number, False, False)
        else:
            for bottom in (0, 1):
                data += _slice([plane[bottom::2] for plane in (y, u, v)], number, bottom, True)
        units.append(data)
    if path.suffix in (".h264", ".264"):
        path.write_bytes(b"".join(units))
        return path
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.extradata = _headers(width, height)
        for number, data in enumerate(units):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 25), number % GROUP == 0
            packet.pts = packet.dts = number
            packet.duration = 1
            container.mux(packet)
    return path
