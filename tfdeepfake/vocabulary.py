"""The words that files, tables, flags and pages share: each stands here once."""

# A video has one of these; only a scored one has a probability.
STATUSES = ("scored", "no_face", "unreadable", "error")
STATUS_TEXT = {"no_face": "NO FACE", "unreadable": "UNREADABLE", "error": "ERROR"}

# Label 1 is FAKE everywhere.
REAL, FAKE = "REAL", "FAKE"
# What a scored verdict says where it cannot tell; no video is labelled so.
UNSURE = "UNSURE"
VERDICT_LABELS = (FAKE, REAL, UNSURE)
LABEL_NAMES = {0: REAL, 1: FAKE}

# What is measured of a face, see `scoring.unsure`: a recipe may have a limit of each, and says where it was measured.
MEASURES_WITH_LEAST = ("margin", "samples", "side_px", "confidence", "sharpness", "contrast", "colour")
MEASURES_WITH_MOST = ("enlarged", "noise", "blocks", "flicker", "turn")

# The data set of drawn faces: whoever learned from it alone knows no person.
DRAWN_DATA = "synthetic_faces"

SPLITS = ("train", "validation", "test")

# Views of an input whose mean is its score, see `scoring.tta`.
TTA = ("none", "flip", "p1")

# What of a face's samples makes its probability, and what of its faces that of a video, see `scoring.rules`.
VIDEO_RULES = ("mean", "mean_logit", "confident", "peak")
FACES_RULES = ("max", "all")

# Choices of a recipe, see `recipe.DataRecipe`.
INPUT_TYPES = ("frame", "flow", "clip")
SAMPLINGS = ("spaced", "consecutive", "chunks")
DETECTORS = ("mtcnn", "blazeface", "mtcnn_half")
CROPS = ("square", "fit")
FACE_SELECTIONS = ("largest", "most_confident", "all")
BOX_SMOOTHINGS = ("clip", "smooth", "frame")
ALIGNMENTS = ("gend", "deepfakebench")
FLOW_METHODS = ("dis", "farneback")

# What a network runs in when a verdict is made.
RUNTIMES = ("auto", "litert", "keras")
