"""What every test needs: a quiet TensorFlow, two logical CPUs, fixed seeds."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np
import pytest
import subject
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
)


def pytest_collection_modifyitems(items):
    """Puts the tests of one contract case into one process, one after the other.

    So each case is built once, and need not be kept until the end. Cases whose contract
    takes long are marked.
    """
    for item in items:
        if case := _contract_case(item):
            item.add_marker(pytest.mark.xdist_group(case))
        if case in subject.SLOW:
            item.add_marker(pytest.mark.slow)
    items.sort(key=_contract_case)


def _contract_case(item):
    if not hasattr(item.module, "subject_of") or not hasattr(item, "callspec"):
        return ""
    values = item.callspec.params.values()
    cases = [v for v in values if isinstance(v, str) and v in subject.ALL_CASES]
    return cases[0] if cases else ""


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
