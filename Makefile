# On a fresh machine with Python (3.10 to 3.13) and make, every target sets itself up.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test test-slow lint bench clean

demo: $(VENV)/.dev
	$(BIN)/python -m experiments.demo

test: lint
	$(BIN)/python -m pytest --numprocesses=2

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

bench: $(VENV)/.bench
	$(BIN)/python -m experiments.benchmarks.real_nvp_step

$(VENV)/.dev: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) build dist demo *.egg-info
