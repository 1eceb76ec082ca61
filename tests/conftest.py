"""What every test needs: a quiet TensorFlow, two logical CPUs, fixed seeds."""

import functools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# Threads of classifiers that wait for each other spin, at the cost of all others.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import keras
import numpy as np
import pytest
import tensorflow as tf
from bijector_cases import CASES as BIJECTORS
from distribution_cases import CASES as DISTRIBUTIONS
from flow_cases import CASES as FLOWS
from slow_cases import SLOW

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
)

_new_mirrored_strategy = tf.distribute.MirroredStrategy


@functools.cache
def _mirrored_strategy():
    return _new_mirrored_strategy(["CPU:0", "CPU:1"])


# One for all tests of a process: a second one would use the first one's collective keys.
tf.distribute.MirroredStrategy = lambda devices=None: _mirrored_strategy()

# The modules whose tests run on all lines of the tables of cases.
_CONTRACTS = {
    *("test_bijector_contract", "test_bijector_weights", "test_flow_contract"),
    *("test_distribution_contract", "test_distribution_weights"),
}
_CASES = BIJECTORS.keys() | FLOWS.keys() | DISTRIBUTIONS.keys()


def pytest_collection_modifyitems(items):
    """Puts the tests of one contract case, or else of one module, into one process.

    So what they share is built once, and a case need not be kept until the end. Those of
    cases that are marked so are slow.
    """
    for item in items:
        case = _contract_case(item)
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(case or item.module.__name__))
        if case in SLOW:
            item.add_marker(pytest.mark.slow)
    items.sort(key=_contract_case)


def _contract_case(item):
    if item.module.__name__ not in _CONTRACTS or not hasattr(item, "callspec"):
        return ""
    values = item.callspec.params.values()
    return next((v for v in values if isinstance(v, str) and v in _CASES), "")


@pytest.fixture(autouse=True)
def _fixed_seeds():
    keras.utils.set_random_seed(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def banana(rng):
    """512 rows of a curved 2-D density, float32."""
    x = rng.normal(size=(512, 2))
    return np.stack([x[:, 0], 0.5 * x[:, 0] ** 2 + 0.3 * x[:, 1]], -1).astype(np.float32)
