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

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "trustdag needs Python 3.11 or later; set PYTHON=..." >&2; exit 1; }
	@echo "Setting up $(VENV) from requirements.lock (some minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: setup  ## Run the embedded toy study to results/demo/report.html
	@snakemake demo --cores all --logger trustdag

.PHONY: lint
lint: setup  ## Formatting, lint and types
	@ruff check .
	@ruff format --check .
	@snakefmt --check --compact-diff Snakefile workflow/rules
	@snakemake --lint
	@mypy

.PHONY: test
test: lint  ## The whole test suite but the slow tests and those on Slurm
	@pytest -m "not slow and not slurm" -n auto

.PHONY: test-slow
test-slow: setup  ## The tests that take minutes each
	@pytest -m slow

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
	   $(BIN)/python -m pip freeze --all --exclude-editable --exclude pip | sed 's/+cpu$$//' | grep -viE '^(nvidia|cuda|triton)'; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock
