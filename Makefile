# Everything a newcomer needs: `make demo` and `make test` set themselves up.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export HF_HUB_OFFLINE := 1

.PHONY: demo test check prove bench format data packages clean

demo: $(VENV)/.ready data
	$(BIN)/retuned demo --out demo-out

test: check packages data
	OPENBLAS_NUM_THREADS=1 $(BIN)/pytest

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.ready
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

prove: $(VENV)/.ready
	$(BIN)/pytest -m prove --timeout 7200 -s

bench: $(VENV)/.ready data
	$(BIN)/python -m tests.bench

# torch first and by its exact pin: a range may bring gigabytes of CUDA
$(VENV)/.ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[demo,dev]"
	touch $@

# the labelled corpora: only in the source distribution
data: $(CACHE)/corpora/.ready
$(CACHE)/corpora/.ready: $(VENV)/.ready
	mkdir -p $(CACHE)/corpora
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-binary :all: -d $(CACHE)/corpora vaderSentiment==3.3.2
	touch $@

# Debian packages that tests need; never skipped when CI=true
packages:
	@if command -v promtool >/dev/null && command -v strace >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus strace >/dev/null; \
	elif [ "$$CI" = true ]; then echo "promtool and strace are missing and this is no root: CI cannot skip them" >&2; exit 1; \
	else echo "promtool or strace is missing and this is no root: the tests that need them are skipped (apt-get install prometheus strace)"; fi

clean:
	rm -rf $(VENV) $(CACHE) demo-out
