# `make demo` runs the main job, `make test` passes the tests; both make what they need first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export DAGSTER_HOME := $(CURDIR)
export PYTHONDONTWRITEBYTECODE := 1
# What `make demo` works on: rides that ship with the package, and the default models, unless others are
# named: make demo RIDES="ride1.mp4 ride2.mp4" MODELS=buffalo_l VISION=facebook/dinov2-small
# Rides of your own go into the data folder, not the demo's.
RIDES ?=
DEMO_RIDES := $(or $(RIDES),$(wildcard identity_pipeline/bundled/rides/*.mp4))
MODELS ?=
VISION ?=
DEMO_DATA := $(if $(RIDES),,--data data/demo)

.PHONY: help venv gpu pack demo dev desk browser test lint docs bench bench-full format clean

help:  ## Say what there is.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	@echo "Installing into $(VENV): a few minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

venv: $(STAMP)  ## Install everything into .venv.

gpu: venv  ## Put ONNX Runtime for CUDA in the place of the one for CPUs; see docs/models.md.
	$(BIN)/python -m pip uninstall --quiet --yes onnxruntime onnxruntime-gpu
	$(BIN)/python -m pip install --quiet --constraint constraints.txt ./deploy/onnxruntime-gpu
	$(BIN)/identity-pipeline models --device cuda

pack: venv  ## Get the open model pack, once: 136 MB; nothing after that needs a network.
	@$(BIN)/identity-pipeline models fetch open

demo: pack  ## Turn the rides that ship with the package into image sets.
	$(BIN)/identity-pipeline $(DEMO_DATA) run $(DEMO_RIDES) $(if $(MODELS),--models $(MODELS)) $(if $(VISION),--vision $(VISION))
	$(if $(RIDES),,@$(BIN)/identity-pipeline $(DEMO_DATA) consent import identity_pipeline/bundled/consents.csv)

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

browser:  ## Install Debian's Chromium, in which the tests open the desk.
	@command -v chromium >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -qq --no-install-recommends --yes chromium; }

test: pack  ## Run the tests, in two processes.
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: venv docs  ## Check style, types, definitions and the links of the documentation.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/dg check defs

docs: venv  ## Build the documentation as a site in build/site.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

format: venv  ## Put the code into form.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dev: venv  ## Start the Dagster UI on http://127.0.0.1:3000; drop videos into data/videos.
	@mkdir -p data/videos
	$(BIN)/identity-pipeline pools
	$(BIN)/dg dev --host 127.0.0.1 --port 3000

# The data folder of your own rides; while there are none, that of the demo.
DATA ?= $(if $(wildcard data/tables),data,data/demo)

desk: venv  ## Open the desk on http://127.0.0.1:3001, by the address that it prints: name people, choose pictures.
	@$(BIN)/identity-pipeline --data $(DATA) desk

bench: venv  ## Measure what is to be reached, at short sizes: minutes, best on a quiet machine.
	$(BIN)/python -m identity_pipeline_tests.benchmarks.reach

# What has no figure to reach, besides.
OTHER_BENCHES := bench_nets bench_pictures calls bench_heads bench_partitions bench_ledger bench_desk \
	bench_reading bench_copies coverage_ratio

bench-full: venv  ## The same at full sizes, and all other benchmarks: hours; KEEP=FOLDER keeps what was measured for the table.
	$(BIN)/python -m identity_pipeline_tests.benchmarks.reach --full $(if $(KEEP),--keep "$(KEEP)")
	@for one in $(OTHER_BENCHES); do $(BIN)/python -m identity_pipeline_tests.benchmarks.$$one || exit 1; done

clean:  ## Remove the environment; data stays.
	rm -rf $(VENV) *.egg-info
