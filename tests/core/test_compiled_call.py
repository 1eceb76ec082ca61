"""Functions that TensorFlow compiles."""

import pytest
import tensorflow as tf

from tfp_flows.core import compiled


@pytest.mark.parametrize("many", [tf.function, compiled.graph_function])
def test_objects_of_one_class_are_no_retraces_of_one_function(many, monkeypatch):
    told = []
    monkeypatch.setattr(tf.get_logger(), "warning", lambda *a, **k: told.append(a))

    class Doubling:
        def of(self, x):
            return 2.0 * x

    for _ in range(6):
        assert many(Doubling().of)(tf.constant(1.0)) == 2.0
    assert bool(told) == (many is tf.function)
