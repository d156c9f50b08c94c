# make run    the demo: creates .venv, installs, hears a synthesised scene in real time (under a minute)
# make test   ruff, mypy and the fast tests
# make test-long   the tests that take minutes

SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(shell $(p) -c 'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))

.PHONY: run test test-long lint install clean

run: $(VENV)/.installed
	$(BIN)/wheatear demo

install: $(VENV)/.installed

test: lint
	$(BIN)/python -m pytest -m "not long" -n 2 --dist loadfile

test-long: $(VENV)/.test-installed
	$(BIN)/python -m pytest -m long --timeout=1800

lint: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Wheatear needs Python 3.11 or newer: sudo apt-get install python3 python3-venv" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv is missing: sudo apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# torch first and alone: any other order can pull gigabytes of CUDA packages.
$(VENV)/.test-installed: pyproject.toml $(VENV)/.installed | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[train,eval,export,test]'
	@ldconfig -p | grep -q libportaudio || echo "For the microphone (and its tests): sudo apt-get install libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins" >&2
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
