# make run | test | test-slow | synth | lint | clean; each begins with `setup`.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.current

.PHONY: setup run test test-slow synth lint clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "winnow needs Python 3.11 or newer: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo "$(PYTHON) has no venv: install it (python3-venv on Debian)"; exit 1; }
	@echo "setting up $(VENV) from the package registry (about half a minute)"
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable '.[test]'
	touch $@

run: setup
	$(VENV)/bin/winnow run

test: setup
	$(VENV)/bin/python -m pytest -n 2 -m 'not slow'

test-slow: setup
	$(VENV)/bin/python -m pytest -n 2

synth: setup
	$(VENV)/bin/winnow baseline

lint: setup
	$(VENV)/bin/ruff check .

clean:
	rm -rf build
