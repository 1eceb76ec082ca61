"""What networks see of numbers: themselves, and where they lie between knots."""

import numpy as np
import tensorflow as tf

from tfp_flows.tables.networks import CellFeatures
from tfp_flows.tables.number_maps import NumberSpec

NUMBERS = [NumberSpec("line"), NumberSpec("circle", low=0.0, high=4.0)]


def features_of(*rows, knots):
    cells = CellFeatures([], NUMBERS, knots)
    features = cells(tf.constant(rows, tf.float64), tf.float64).numpy()
    assert features.shape == (len(rows), cells.size)
    return features


def test_a_number_is_itself_and_its_places_between_knots():
    found = features_of([0.5, 2.0], [-9.0, 3.0], knots=(-1.0, 0.0, 2.0))
    root = 3.0**0.5
    expected = [[root * 0.5, 0.5, -0.25, 1.0, 0.0], [-6.0 * root, -0.5, -0.5, 0.0, 1.0]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_without_knots_it_is_itself():
    np.testing.assert_allclose(features_of([0.5, 2.0], knots=()), [[0.5, 1.0, 0.0]])
