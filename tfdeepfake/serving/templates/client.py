"""Verdicts on videos by a network behind TF Serving: `python client.py URL VIDEO...`, with tfdeepfake installed.

URL is http://HOST:8501 or grpc://HOST:8500. Faces are found and cut here, by the recipe.json beside this file; crops go
to the server, logits come back, and the verdict is the one that `tfdeepfake predict` gives. Ends with 1 when a video
could not be judged.
"""

import sys
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import load_recipe
from tfdeepfake.serving.remote import RemoteModel
from tfdeepfake.verdict.judging import judge
from tfdeepfake.verdict.lines import line

NAME = "model"  # that the network is served under


def main(url: str, *paths: str) -> int:
    """Prints the verdict on each video; the exit code."""
    recipe = load_recipe(Path(__file__).resolve().parent)
    model, statuses = RemoteModel(url, NAME, recipe), []
    for path in paths:
        verdict = judge(path, model, recipe)
        print(line(verdict.to_dict(), verdict.threshold), flush=True)
        statuses.append(verdict.status)
    return int(not {"unreadable", "error"}.isdisjoint(statuses))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except InputError as error:
        sys.exit(str(error))
