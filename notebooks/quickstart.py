# %% [markdown]
# # tfdeepfake: a first verdict, a first network
#
# Runs top to bottom on Colab, Kaggle or a laptop; on a CPU in some minutes. It installs the package, draws a small
# data set, trains a network on it, scores it, judges a video, shows where the network looks, and exports it for
# TensorFlow Serving.
#
# The network trained here has seen drawn faces only. For real people take a published detector: the last part shows
# how.

# %% [markdown]
# ## Install
#
# Nothing is published under the name yet: write the path of a wheel or of a checkout in its place, for example that of
# an uploaded copy. Colab and Kaggle have TensorFlow and Keras already; what they have is kept where it is new enough.

# %%
import os

SOURCE = os.environ.get("TFDEEPFAKE_SOURCE", "tfdeepfake")
# %pip install -q "{SOURCE}"

# %%
from pathlib import Path

import tfdeepfake
from tfdeepfake.quiet import load_tensorflow

load_tensorflow()
print("tfdeepfake", tfdeepfake.__version__)

# Everything is written below this folder.
WORK = Path(os.environ.get("TFDEEPFAKE_WORK", "tfdeepfake_quickstart"))
# "small" is for a quick look: fewer people, fewer epochs; "tiny" only shows that all runs. The demo of the README is
# the whole one.
SIZE = os.environ.get("TFDEEPFAKE_SIZE", "small")
PEOPLE, EPOCHS = {"tiny": ((3, 2, 2), 1), "small": ((8, 3, 3), 2), "whole": ((36, 8, 16), 10)}[SIZE]


def show(*images) -> None:
    """Shows images below the cell, where this is a notebook."""
    try:
        from IPython.display import Image, display
    except ImportError:
        return
    display(*(Image(filename=str(image), width=480) for image in images))


# %% [markdown]
# ## Data that needs no download
#
# Talking heads are drawn and manipulated in four ways. `prepare` finds the faces, follows and crops them, computes
# their optical flow, and writes TFRecords. No person is in two splits.

# %%
from tfds_builders.prepare import prepare

summary = prepare("synthetic_faces", input_type="clip", data_dir=WORK / "data", identities=PEOPLE)
print(", ".join(f"{number} clips for {split}" for split, number in sorted(summary["splits"].items())))
assert set(summary["splits"]) == {"train", "validation", "test"}

# %% [markdown]
# ## Train
#
# The two-stream network of P2 Table 4 with a small backbone. A run that is stopped, even killed, goes on where it was
# when the cell is run again.

# %%
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.train import train

config = TrainConfig(
    network="two_stream_video",
    network_args={"backbone": "small", "batch_norm": True, "flow_widths": [16, 32]},
    data=summary["version"],
    data_dir=str(WORK / "data"),
    epochs=EPOCHS,
    batch_size=8,
    learning_rate=1e-3,
    augment="flip",
)
run = train(config, WORK / "run")

# %% [markdown]
# ## Evaluate
#
# Metrics at video level with 95 % intervals, and the coverage beside them: no metric over "the ones that worked".

# %%
from tfdeepfake.evaluation.run import evaluate_run

metrics = evaluate_run(run, split="test", data_dir=str(WORK / "data"), resamples=200)
show(run / "evaluation" / "test" / "roc.png")

# %% [markdown]
# ## A verdict
#
# FAKE, REAL or UNSURE, per face and moment; a video without a face is never called real.

# %%
videos = Path(summary["videos"]) / "test"
real = sorted((videos / "real").glob("*.mp4"))[0]
fake = sorted((videos / "face_swap").glob("*.mp4"))[0]

detector = tfdeepfake.Detector(run)
verdict = detector(fake)
verdict

# %%
results = detector.predict([real, fake], out_dir=WORK / "verdicts")
for each in results["verdicts"]:
    print(f"{each['name']}: {each['status']} {each['label']} {each['probability']:.2f}")
assert {each["status"] for each in results["verdicts"]} == {"scored"}
print("The page:", WORK / "verdicts" / "index.html")

# %% [markdown]
# ## Your own video
#
# In Colab this asks for a file; elsewhere set `MY_VIDEO`. What this network says of a real person is worth nothing, and
# the verdict says so.

# %%
MY_VIDEO = os.environ.get("MY_VIDEO", "")
try:
    from google.colab import files

    MY_VIDEO = MY_VIDEO or next(iter(files.upload()), "")
except ImportError:
    pass
detector(MY_VIDEO) if MY_VIDEO else "No video was given."

# %% [markdown]
# ## Where it looks
#
# Grad-CAM on the most suspicious samples, put back onto the frames, with what the map is worth: a plausible picture
# proves nothing.

# %%
from tfdeepfake.explain.settings import ExplainSettings
from tfdeepfake.explain.video import explain_video
from tfdeepfake.verdict import batch

network = batch.load_network(run / "best", log=print, with_layers=True)
about = explain_video(fake, network, WORK / "explained", ExplainSettings(), log=print)
assert about["status"] == "scored"
show(*sorted((WORK / "explained").glob("face_*.jpg")))

# %% [markdown]
# ## Export for TensorFlow Serving
#
# The folder has a README with the calls over REST and gRPC, and a client that turns a video into a verdict.

# %%
from tfdeepfake.serving.export import export

served = export(run / "best", WORK / "served" / "quickstart")
print("The network:", served)
print("How to call it:", served.parent / "README.md")

# %% [markdown]
# ## A published detector
#
# `gend_clip_l14` (GenD over CLIP ViT-L/14, MIT licence, trained on FaceForensics++) is fetched once, 1.2 GB, and then
# works offline. The terms of its training data are research only; `tfdeepfake detectors` lists others.

# %%
wanted = os.environ.get("TFDEEPFAKE_FETCH") == "yes" and MY_VIDEO
tfdeepfake.Detector("gend_clip_l14")(MY_VIDEO) if wanted else "Not fetched: set TFDEEPFAKE_FETCH to yes, and MY_VIDEO."
