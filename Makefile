# On a fresh machine with Python (3.10 to 3.13) and make, every target sets itself up.
PYTHON ?= python3
VENV ?= .venv
PEERS ?= .venv-peers
NIGHTLY ?= .venv-nightly
BIN = $(VENV)/bin
# Two processes, which take the modules in the order of tests/conftest.py.
PYTEST = $(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup \
	--no-loadscope-reorder --max-worker-restart=0 --durations=20

.PHONY: demo test test-slow test-nightly lint docs docs-serve bench clean

demo: $(VENV)/.dev
	$(BIN)/python -m experiments.demo

test: lint
	$(PYTEST)

test-slow: $(VENV)/.dev
	$(PYTEST) -m slow

# Warns of what the newest TensorFlow, Keras and TFP break, in an environment of its own,
# whatever the ranges of setup.py; it never fails.
test-nightly:
	$(PYTHON) -m venv $(NIGHTLY)
	$(NIGHTLY)/bin/python -m pip install --quiet --upgrade '.[dev]'
	$(NIGHTLY)/bin/python -m pip uninstall --quiet --yes tensorflow-probability tfp_flows
	$(NIGHTLY)/bin/python -m pip install --quiet --upgrade --pre \
		tensorflow tf-keras keras tfp-nightly
	PYTHONPATH=. $(NIGHTLY)/bin/python -m pytest tests/test_saving.py \
		tests/test_bijector_protocol.py tests/test_docstrings.py \
		tests/models/test_density_estimator.py \
		|| echo "warning: newer packages break some tests, see above"

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Without a network; runs the code of the pages, and keeps what it gave by its content.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -b html docs docs/_build/html

docs-serve: docs
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory docs/_build/html 8000

bench: $(VENV)/.bench $(PEERS)/.bench
	$(BIN)/python -m experiments.benchmarks.real_nvp_step
	$(BIN)/python -m experiments.benchmarks.autoregressive \
		--peers_python=$(PEERS)/bin/python
	$(BIN)/python -m experiments.benchmarks.glow --peers_python=$(PEERS)/bin/python
	$(BIN)/python -m experiments.benchmarks.recompute
	$(BIN)/python -m experiments.benchmarks.binary_made --units=500 \
		--peers_python=$(PEERS)/bin/python

$(VENV)/.dev: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	touch $@

# Peers that do not go with those in $(VENV): flowjax wants a JAX that distrax does not.
$(PEERS)/.bench: setup.py
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --editable '.[bench-peers]'
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) $(NIGHTLY) .mypy_cache build dist demo docs/_build *.egg-info
