# %% [markdown]
# # Deepfake Detection Challenge: from the input folder to submission.csv
#
# The whole system of P1 (Li, 2020; `docs/papers.md`): faces by MTCNN with a margin, 8 of a fake and 40 of a real video,
# EfficientNet-B7 with two outputs under softmax on two GPUs, log loss, embeddings in clusters, and an inference that
# keeps to the time limit.
#
# On Kaggle add the competition `deepfake-detection-challenge` as input, choose the accelerator "GPU T4 x2", and run
# all cells. Where the input is absent, as on a laptop, a small set is drawn in its layout and a tiny network is
# trained: that shows the way, and no figure of it says anything about real people.
#
# **Not yet run on the real set.** The paper prints a log loss of 0.48702 on the private test.

# %% [markdown]
# ## Install
#
# Nothing is published under the name yet: make a wheel in a checkout, and write its path in the place of the name. On
# Kaggle nothing of the image is touched; the few packages that it lacks are named here.
#
# The competition wants submissions without internet. For that put all of them into one folder, with the image's Python
# (3.12), and add it as a data set called `tfdeepfake-wheels`: pip then looks there alone.
#
#     pip wheel --no-deps -w wheels .
#     pip download --no-deps -d wheels "av>=18,<19" "ai-edge-litert>=2.1" "mtcnn>=1.0.0" lz4 backports.strenum

# %%
import os

SOURCE = os.environ.get("TFDEEPFAKE_SOURCE", "tfdeepfake")
# What else is needed is there; pip would replace NumPy, which TensorFlow 2.19 asks for in vain there.
LACKING = '"av>=18,<19" "ai-edge-litert>=2.1" "mtcnn>=1.0.0" lz4 backports.strenum'
LACKING = f"--no-deps {LACKING}" if os.path.isdir("/kaggle") else ""
WHEELS = "/kaggle/input/tfdeepfake-wheels"
if os.path.isdir(WHEELS):
    os.environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS}
# %pip install -q {LACKING} "{SOURCE}"

# %% [markdown]
# ## Everything that may be chosen

# %%
import time
from pathlib import Path

STARTED_S = time.monotonic()
INPUT = Path(os.environ.get("TFDEEPFAKE_INPUT", "/kaggle/input/deepfake-detection-challenge"))
# Everything is written below this folder; on Kaggle it is kept with the notebook's version.
WORK = Path(os.environ.get("TFDEEPFAKE_WORK", "/kaggle/working" if INPUT.is_dir() else "tfdeepfake_kaggle"))
DRAWN = not INPUT.is_dir()

# Sec. 2.2.2: with about five fakes for each real video, 8 and 40 faces make the classes equal.
NUM_FRAMES = {"fake": 2, "real": 4} if DRAWN else {"fake": 8, "real": 40}
# Sec. 2.2.4: the paper's margin of 0.5 to 0.7 is the whole of both sides; 0.3 is on each.
MARGIN_FRAC, SIZE_PX = 0.3, 64 if DRAWN else 240
# Networks of the paper's kind; the drawn set gets a thin one, without ImageNet's weights.
NETWORK_ARGS = {"width": 0.1, "depth": 0.1, "drop_connect": 0.0} if DRAWN else {}
# Fetched once; without internet give the run folder of a notebook that had it, added as input.
START_FROM = None if DRAWN else "imagenet"
EPOCHS, BATCH_SIZE = (2, 8) if DRAWN else (10, 16)
# Faces that are reduced and clustered; t-SNE takes hours of 100,000.
NUM_POINTS = None if DRAWN else 20_000
# Frames of a test video that are judged, and seconds that the notebook may take (Kaggle's limit less half an hour).
NUM_SAMPLES = 4 if DRAWN else 16
LIMIT_S = 600 if DRAWN else 9 * 3600 - 1800


def show(*images) -> None:
    """Shows images below the cell, where this is a notebook."""
    try:
        from IPython.display import Image, display
    except ImportError:
        return
    display(*(Image(filename=str(image), width=480) for image in images))


# %% [markdown]
# ## Two devices
#
# All GPUs there are. Without any, the CPU counts as two, so that the same `tf.distribute.MirroredStrategy` is at work.

# %%
import tfdeepfake
from tfdeepfake.quiet import load_tensorflow

load_tensorflow()
print("tfdeepfake", tfdeepfake.__version__)

# %%
import tensorflow as tf

gpus = tf.config.list_physical_devices("GPU")
if not gpus:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
DEVICES = len(gpus) or 2
print(DEVICES, "devices:", [gpu.name for gpu in gpus] or "one CPU, as two")

# %% [markdown]
# ## The set
#
# `train_sample_videos/` or the parts `dfdc_train_part_0/` and so on, each with its `metadata.json`; `test_videos/` and
# `sample_submission.csv`. Drawn here where it is absent: persons, each with a real video and fakes made of it.

# %%
import json


def draw_set(folder) -> None:
    """Draws a small set in the layout of the challenge; the last test video shows an empty room."""
    import numpy as np

    from tfdeepfake.data import synthetic
    from tfdeepfake.data.video import write_video

    metadata, asked = {}, []
    train, test = folder / "train_sample_videos", folder / "test_videos"
    for spec in synthetic.make_set(identities=(5, 0, 2), real_per_identity=1, num_frames=12):
        if spec.method not in ("real", "face_swap", "learned_face"):
            continue
        if spec.split == "test":
            asked.append(synthetic.write_clip(spec, test).name)
            continue
        original = f"{spec.target:03d}_0.mp4" if spec.label else None
        synthetic.write_clip(spec, train)
        metadata[spec.file_name] = {"label": ("REAL", "FAKE")[spec.label], "split": "train", "original": original}
    write_video(test / "zempty.mp4", np.full((12, 240, 320, 3), 90, np.uint8), 15)
    (train / "metadata.json").write_text(json.dumps(metadata))
    rows = ["filename,label", *(f"{name},0.5" for name in [*asked, "zempty.mp4"])]
    (folder / "sample_submission.csv").write_text("\n".join(rows) + "\n")


if DRAWN:
    INPUT = WORK / "input"
    if not (INPUT / "sample_submission.csv").is_file():
        draw_set(INPUT)
tests = sorted((INPUT / "test_videos").glob("*.mp4"))
print(len(tests), "test videos in", INPUT / "test_videos")

# %% [markdown]
# ## Faces
#
# The largest face of equally spaced frames, by MTCNN (Sec. 3.2). A fake is always in the same split as its original. A
# cell that was stopped goes on where it was when it is run again, video by video; what could not be used is named.

# %%
from tfds_builders.prepare import prepare
from train_scripts.p1_efficientnet_b7_softmax import PRESET

recipe = PRESET.prepare | {"margin_frac": MARGIN_FRAC, "height_px": SIZE_PX, "width_px": SIZE_PX}
recipe |= {f"num_frames_{kind}": count for kind, count in NUM_FRAMES.items()}
summary = prepare("dfdc", dir=INPUT, data_dir=WORK / "data", **recipe)
for split, counted in summary["coverage"].items():
    print(f"{split}: {summary['splits'][split]} faces of {counted['scored']} of {counted['videos']} videos", end="")
    print(f"; no face: {', '.join(counted['no_face']) or 'none'}")
assert set(summary["splits"]) == {"train", "validation", "test"}
# Run again, it is there.
assert prepare("dfdc", dir=INPUT, data_dir=WORK / "data", **recipe)["already_prepared"]

# %% [markdown]
# ## Training
#
# The preset `p1_efficientnet_b7_softmax` with the choices made above: EfficientNet-B7, two outputs under softmax (Sec.
# 3.4.1), the augmentations of Sec. 2.2.5. Run again, a stopped run goes on, even inside an epoch.

# %%
import dataclasses

from tfdeepfake.training.train import train

config = dataclasses.replace(
    PRESET.config,
    network_args={"num_classes": 2} | NETWORK_ARGS,
    data=summary["version"],
    data_dir=str(WORK / "data"),
    start_from=START_FROM,
    epochs=EPOCHS,
    batch_size=BATCH_SIZE,
    devices=DEVICES,
    # The GPUs' half precision; on a CPU it is slow.
    precision="float16" if gpus else "float32",
)
run = train(config, WORK / "run")

# %% [markdown]
# ## Log loss
#
# Of the videos of the test split (Sec. 3.5), the mean of their faces, with ROC curve, confusion matrix and an interval
# resampled by original video. The split was held out of the training videos here: it is not Kaggle's test.

# %%
from tfdeepfake.evaluation.run import evaluate_run

metrics = evaluate_run(run, split="test", data_dir=str(WORK / "data"), resamples=200)
show(*(run / "evaluation" / "test" / name for name in ("roc.png", "confusion.png")))

# %% [markdown]
# ## Embeddings and clusters
#
# What the network makes of each face, by PCA to 50 numbers, by t-SNE to three, and in clusters by HDBSCAN, with k-means
# and DBSCAN beside it (Sec. 3.3); a sheet of faces for each cluster, and a page with a plot that turns.

# %%
from tfdeepfake.embeddings.embed import embed

about = embed(
    run, split="train", data_dir=str(WORK / "data"), out_dir=WORK / "embeddings", num_points=NUM_POINTS, least=3
)
show(*sorted((WORK / "embeddings" / "clusters").glob("*.jpg"))[:3])

# %% [markdown]
# ## Inference under the time limit
#
# Every test video in turn, as long as the time lasts: a video is begun only while what is left is as much as the
# slowest one took. Those that were not reached, and those without a face, have no score. Each verdict is on the disk
# at once.

# %%
from tfdeepfake.verdict.settings import JudgeSettings

budget_s = LIMIT_S - (time.monotonic() - STARTED_S)
settings = JudgeSettings(num_samples=NUM_SAMPLES)
detector = tfdeepfake.Detector(run, settings=settings, runtime="keras")
judged = detector.predict(tests, out_dir=WORK / "verdicts", budget_s=budget_s, log=print)
print(f"In {time.monotonic() - STARTED_S:.0f} of {LIMIT_S} s; not reached: {len(judged['not_reached'])}")

# %% [markdown]
# ## submission.csv
#
# A row for each file of `sample_submission.csv`. Probabilities are kept off 0 and 1, by as much as gives the lowest log
# loss on the validation videos. A file without a score gets the fraction of fakes in training, and is named.

# %%
from tfdeepfake.evaluation.submission import submission, submission_lines
from tfdeepfake.files import read_json

examples = read_json(run / "versions.json")["examples"]
facts = submission(
    [WORK / "verdicts" / "scores.csv"],
    WORK / "submission.csv",
    validation=[run / "scores_validation.csv"],
    prior=1 - examples["real"] / sum(examples.values()),
    files=INPUT / "sample_submission.csv",
    not_reached=judged["not_reached"],
)
print("\n".join(submission_lines(facts, WORK / "submission.csv")))
print((WORK / "submission.csv").read_text()[:300])
