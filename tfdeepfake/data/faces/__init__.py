"""Frames to boxes and landmarks, tracks and crops; the detector is an argument."""

from tfdeepfake.data.faces.boxes import Detections, crop, make_detections, resize, square_box
from tfdeepfake.data.faces.detect import contact_sheet, make_detector, write_contact_sheet
from tfdeepfake.data.faces.tracks import Track, link_tracks, looks_of, select_tracks, track_boxes, track_landmarks

__all__ = [
    "Detections",
    "Track",
    "contact_sheet",
    "crop",
    "link_tracks",
    "looks_of",
    "make_detections",
    "make_detector",
    "resize",
    "select_tracks",
    "square_box",
    "track_boxes",
    "track_landmarks",
    "write_contact_sheet",
]
