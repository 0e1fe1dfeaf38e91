# make demo: sets everything up, draws the built-in data set, trains, evaluates and judges two unseen clips.
# make test: sets everything up and passes lint and the tests.
# make lint: style, format and who imports whom. make format mends what can be mended.
# make docs: the site of docs/ and the docstrings, into site/.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OUT := demo_output
DATA := $(OUT)/data
# Two clips of a person in the test split, whom the network has never seen.
CLIPS := $(DATA)/synthetic_faces_videos/test

.PHONY: demo test lint format docs clean

$(READY): requirements.txt setup.cfg pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: say make PYTHON=python3.12, or install Python 3.11 to 3.13"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); $(PYTHON) -m pip install -q virtualenv && $(PYTHON) -m virtualenv -q $(VENV); }
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY)
	$(BIN)/tfdeepfake prepare synthetic_faces --input-type clip --data-dir $(DATA)
	$(BIN)/tfdeepfake train --preset demo --data-dir $(DATA) --run-dir $(OUT)/run --save-model saved_models/demo
	$(BIN)/tfdeepfake evaluate $(OUT)/run --split test --data-dir $(DATA)
	$(BIN)/tfdeepfake predict $(CLIPS)/real/044_0.mp4 $(CLIPS)/learned_face/044_054_learned_face.mp4 --model saved_models/demo --out $(OUT)/verdict
	@echo "The verdict page: $(OUT)/verdict/index.html"

test: lint docs
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(OUT) runs results site saved_models/demo
