"""How often samples look like the class that was asked for."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.data import load_dataset
from experiments.density_estimation.evaluation import class_agreement


def subject_with(samples_by_class):
    dataset = load_dataset("digits", conditional=True)
    return SimpleNamespace(dataset=dataset, samples_by_class=samples_by_class)


@pytest.fixture(scope="module")
def real():
    """Twenty test images of each class, `[10, 20, 64]`."""
    dataset = load_dataset("digits", conditional=True)
    classes = dataset.test_context.argmax(axis=1)
    return np.stack([dataset.test[classes == c][:20] for c in range(10)])


def test_real_images_agree(real):
    found = class_agreement(subject_with(real))
    assert found["agreement"] > 0.95
    assert found["classifier_test_accuracy"] > 0.97
    share = found["agreement"]
    assert found["two_standard_errors"] == pytest.approx(
        2.0 * np.sqrt(share * (1.0 - share) / 200)
    )


def test_images_of_other_classes_do_not(real):
    found = class_agreement(subject_with(np.roll(real, 1, axis=0)))
    assert found["agreement"] < 0.05


def test_class_that_fails_is_named(real):
    broken = real.copy()
    broken[3] = real[4]
    by_class = class_agreement(subject_with(broken))["by_class"]
    assert min(by_class, key=by_class.get) == "3"


def test_samples_that_are_not_finite_do_not_agree(real):
    broken = real.copy()
    broken[:, :10, 5] = np.array([np.nan, np.inf] * 5)
    found = class_agreement(subject_with(broken))
    assert max(found["by_class"].values()) <= 0.5
