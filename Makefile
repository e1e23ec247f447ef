# make run    install what running needs, fetch the default compact model, serve
# make check  install what the tests need; lint, types, the tests that start no other process
# make test   the same with all tests, several at a time; PROCESSES=0 runs one after another
# make test-all  the same, and what is only more of the same kind
# make clients  install programs of other people in pinned versions (Node.js, 3 GB); run each against every target
# make bench  install what the benchmarks need; Weebill beside its peers
# make kills  kill processes at random under load, for KILL_SECONDS (300): is a record lost, doubled or wrong?
# make hostile  attack an installation; how long the others wait meanwhile
# make docs   build the documentation into site/
# make session  run the documentation's offline session, and write down what it prints
# make picture  draw the folders and their layers into docs/images/rooms.svg
# make pictures  run commands, and write what they print into docs/images/cli-*.svg
# make wheel  compile the hot path and build a wheel into dist/; takes a C compiler and some ten minutes

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))

CAN_COMPILE := import os, shutil, sysconfig; \
	compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]; \
	headers = os.path.join(sysconfig.get_path("include"), "Python.h"); \
	raise SystemExit(not (shutil.which(compiler) and os.path.exists(headers)))
DIST ?= dist

# Tests start hundreds of processes: each would compile all sources anew where nothing may be kept of that.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
# Tests wait for about half of their time: one process more than there are cores.
PROCESSES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
QUICK := $(wildcard tests/test_*.py) $(addprefix tests/,apis catalog config providers wire)

# The first supported Python on the PATH, unless PYTHON names one.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $$python && break; done)

NAME_ONE = install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)
KILL_SECONDS ?= 300

.PHONY: run check test test-all tests clients lint types bench soak kills hostile docs session picture pictures wheel clean
.DEFAULT_GOAL := run

run: $(VENV)/.run
	@exec $(BIN)/weebill serve $(ARGS)

check: TESTS := $(QUICK)
test-all: TESTS := -m "not clients"
# Mypy works on one core, at first for half a minute: beside the tests, not before them.
check test test-all: $(VENV)/.dev
	@$(MAKE) --no-print-directory -j 3 lint types tests TESTS='$(TESTS)'

tests: $(VENV)/.dev
	$(PYTEST) -q --processes $(PROCESSES) $(TESTS) $(ARGS)

clients: $(VENV)/.dev
	$(PYTEST) -m clients tests/clients $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.bench
	$(BIN)/python -m bench $(ARGS)

soak: $(VENV)/.bench
	$(BIN)/python -m bench soak $(ARGS)

kills: $(VENV)/.dev
	KILL_SECONDS=$(KILL_SECONDS) $(PYTEST) -q -s tests/e2e/test_chaos.py $(ARGS)

hostile: $(VENV)/.dev
	$(BIN)/python -m tests.hostile $(ARGS)

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

session: $(VENV)/.dev
	$(BIN)/python -m tests.session $(ARGS)

picture: $(VENV)/.dev
	$(BIN)/python -m tests.rooms

pictures: $(VENV)/.dev
	$(BIN)/python -m tests.pictures

wheel: $(BIN)/python
	@$(BIN)/python -c '$(CAN_COMPILE)' || { echo "error: compiling takes a C compiler and Python's headers" >&2; \
		echo "hint: on Debian and Ubuntu, 'apt install gcc libc6-dev python3-dev' brings them" >&2; exit 2; }
	@echo "Compiling the hot path; this takes some ten minutes ..."
	@HATCH_BUILD_HOOK_ENABLE_CUSTOM=true $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps \
		--wheel-dir $(DIST) $(ARGS) .
	@ls $(DIST)/weebill-*.whl

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist site

# One stamp for each set of extras; constraints.txt makes every installation the same.
$(VENV)/.run: EXTRAS := local
$(VENV)/.dev: EXTRAS := local,ocr,dev
$(VENV)/.bench: EXTRAS := local,bench
$(VENV)/.docs: EXTRAS := docs
$(VENV)/.run $(VENV)/.dev $(VENV)/.bench $(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing weebill[$(EXTRAS)] into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: Weebill needs Python 3.11, 3.12 or 3.13, and none is on the PATH" >&2; \
		echo "hint: $(NAME_ONE)" >&2; exit 2; }
	@command -v "$(PYTHON)" >/dev/null || { echo "error: there is no program $(PYTHON)" >&2; \
		echo "hint: $(NAME_ONE)" >&2; exit 2; }
	@said=$$("$(PYTHON)" --version 2>&1) || { echo "error: $(PYTHON) is no Python, or cannot be run: $$said" >&2; \
		echo "hint: $(NAME_ONE)" >&2; exit 2; }; \
	"$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || { \
		echo "error: Weebill needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is $$said" >&2; \
		echo "hint: $(NAME_ONE)" >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "error: $(PYTHON) lacks the module venv, or ensurepip" >&2; \
		echo "hint: on Debian and Ubuntu, 'apt install python3-venv' brings what is missing" >&2; exit 2; }
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "error: $(PYTHON) cannot make a virtual environment in $(VENV); what it said is above" >&2; exit 2; }
