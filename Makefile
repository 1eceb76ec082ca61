# On a fresh machine with Python (3.10 to 3.13) and make, every target sets itself up.
PYTHON ?= python3
VENV ?= .venv
PEERS ?= .venv-peers
NIGHTLY ?= .venv-nightly
OTHER ?= .venv-versions
RELEASE ?= .venv-release
BIN = $(VENV)/bin
# Two processes, which take the modules in the order of tests/conftest.py.
PYTEST = $(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup \
	--no-loadscope-reorder --max-worker-restart=0 --durations=20

# What meets every room and most of TensorFlow and Keras, in a minute or two of one core.
EACH_ROOM = tests/core tests/test_bijector_protocol.py tests/test_saving.py \
	tests/networks/test_mlp.py \
	tests/distributions/test_carried.py tests/distributions/test_flow_distribution.py \
	tests/training/test_density_estimator.py tests/training/test_row_forms.py \
	tests/inference/test_posterior_training.py tests/tables/test_sklearn.py \
	tests/experiments/fitted/test_fitted_tables.py

.PHONY: demo test test-slow test-slow-sample test-versions test-nightly release-check lint docs docs-serve bench clean

demo: $(VENV)/.dev
	for name in two_moons_real_nvp digits_real_nvp digits_glow; do \
	  $(BIN)/python -m experiments density --progress=0 \
	    --flagfile=experiments/recipes/$$name.flags --run_dir=demo/$$name || exit 1; \
	done

test: lint
	$(PYTEST)

# With Sphinx, which a test builds the site with.
test-slow: $(VENV)/.docs
	$(PYTEST) -m slow

# A random tenth of the slow tests, drawn by the date; --sample_seed=2026-11-28 draws that
# of another day.
test-slow-sample: $(VENV)/.docs
	$(PYTEST) -m slow --sample=0.1

# Under versions of one's choice, in an environment of its own; for example
# make test-versions PYTHON=python3.10 VERSIONS='tensorflow==2.20.* keras==3.12.*'
# make test-versions PYTHON=python3.13 EXTRA=dev-nightly VERSIONS='numpy==2.5.*'
EXTRA ?= dev
test-versions:
	$(PYTHON) -m venv --clear $(OTHER)
	$(OTHER)/bin/python -m pip install --quiet '.[$(EXTRA)]' $(VERSIONS)
	PYTHONPATH=$(CURDIR) $(OTHER)/bin/python -m pytest $(EACH_ROOM)

# Warns of what the nightly TensorFlow, Keras and TFP and the newest NumPy break, in an
# environment of its own, whatever the ranges of setup.py; it never fails. The nightly
# packages have the folders of those that they replace, so these have to go before.
test-nightly:
	$(PYTHON) -m venv --clear $(NIGHTLY)
	$(NIGHTLY)/bin/python -m pip install --quiet '.[dev]'
	$(NIGHTLY)/bin/python -m pip uninstall --quiet --yes tfp_flows \
		tensorflow tf-keras keras tensorflow-probability
	$(NIGHTLY)/bin/python -m pip install --quiet --upgrade --pre \
		tf-nightly tf_keras-nightly keras-nightly tfp-nightly numpy
	PYTHONPATH=$(CURDIR) $(NIGHTLY)/bin/python -m pytest $(EACH_ROOM) \
		|| echo "warning: newer packages break some tests, see above"

# Builds what a release holds, checks its contents and its page on an index, and runs
# README's code outside of the repository, where the wheel and its requirements are all
# that is installed.
release-check: $(VENV)/.dev
	$(BIN)/python -m pytest -m '' tests/test_packaging.py
	rm -rf dist
	$(PYTHON) -m venv --clear $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet build twine
	$(RELEASE)/bin/python -m build --outdir dist
	$(RELEASE)/bin/python -m twine check --strict dist/*
	$(PYTHON) -m venv --clear $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet "$$(echo dist/*.whl)[tfp]"
	cd "$$(mktemp -d)" && $(abspath $(RELEASE))/bin/python -I $(CURDIR)/tests/readme_code.py

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
	$(BIN)/python -m benchmarks.real_nvp_step
	$(BIN)/python -m benchmarks.autoregressive \
		--peers_python=$(PEERS)/bin/python
	$(BIN)/python -m benchmarks.glow --peers_python=$(PEERS)/bin/python
	$(BIN)/python -m benchmarks.recompute
	$(BIN)/python -m benchmarks.binary_made --units=500 \
		--peers_python=$(PEERS)/bin/python
	$(BIN)/python -m benchmarks.curves --peers_python=$(PEERS)/bin/python

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
	rm -rf $(VENV) $(PEERS) $(NIGHTLY) $(OTHER) $(RELEASE) .mypy_cache build dist demo docs/_build *.egg-info
