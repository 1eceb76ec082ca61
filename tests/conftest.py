"""What all tests need: a quiet TensorFlow, two logical CPUs, seeds, marks and order."""

import gc
import os
import random
import time
from fnmatch import fnmatchcase
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# Threads of classifiers that wait for each other spin, at the cost of all others.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import derivatives
import keras
import numpy as np
import pytest
import refusals
import tensorflow as tf
from bijector_cases import CASES as BIJECTORS
from distribution_cases import CASES as DISTRIBUTIONS
from flow_cases import CASES as FLOWS
from slow_cases import REPRESENTATIVES, SLOW_CASES

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
)

# The modules whose tests run on all lines of the tables of cases.
_CONTRACTS = {"test_bijector_contract", "test_bijector_protocol"}
_CONTRACTS |= {"test_flow_contract", "test_distribution_contract"}
_CASES = BIJECTORS.keys() | FLOWS.keys() | DISTRIBUTIONS.keys()
assert REPRESENTATIVES | SLOW_CASES <= _CASES

# Folders whose modules take longest come first: no process waits for the other at the end.
_FIRST = ["experiments", "inference", "training", "vae", "distributions", "bijectors"]


def pytest_addoption(parser):
    of_share = "run a random share of the tests, 0.1 for a tenth"
    of_seed = "seed of the share that `--sample` draws; today's date by default"
    parser.addoption("--sample", type=float, help=of_share)
    parser.addoption("--sample_seed", default=time.strftime("%Y-%m-%d"), help=of_seed)
    of_pages = (
        "is added to the seeds of the guide's code, whose printed text may then differ"
    )
    parser.addoption("--page_seed", type=int, default=0, help=of_pages)


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "slow_ids(*patterns): parameters, by their ids, with which a test is slow",
    )
    # Traces make many objects, of which few are garbage before the tests of a group end.
    gc.set_threshold(100_000, 20, 20)
    keras.utils.set_random_seed(0)  # for the first group


def pytest_report_header(config):
    share, seed = config.option.sample, config.option.sample_seed
    return f"a random {share:g} of the tests: --sample_seed={seed}" if share else None


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config, items):
    """Marks slow tests, and puts the tests of one case or module into one process.

    So what they share is built once, and a case need not be kept until the end.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            group = _contract_case(item) or item.module.__name__
            item.add_marker(pytest.mark.xdist_group(group))
        if _has_slow_id(item) or _contract_case(item) in SLOW_CASES:
            item.add_marker(pytest.mark.slow)
    if config.option.sample:
        drawn = [item for item in items if _is_drawn(item, config.option)]
        config.hook.pytest_deselected(items=[i for i in items if i not in set(drawn)])
        items[:] = drawn
    items.sort(key=_order)
    gc.freeze()  # the collector need not look at what was imported


def _has_slow_id(item):
    patterns = [p for mark in item.iter_markers("slow_ids") for p in mark.args]
    return any(fnmatchcase(item.callspec.id, pattern) for pattern in patterns)


def _is_drawn(item, option):
    seed = f"{option.sample_seed} {item.nodeid}"
    return random.Random(seed).random() < option.sample


@pytest.hookimpl(trylast=True)  # after the fixtures have ended
def pytest_runtest_teardown(item, nextitem):
    if nextitem is None or _group(nextitem) != _group(item):
        _free_memory(item.module)


def _group(item):
    return item.get_closest_marker("xdist_group").args[0]


def _free_memory(module):
    """Frees the models and graphs that the tests of a group kept in caches."""
    from_the_group = (module.__name__, "subject")
    for function in vars(module).values():
        if hasattr(function, "cache_clear") and function.__module__ in from_the_group:
            function.cache_clear()
    keras.utils.set_random_seed(0)  # for the next group; drops the cache of functions
    gc.collect()
    gc.freeze()


def _order(item):
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    rank = _FIRST.index(folder) if folder in _FIRST else len(_FIRST)
    return rank, _contract_case(item)


def _contract_case(item):
    if item.module.__name__ not in _CONTRACTS or not hasattr(item, "callspec"):
        return ""
    values = item.callspec.params.values()
    return next((v for v in values if isinstance(v, str) and v in _CASES), "")


@pytest.fixture(autouse=True)
def _fixed_seeds(request):
    """Sets all seeds; TensorFlow's once for a group of fast tests, and for each slow test.

    Setting TensorFlow's seed drops its cache of prepared functions and operations, and the
    next calls take a tenth of a second, or up to a second with a graph, to fill it again.
    Draws of the contracts have seeds.
    """
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    is_slow = request.node.get_closest_marker("slow") is not None
    if is_slow and request.module.__name__ not in _CONTRACTS:
        keras.utils.set_random_seed(0)


@pytest.fixture
def op_by_op():
    with derivatives.op_by_op():
        yield


@pytest.fixture(scope="module")
def all_op_by_op():
    with derivatives.op_by_op():
        yield


@pytest.fixture(scope="session")
def replicas():
    """A strategy of two replicas; TensorFlow supports one such strategy in a process."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def banana(rng):
    """512 rows of a curved 2-D density, float32."""
    x = rng.normal(size=(512, 2))
    return np.stack([x[:, 0], 0.5 * x[:, 0] ** 2 + 0.3 * x[:, 1]], -1).astype(np.float32)


@pytest.fixture
def check_refused(tmp_path, monkeypatch):
    """`refusals.check_refused`, in a folder where the call must write nothing."""

    def check(call, words):
        refusals.check_refused(call, words)
        assert not list(tmp_path.iterdir())

    monkeypatch.chdir(tmp_path)
    return check
