# Each target does its own set-up: a virtual environment from requirements.lock, then the package.
# Nothing is installed twice until requirements.lock or pyproject.toml changes.

VENV     := .venv
BIN      := $(VENV)/bin
PIP      := $(BIN)/python -m pip --disable-pip-version-check --quiet
PATIENTS ?= 1000
# The torch of a machine without a GPU. An unbounded `torch` brings gigabytes of CUDA libraries.
TORCH_CPU := torch==2.13.0
TORCH_GPU := torch>=2.11,<2.14
POLARS_1  := polars==1.44.2

export EHRLICH_SHARED ?= ../shared
export PYTHONUTF8 := 1
unexport PYTHONPATH PYTHONHOME

.PHONY: demo compare-reference test test-polars1 lint format bench lock venv venv-training clean
.DEFAULT_GOAL := test

# --resume: a demo that was interrupted goes on where it was.
demo: $(VENV)/package.stamp
	$(BIN)/ehrlich hospital --patients $(PATIENTS) --out demo/hospital --resume
	$(BIN)/ehrlich read demo/hospital --out demo/charts --resume
	$(BIN)/ehrlich check demo/charts
	$(BIN)/ehrlich cases demo/charts --out demo/cases --resume
	$(BIN)/ehrlich evidence demo/charts demo/cases --out demo/evidence --resume
	$(BIN)/ehrlich evidence report demo/evidence --quiet
	$(BIN)/ehrlich prompts demo/charts demo/cases --out demo/prompts --max-tokens 8192 --limit 200 --resume

test: $(VENV)/package.stamp
	$(BIN)/python -m pytest $(ARGS)

# Our compat cases against those of the paper's released code, on the open MIMIC-IV demo.
compare-reference: $(VENV)/package.stamp
	$(BIN)/python -m ehrlich.cohorts.reference --charts build/reference/charts \
	  --source $(EHRLICH_SHARED)/data/mimic-iv-demo-2.2 --golden $(EHRLICH_SHARED)/data/ehr-r1-golden

# The same tests on the older Polars that users may still have.
test-polars1: $(VENV)-polars1/package.stamp
	$(VENV)-polars1/bin/python -m pytest $(ARGS)

lint: $(VENV)/package.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/package.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/package.stamp
	$(BIN)/python benchmarks/startup.py

venv: $(VENV)/package.stamp

$(VENV)/lock.stamp: requirements.lock
	@found=; \
	for python in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; \
	  then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "ehrlich needs Python 3.11, 3.12 or 3.13 with venv; none was found on PATH." >&2; \
	  echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv), or say make PYTHON=/path/to/python3.11" >&2; \
	  exit 2; \
	fi; \
	echo "Setting up $(VENV) with $$("$$found" -V); once, about a minute ..."; \
	"$$found" -m venv --clear $(VENV)
	@$(PIP) install -r requirements.lock
	@touch $@

# Without dependencies: the lock has them, and `pip check` says so if it has not.
$(VENV)/package.stamp: $(VENV)/lock.stamp pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch $@

$(VENV)-polars1/package.stamp: $(VENV)/package.stamp requirements.lock pyproject.toml
	@$(BIN)/python -m venv --clear $(VENV)-polars1
	@sed -e 's/^polars==.*/$(POLARS_1)/' -e '/^polars-runtime/d' requirements.lock > $(VENV)-polars1/lock
	@$(VENV)-polars1/bin/python -m pip --disable-pip-version-check --quiet install -r $(VENV)-polars1/lock
	@$(VENV)-polars1/bin/python -m pip --disable-pip-version-check --quiet install \
	  --no-deps --no-build-isolation --editable .
	@touch $@

# What trains models, apart from the rest: no other target needs torch. Where pip would bring a
# CUDA build to a machine without a GPU, TORCH_INDEX=URL names the index of torch's CPU wheels.
venv-training: $(VENV)/training.stamp

$(VENV)/training.stamp: $(VENV)/package.stamp
	@if nvidia-smi -L >/dev/null 2>&1; then torch='$(TORCH_GPU)'; else torch='$(TORCH_CPU)'; fi; \
	echo "Installing $$torch, then the training extra ..."; \
	$(PIP) install -c requirements.lock $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$torch"
	@$(PIP) install -c requirements.lock --no-build-isolation --editable '.[training]'
	@touch $@

# An exact lock of core + codes + evidence + prompts + dev, from an empty environment.
lock: pyproject.toml $(VENV)/package.stamp
	@rm -rf build/lock && $(BIN)/python -m venv build/lock
	@build/lock/bin/python -m pip --disable-pip-version-check --quiet install '.[codes,evidence,prompts,dev]'
	@sed -n '/^#/p' requirements.lock > build/requirements.lock
	@build/lock/bin/python -m pip freeze --exclude ehrlich >> build/requirements.lock
	@mv build/requirements.lock requirements.lock && rm -rf build/lock
	@git --no-pager diff --stat requirements.lock

clean:
	rm -rf $(VENV) $(VENV)-polars1 build dist demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
