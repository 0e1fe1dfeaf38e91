"""The colours of pages, images and plots: REAL, FAKE and UNSURE look the same wherever they stand.

Their hues stay apart for people who confuse red and green, but in grey print they are equally dark: wherever they are
used, a word, a side or a sign says the same.
"""

LIGHT = {
    "ground": "#f5f6f8",
    "card": "#ffffff",
    "ink": "#1b1f26",
    "soft": "#5b6470",
    "line": "#dfe3e8",
    "fake": "#c03a22",
    "fake_soft": "#fbe9e5",
    "real": "#12707f",
    "real_soft": "#e2f1f3",
    "unsure": "#6a4c93",
    "unsure_soft": "#f0ebf7",
    "grey": "#6a7280",
    "warn": "#94690a",
    "curve": "#5d4a9e",
}
# Of pages shown at night; text on the ground and words on a badge keep a contrast of 4.5 in both.
DARK = {
    "ground": "#14171c",
    "card": "#1d2229",
    "ink": "#e9ecf0",
    "soft": "#a0a9b5",
    "line": "#313842",
    "fake": "#ff8266",
    "fake_soft": "#31211f",
    "real": "#57c3d3",
    "real_soft": "#16333a",
    "unsure": "#c3a6f0",
    "unsure_soft": "#2a2338",
    "grey": "#98a1ae",
    "warn": "#e0b04a",
    "curve": "#b3a4ec",
}


def rgb(name: str) -> tuple[int, int, int]:
    """A colour of `LIGHT` as three numbers 0..255, for drawing into images."""
    value = LIGHT[name]
    return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)
