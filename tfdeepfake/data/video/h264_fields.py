"""Which packets of raw H.264 hold the second field of a frame, by their headers (ITU-T H.264, 7.3.2.1.1 and 7.3.3)."""

from typing import TYPE_CHECKING

from tfdeepfake.data.video import headers

if TYPE_CHECKING:
    import av

_SPS, _IDR, _SLICES = 7, 5, (1, 5)
_HEAD_BYTES = 1024  # more than parameters with all their lists, or the head of a slice, take
# Profiles whose sequence parameter sets tell of colour sampling and scaling.
_HIGH = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)


class _Bits:
    """Bits of a unit, read one after another; IndexError behind their end."""

    def __init__(self, unit):
        data = unit[1:].replace(b"\0\0\3", b"\0\0")
        self._bits, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def u(self, count):
        self._left -= count
        if self._left < 0:
            raise IndexError
        return self._bits >> self._left & ((1 << count) - 1)

    def ue(self):
        zeros = 0
        while not self.u(1):
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self):
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


class FieldPairs:
    """Told of the packets of a stream one after another, it says which of them is the second field of a frame."""

    def __init__(self):
        self._number_bits = None  # of frame numbers; None where frames cannot be fields
        self._planes, self._first = False, None

    def is_second(self, packet: "av.Packet") -> bool:
        """Whether a packet, the next one, has the field that belongs to the one before; False where nothing says so."""
        try:
            first, self._first = self._first, None
            for kind, unit in headers.nal_units("h264", bytes(memoryview(packet)[: headers.HEADER_BYTES]), 0):
                if kind == _SPS:
                    self._read_parameters(unit)
                elif kind in _SLICES and self._number_bits:
                    field = self._field(unit)
                    if first and field and first[0] == field[0] and first[1] != field[1] and kind != _IDR:
                        return True
                    self._first = field
        except IndexError:
            pass
        return False

    def _read_parameters(self, unit):
        bits = _Bits(unit[:_HEAD_BYTES])
        profile = bits.u(24) >> 16
        bits.ue()
        self._planes = False
        if profile in _HIGH:
            lists = 8
            if bits.ue() == 3:
                self._planes, lists = bool(bits.u(1)), 12
            bits.ue(), bits.ue(), bits.u(1)
            for number in range(lists if bits.u(1) else 0):
                if bits.u(1):
                    _pass_scaling_list(bits, 16 if number < 6 else 64)
        number_bits, order = bits.ue() + 4, bits.ue()
        if order == 0:
            bits.ue()
        elif order == 1:
            bits.u(1), bits.se(), bits.se()
            for _ in range(bits.ue()):
                bits.se()
        bits.ue(), bits.u(1), bits.ue(), bits.ue()
        self._number_bits = None if bits.u(1) else number_bits

    def _field(self, unit):
        """(number of the frame, whether it is the bottom field) of a slice; None of a whole frame."""
        bits = _Bits(unit[:_HEAD_BYTES])
        bits.ue(), bits.ue(), bits.ue()
        bits.u(2 if self._planes else 0)
        number = bits.u(self._number_bits)
        return (number, bits.u(1)) if bits.u(1) else None


def _pass_scaling_list(bits, size):
    last, following = 8, 8
    for _ in range(size):
        if following:
            following = (last + bits.se() + 256) % 256
        last = following or last
