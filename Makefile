# make run | test | test-slow | lint | clean; each begins with `setup`.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.current

.PHONY: setup run test test-slow lint clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable '.[test]'
	touch $@

run: setup
	$(VENV)/bin/winnow run

test: setup
	$(VENV)/bin/python -m pytest -n 2 -m 'not slow'

test-slow: setup
	$(VENV)/bin/python -m pytest -n 2

lint: setup
	$(VENV)/bin/ruff check .

clean:
	rm -rf build
