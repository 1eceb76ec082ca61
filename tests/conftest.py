"""What every test needs: a quiet TensorFlow, two logical CPUs, fixed seeds.

Most functions of tests are called a few times only. So TensorFlow and XLA need not
optimise what they run, but for the slow tests, which run as a user's code does.
"""

import functools
import gc
import os
import random
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# Threads of classifiers that wait for each other spin, at the cost of all others.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import derivatives
import keras
import numpy as np
import pytest
import tensorflow as tf
from bijector_cases import CASES as BIJECTORS
from distribution_cases import CASES as DISTRIBUTIONS
from flow_cases import CASES as FLOWS
from slow_cases import REPRESENTATIVES
from slow_cases import SLOW_CASES
from slow_cases import is_slow
from tensorflow.python.eager import context
from tensorflow.python.framework import ops
from tensorflow.python.util import tf_stack

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
    *("test_bijector_contract", "test_bijector_protocol", "test_bijector_weights"),
    *("test_flow_contract", "test_distribution_contract", "test_distribution_weights"),
}
_CASES = BIJECTORS.keys() | FLOWS.keys() | DISTRIBUTIONS.keys()
assert REPRESENTATIVES | SLOW_CASES <= _CASES

# Folders whose modules take longest come first: no process waits for the other at the end.
_FIRST = (
    "experiments/",
    "inference/",
    "training/",
    "vae/",
    "distributions/",
    "bijectors/",
    "flows/",
    "networks/",
)


def pytest_configure(config):
    # Traces make many objects, of which few are garbage before the tests of a group end.
    gc.set_threshold(100_000, 20, 20)
    if "not slow" in config.option.markexpr:
        os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
        _share_one_stack()


def _share_one_stack():
    """Has no operation of a graph know where in Python it was made, as messages tell.

    To write that down, with all frames of pytest and Keras, takes a fifth of tracing.
    """
    stack = tf_stack.extract_stack()
    tf_stack.extract_stack = lambda stacklevel=1: stack


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Puts the tests of one contract case, or else of one module, into one process.

    So what they share is built once, and a case need not be kept until the end.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            group = _contract_case(item) or item.module.__name__
            item.add_marker(pytest.mark.xdist_group(group))
        if is_slow(_path(item), item.name) or _contract_case(item) in SLOW_CASES:
            item.add_marker(pytest.mark.slow)
    items.sort(key=_order)
    _keep_what_lives()


@pytest.hookimpl(trylast=True)  # after the fixtures have ended
def pytest_runtest_teardown(item, nextitem):
    if nextitem is None or _group(nextitem) != _group(item):
        _free_memory(item.module)


def _group(item):
    return item.get_closest_marker("xdist_group").args[0]


def _free_memory(module):
    """Frees the graphs and models of the tests that have run.

    TensorFlow registers the gradient of each traced `tf.custom_gradient` for ever, and that
    holds the whole graph in which it was traced.
    """
    registry = ops.gradient_registry._registry
    for name in [name for name in registry if name.startswith("CustomGradient")]:
        del registry[name]
    from_the_group = (module.__name__, "subject")
    for function in vars(module).values():
        if hasattr(function, "cache_clear") and function.__module__ in from_the_group:
            function.cache_clear()
    keras.utils.set_random_seed(0)  # which drops what TensorFlow has prepared to run them
    gc.collect()
    _keep_what_lives()


def _keep_what_lives():
    """Tells the collector to look no more at what is imported or shared by all tests."""
    gc.freeze()


def _path(item):
    return item.path.relative_to(Path(__file__).parent).as_posix()


def _order(item):
    path = _path(item)
    rank = next((i for i, f in enumerate(_FIRST) if path.startswith(f)), len(_FIRST))
    return rank, _contract_case(item)


def _contract_case(item):
    if item.module.__name__ not in _CONTRACTS or not hasattr(item, "callspec"):
        return ""
    values = item.callspec.params.values()
    return next((v for v in values if isinstance(v, str) and v in _CASES), "")


# TensorFlow's generator as its seed leaves it, before anything is drawn by that.
_UNUSED = random.Random(0).getstate()


@pytest.fixture(autouse=True)
def _fixed_seeds():
    """Sets all seeds; that of TensorFlow only where something has drawn by it.

    To set it drops all that TensorFlow has prepared to run functions and ops, and a test
    of a few ops op by op takes half as long again.
    """
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    state = context.context()
    if state._seed != 0 or state._rng.getstate() != _UNUSED:
        keras.utils.set_random_seed(0)


@pytest.fixture
def op_by_op():
    with derivatives.op_by_op():
        yield


@pytest.fixture(scope="module")
def all_op_by_op():
    with derivatives.op_by_op():
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def banana(rng):
    """512 rows of a curved 2-D density, float32."""
    x = rng.normal(size=(512, 2))
    return np.stack([x[:, 0], 0.5 * x[:, 0] ** 2 + 0.3 * x[:, 1]], -1).astype(np.float32)
