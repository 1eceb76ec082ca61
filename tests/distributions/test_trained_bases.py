"""Bases of flows with weights: listed, trained, saved and copied."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import perturb, values
from subject import differ

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions
TINY = {"num_steps": 1, "hidden_units": (4,), "activation": "tanh", "seed": 0}
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(64, 2)).astype(np.float32)
CLASSES = np.eye(3, dtype=np.float32)[RNG.integers(3, size=64)]


def weight(*shape, seed=0):
    value = np.random.default_rng(seed).normal(size=shape)
    return tf.Variable(value.astype(np.float32))


def positive(*shape):
    return tfp.util.TransformedVariable(np.ones(shape, np.float32), tfb.Softplus())


def diagonal(*batch):
    return tfd.MultivariateNormalDiag(weight(*batch, 2), positive(*batch, 2))


class ClassMeans(tfd.Distribution):
    """A user's own distribution: normal, with a mean for each class."""

    context_size = 3

    def __init__(self, means, name="class_means"):
        self._means = means
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters={"means": means},
            name=name,
        )

    def get_config(self):
        return {"means": self._means}

    def _normal(self, context):
        return tfd.MultivariateNormalDiag(context @ self._means, tf.ones(2))

    def _batch_shape(self):
        return tf.TensorShape([])

    def _event_shape(self):
        return tf.TensorShape([2])

    def _log_prob(self, value, context=None):
        return self._normal(context).log_prob(value)

    def _sample_n(self, n, seed=None, context=None):
        return self._normal(context).sample(seed=seed)  # context: [n, 3]

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {"means": tfp.util.ParameterProperties(event_ndims=2)}


BASES = {
    "mixture": lambda: tfd.MixtureSameFamily(
        tfd.Categorical(logits=weight(4)), diagonal(4)
    ),
    "triangular": lambda: tfd.MultivariateNormalTriL(
        weight(2), tfp.util.TransformedVariable(tf.eye(2), tfb.FillScaleTriL())
    ),
    "mixture made": lambda: tff.MixtureMADE(
        2, 3, hidden_units=(4,), context_size=3, seed=0
    ),
    "flow": lambda: tff.FlowDistribution(tff.standard_normal(2), tff.MAF(2, **TINY)),
    "one's own": lambda: ClassMeans(weight(3, 2)),
}


def over(base, **options):
    return tff.FlowDistribution(BASES[base](), tff.MAF(2, **TINY, **options))


def given(distribution):
    return {"context": CLASSES} if distribution.context_size else {}


def fitted(distribution):
    model = tff.DensityEstimator(distribution)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    rows = (ROWS, CLASSES) if distribution.context_size else ROWS
    model.fit(rows, epochs=1, batch_size=32, verbose=0)
    return model


@pytest.mark.slow_ids("flow")
@pytest.mark.parametrize("base", BASES)
@pytest.mark.usefixtures("op_by_op")
def test_weights_of_the_base_are_listed_trained_saved_and_copied(base, tmp_path):
    distribution = over(base)
    before = values(distribution)
    from_base = {v.ref() for v in distribution.distribution.trainable_variables}
    assert from_base
    listed = [v.ref() for v in distribution.trainable_variables]
    assert len(listed) == len(set(listed))
    assert from_base < set(listed)

    model = fitted(distribution)
    assert len(model.trainable_weights) == len(listed)
    for was, variable in zip(before, distribution.variables, strict=True):
        if variable.ref() in from_base:
            assert differ(was, variable)
    expected = distribution.log_prob(ROWS, **given(distribution)).numpy()
    assert np.isfinite(expected).all()
    draws = distribution.sample(3, seed=1, **given(distribution))
    assert draws.shape == ((3, 64, 2) if distribution.context_size else (3, 2))

    model.save(tmp_path / "model.keras")
    loaded = tff.load(tmp_path / "model.keras", custom_modules=[__name__]).distribution
    pickled = pickle.loads(pickle.dumps(distribution))
    for other in (loaded, pickled, copy.deepcopy(distribution)):
        log_prob = other.log_prob(ROWS, **given(distribution))
        np.testing.assert_array_equal(log_prob, expected)
        perturb(other)
        assert differ(other.log_prob(ROWS, **given(distribution)), expected)
    np.testing.assert_array_equal(
        distribution.log_prob(ROWS, **given(distribution)), expected
    )
    for shared in (copy.copy(distribution), distribution.copy()):
        assert {v.ref() for v in shared.trainable_variables} == set(listed)


def test_each_context_has_draws_of_its_own():
    distribution = over("one's own")
    means = distribution.distribution.trainable_variables[0].numpy()
    classes = np.eye(3, dtype=np.float32)[:2, None]  # [2, 1, 3]
    y, log_prob = distribution.sample_and_log_prob((2000, 2), seed=1, context=classes)
    assert (y.shape, log_prob.shape) == ((2000, 2, 2, 1, 2), (2000, 2, 2, 1))
    np.testing.assert_allclose(
        np.mean(y, axis=(0, 1)), means[:2, None], atol=0.1
    )  # the flow is the identity
    again = distribution.log_prob(y.numpy(), context=classes)
    np.testing.assert_allclose(log_prob, again, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=r"`context` of shape \[\.\.\., 3\].*None"):
        distribution.sample(2)
