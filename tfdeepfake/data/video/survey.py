"""One pass over the packets of a video, in which a few of them are decoded.

What comes out of the decoder at the beginning bears out what the packets say, or not; packets that bring new parameter
sets are decoded to see how their frames are shown.
"""

import numpy as np

from tfdeepfake.data.video import crop, headers, notes
from tfdeepfake.data.video.check import VideoError, encrypted
from tfdeepfake.data.video.encrypted import encryption
from tfdeepfake.data.video.h264_fields import FieldPairs
from tfdeepfake.data.video.packets import decoded, demuxed
from tfdeepfake.data.video.shown import Looker, container_aspect

# Here each packet is one frame that carries its time.
INDEXED_CONTAINERS = ("mov", "matroska")
INDEXED_CODECS = ("h264", "hevc", "vp9", "av1", "mjpeg", "prores", "dnxhd")
# And here, where the beginning of the file, decoded, bears it out.
# So are codecs whose frames never come in another order than that of their packets (FFmpeg's descriptors say so). AVI
# numbers packets as they are stored, which is how those are shown.
HIDDEN_FRAMES = ("vp8", "vp9", "av1")  # not in AVI: some of their packets show nothing
TRIED_CODECS = (
    *INDEXED_CODECS,
    "mpeg4",
    "vp8",
    "mpeg2video",
    "mpeg1video",
    "vc1",
    "wmv3",
    "theora",
    "gif",
    "apng",
    "h263",
)
TRIED_CODECS += ("rv20", "rv30", "rv40", "svq3")
TRIED_CONTAINERS = (
    *INDEXED_CONTAINERS,
    *(
        "mpegts",
        "mpeg",
        "mpegvideo",
        "flv",
        "asf",
        "rm",
        "ogg",
        "gif",
        "apng",
        "mxf",
        "ivf",
        "obu",
        "nut",
        "dv",
        "mjpeg",
        "mpjpeg",
        "jpeg_pipe",
        "yuv4mpegpipe",
    ),
)
TRIED_PACKETS = 48  # longer than any reordering of frames
# Streams without any container carry no times, and those in AVI, or of H.264 in ASF, not the times at which frames are
# shown: frames are counted from places that decoding can start at.
RAW_CONTAINERS = ("h264", "hevc")
COUNTED = {"avi": ("h264", "mpeg4", "h263"), "asf": ("h264",)}
# Codecs whose frames say themselves whether they are interlaced; of others the container may say it of all.
TELLING_CODECS = ("h264", "hevc", "mpeg2video", "mpeg1video", "mpeg4", "prores", "dnxhd", "dvvideo", "vc1", "wmv3")
# Their frames rest on each other and their decoders do not say which do: containers may call all packets keyframes.
SILENT_CODECS = ("qtrle", "rpza", "smc")
# AVFieldOrder: top or bottom coded first, top or bottom shown first (libavcodec/defs.h).
FIELD_ORDERS = {2: "tff", 3: "bff", 4: "bff", 5: "tff"}

# Types of the slices of frames at which decoding can start, and of those that are shown before such a frame
# (ITU-T H.264 and H.265, tables 7-1).
IDR_H264, IDR_HEVC, OPEN_HEVC = 5, (19, 20), (16, 17, 18, 21)
LEADING_HEVC, DROPPED_HEVC = (6, 7, 8, 9), (8, 9)
MAX_LOOKS = 32


class Survey:
    """What one pass over the packets of a stream told.

    Args:
      container, stream: as `packets.opened` gives them; read to their end.
      deadline: `check.Deadline`.
    Raises:
      VideoError: the packets are encrypted, or Dolby Vision of profile 5, or take longer than the deadline allows.

    Afterwards `ticks`, `order` (decoding times), `keys` and `shown` have an entry for each packet; `looks` has the
    `Shown` of all frames that were decoded, each once. `fields`: the two fields of a frame come in packets of their
    own; `field_order`: "tff" or "bff" where the container alone says that frames are interlaced, else None.
    """

    def __init__(self, container, stream, deadline):
        self.decoder = stream.codec_context
        self.kind, self.codec = container.format.name.split(",")[0], self.decoder.codec.canonical_name
        self.raw = self.kind in RAW_CONTAINERS
        self.trusted = self.kind in INDEXED_CONTAINERS and self.codec in INDEXED_CODECS
        self.lengths = headers.nal_lengths(self.codec, self.decoder.extradata)
        self.path = deadline.path
        cut = crop.of_stream(self.path, self.kind, container.streams.video.index(stream), stream.id)
        self.looker = Looker(container_aspect(container, stream), self.codec, cut=cut)
        self.looks, self.notes, self.interlaced, self.fields = [], (), False, False
        telling = self.codec in TELLING_CODECS
        self.field_order = None if telling else FIELD_ORDERS.get(int(self.decoder.field_order))
        self.ticks, self.order, self.keys, self.shown, self.slices = [], [], [], [], []
        in_order = not self.decoder.codec.reorder
        # MPEG-4 is where none of its frames refers to a later one, which `_note` sees.
        in_avi = self.codec == "mpeg4" or (in_order and self.codec not in HIDDEN_FRAMES)
        known = (*TRIED_CONTAINERS, *RAW_CONTAINERS, *(("avi",) if in_avi else ()))
        self.plain = (in_order or self.codec in TRIED_CODECS) and self.kind in known
        self.counted = self.raw or self.codec in COUNTED.get(self.kind, ())
        self.doubted = self.counted or (self.plain and not self.trusted)
        self.out, self.tried, self.start, self.no_keys = [], 0, None, set()
        self.pairs = FieldPairs() if self.raw and self.codec == "h264" else None
        trying, signatures = True, set()
        for packet in demuxed(container, stream, deadline):
            if packet.has_sidedata("encryption_info"):
                raise encrypted(deadline.path, encryption(deadline.path) or "Common Encryption")
            self._note(packet)
            signature = headers.signature(self.codec, packet, self.lengths) if packet.is_keyframe else None
            is_new = signature is not None and signature not in signatures and len(signatures) < MAX_LOOKS
            if is_new:
                signatures.add(signature)
            if trying:
                self._take(decoded(self.decoder, packet)[0])
                self.tried += 1
                trying = not self.looks or self._has_to_go_on()
                if not trying:
                    self._end()
            elif is_new:
                # A keyframe is decoded alone: what went before does not matter.
                self._take(decoded(self.decoder, packet)[0], tried=False)
                self._end(tried=False)
        if trying:
            self._end()
        self.interlaced = self.interlaced or (bool(self.looks) and self.field_order is not None)
        few = self.codec == "h264" and self.interlaced and 4 * len(self.out) <= 3 * self.tried
        self.fields = self.fields or few

    def _note(self, packet):
        """Writes down what a packet tells by itself."""
        if self.codec == "h264" and packet.pts is None and packet.dts is None and self.ticks and not self.raw:
            self._note_second_field()
            return
        second = self.pairs is not None and self.pairs.is_second(packet)
        self.fields = self.fields or second
        shown = not packet.is_discard and not second and headers.is_shown(self.codec, packet)
        if self.start is None and packet.is_keyframe:
            self.start = len(self.ticks)
        # A frame that is shown before the first keyframe may need others that were cut away: only decoding tells.
        first = self.ticks[0] if self.ticks else packet.pts
        early = shown and packet.pts is not None and first is not None and packet.pts < first
        self.doubted = self.doubted or (self.plain and (self.start is None or (early and self.shown[0])))
        self.ticks.append(packet.pts)
        self.order.append(packet.dts)
        self.keys.append(packet.is_keyframe)
        self.shown.append(shown)
        if self.counted:
            image = {"mpeg4": headers.image_mpeg4, "h263": headers.image_h263}.get(self.codec)
            self.slices.append(image(packet) if image else headers.first_slice(self.codec, packet, self.lengths))
        if self.codec == "mpeg4" and self.plain:
            image = headers.image_mpeg4(packet)
            self.plain = image is not None and (image != headers.B_IMAGE or self.kind != "avi")

    def _note_second_field(self):
        """Of H.264 in transport streams: the time of a frame stands at its first field."""
        self.fields = True
        self.ticks.append(self.ticks[-1])
        self.order.append(self.order[-1])
        self.keys.append(False)
        self.shown.append(False)

    def _has_to_go_on(self):
        return self.doubted and (self.start is None or self.tried <= self.start + TRIED_PACKETS)

    def _take(self, frames, tried=True):
        for frame in frames:
            if frame.is_corrupt:
                continue
            look = self.looker(frame, self.decoder)
            if not self.looks:
                self.interlaced = frame.interlaced_frame and not look.is_field
                side_data = self.looker.side_data(frame)
                if any(kind == "DOVI_METADATA" and notes.is_dolby_vision_5(data) for kind, data in side_data):
                    raise VideoError(
                        self.path,
                        "is Dolby Vision of profile 5: only Dolby's own decoders show its colours.",
                        "Convert it to SDR, or export it again as HDR10 or HLG.",
                    )
                self.notes = notes.phrases(side_data, look)
                seen, cut = self.looker.seen, self.looker.cut
                self.looker = Looker(self.looker.pixel_aspect, self.codec, seen, look.turn, cut)
            if look not in self.looks:
                self.looks.append(look)
            if tried:
                self.out.append(frame.pts)
                if not frame.key_frame:
                    self.no_keys.add(frame.pts)

    def _end(self, tried=True):
        self._take(decoded(self.decoder, None)[0], tried)
        self.decoder.flush_buffers()

    def packets(self) -> tuple | None:
        """`Index.packets`; None where packets and frames do not match."""
        told = [tick for tick, shown in zip(self.ticks, self.shown, strict=True) if shown]
        if not self.plain or self.raw or not told or None in told or self.ticks[0] is None:
            return None
        if self.doubted and self._has_to_go_on() and self.tried < len(self.ticks):
            return None
        ticks = np.array([tick or 0 for tick in self.ticks], np.int64)
        keys, shown = np.array(self.keys), np.array(self.shown)
        if self.doubted:
            lost = self._lost()
            order = [tick for tick, each in zip(self.order, self.shown, strict=True) if each]
            steady = None if lost is None else _steady(ticks[shown], order)
            if steady is None:
                return None
            ticks[shown] = steady
            shown[lost] = False
        distinct = len(np.unique(ticks[shown])) == shown.sum() > 0
        return (ticks, keys, shown) if distinct else None

    def _lost(self):
        """Packets at the beginning whose frames cannot be decoded; None when what came out does not match."""
        given = self.ticks[: self.tried]
        lost = [place for place in range(self.tried) if self.shown[place] and given[place] not in set(self.out)]
        start = len(given) if self.start is None else self.start
        leads = all(place < start or given[place] < given[start] for place in lost)
        matches = len(set(self.out)) == len(self.out) and set(self.out) <= set(given)
        # Frames come in the order in which they are shown; a container that has no such times gives them others.
        matches = matches and (self.kind in ("mpegts", "mpeg") or self.out == sorted(self.out))
        return lost if leads and matches and self._tells_keys(given) else None

    def _tells_keys(self, given):
        """Whether packets that are called keyframes may be taken for that, as far as the beginning tells."""
        # Where these begin without a true keyframe, no frame comes out, or an error.
        if self.decoder.codec.intra_only or (self.codec in INDEXED_CODECS and self.kind != "avi"):
            return True
        if len(self.no_keys) < len(self.out):
            return not self.no_keys & {tick for tick, key in zip(given, self.keys, strict=False) if key}
        return self.codec not in SILENT_CODECS or len(given) < 2 or not all(self.keys)

    def starts(self) -> np.ndarray | None:
        """`Index.starts` of a stream whose frames are counted; None where packets and frames do not match."""
        tried = self.shown[: self.tried]
        # The last field may lack its second.
        lone = self.fields and bool(tried) and tried[-1]
        if not self.counted or None in self.slices or len(self.out) not in (sum(tried), sum(tried) - lone):
            return None
        starts, before = [], np.cumsum(self.shown) - self.shown
        for place, kind in enumerate(self.slices):
            if self.codec == "mpeg4" and kind == headers.I_IMAGE:
                after = self.slices[place + 1 :]
                starts.append(
                    (place, place + next((n for n, later in enumerate(after) if later != headers.B_IMAGE), len(after)))
                )
            if self.codec == "h264" and kind == IDR_H264 and self.shown[place]:
                starts.append((place, before[place]))  # frames of two fields take two packets
            if self.codec == "h263" and kind == headers.I_IMAGE:
                starts.append((place, place))
            if self.codec == "hevc" and kind in (*IDR_HEVC, *OPEN_HEVC):
                # Leading frames that refer to what went before are dropped when decoding starts here.
                after = self.slices[place + 1 :]
                leading = next((n for n, later in enumerate(after) if later not in LEADING_HEVC), len(after))
                dropped = sum(later in DROPPED_HEVC for later in after[:leading])
                starts.append((place, place + (dropped if kind in OPEN_HEVC else 0)))
        return np.array(starts, np.int64) if starts and starts[0] == (0, 0) else None


def _steady(ticks, order):
    """Ticks that go on where the clock of a transport stream starts again; None where packets have no order."""
    # The first packets before frames that are shown out of order have no time of their own.
    first = next((place for place, tick in enumerate(order) if tick is not None), len(order))
    if None in order[first:]:
        return None
    steps = np.diff(np.array(order[first:], np.int64))
    usual = int(np.median(steps)) if len(steps) else 1
    # Within a stream, time neither stands nor goes back, nor does it leap by minutes.
    leaps = np.flatnonzero((steps <= 0) | (steps > 10_000 * max(usual, 1)))
    bounds, steady, shift = [*(leaps + first + 1).tolist(), len(ticks)], ticks.copy(), 0
    for leap, at, end in zip(leaps.tolist(), bounds[:-1], bounds[1:], strict=True):
        shift += usual - int(steps[leap])
        # Where a cut took frames away, the parts would overlap.
        shift += max(0, int(steady[:at].max()) + usual - int(ticks[at:end].min()) - shift)
        steady[at:end] = ticks[at:end] + shift
    return steady
