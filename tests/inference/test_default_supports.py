"""Supports of TFP's distributions reach all of their draws, or are refused."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows.core.serialization import deserialize, serialize
from tfp_flows.inference.parts import call_with_parts
from tfp_flows.inference.support import JointSupport, described

tfb, tfd = tfp.bijectors, tfp.distributions


@pytest.mark.parametrize(
    "target",
    [
        tfd.Gamma(0.01, 1.0),  # most draws are below the smallest float
        tfd.Independent(tfd.Gamma([0.01, 2.0], 1.0), 1),
        tfd.Beta(0.01, 0.01),
        tfd.Dirichlet([0.01, 0.01, 0.01]),
        tfd.HalfCauchy(0.0, 1e20),
        tfd.LogNormal(0.0, 60.0),
        tfd.Uniform(1e6, 1e6 + 1.0),
    ],
    ids=lambda target: target.name,
)
def test_draws_at_the_ends_of_floats_are_no_misses(target):
    JointSupport.from_distribution(target)


@pytest.mark.parametrize(
    "part",
    [
        tfd.PowerSpherical([0.0, 1.0], 2.0),
        tfd.Sample(tfd.SphericalUniform(3), 2),
    ],
    ids=lambda part: part.name,
)
def test_a_support_that_is_not_reached_is_refused_by_name(part):
    target = tfd.JointDistributionNamed({"scale": tfd.Gamma(2.0, 1.0), "where": part})
    for refused in (lambda: tff.flow_posterior(target), lambda: tff.fit_posterior(target)):
        with pytest.raises(ValueError, match="'where'.*misses .*%.*`support`"):
            refused()


def test_the_support_of_a_pareto_is_saved():
    prior = tfd.JointDistributionNamed({"end": tfd.Sample(tfd.Pareto(3.0, 1.5), 2)})
    support = JointSupport.from_distribution(prior)
    data, _ = described(support.bijector, "prior")
    loaded = deserialize(data)
    x = np.float32([[-3.0, 2.0]])
    expected = support.bijector.forward(x)["end"]
    np.testing.assert_allclose(expected, 1.5 + np.log1p(np.exp(x)), rtol=1e-6)
    np.testing.assert_array_equal(loaded.forward(x)["end"], expected)


def dirichlet(*concentrations):
    return tfd.Dirichlet(np.array(concentrations, np.float64))


def scaled(distribution):
    return tfb.Scale(np.float64(3))(distribution)


def as_event(distribution):
    return tfd.Independent(distribution, distribution.batch_shape.rank)


def relaxed(kind):
    return kind(np.float64(1.5), logits=np.array([0.0, 1.0, 0.5]))


def lkj(size, concentration, kind=tfd.LKJ, **options):
    return kind(size, np.float64(concentration), **options)


def matrix(**options):
    return tfd.WishartTriL(np.float64(3.5), scale_tril=np.eye(2), **options)


def next_shares(_, shares):
    return tfd.Dirichlet(4.0 * shares + 1.0)


def dependent():
    return tfd.JointDistributionNamed(
        {
            "a": tfd.Uniform(np.float64(0.0), np.float64(1.0)),
            "b": lambda a: tfd.Uniform(a - 1.0, a + 1.0),
            "c": dirichlet(2, 3),
        }
    )


# Distributions with one to three unconstrained variables.
NORMALIZED = {
    "beta": lambda: tfd.Beta(np.float64(2), np.float64(3)),
    "three shares": lambda: dirichlet(1.5, 3, 2),
    "sample": lambda: tfd.Sample(dirichlet(2, 3), 2),
    "independent": lambda: as_event(dirichlet([2, 3], [4, 2])),
    "sample of a batch": lambda: as_event(tfd.Sample(dirichlet([2, 3], [4, 2]), 1)),
    "reshaped batch": lambda: as_event(tfd.BatchReshape(dirichlet([2, 3], [4, 2]), [1, 2])),
    "broadcast batch": lambda: as_event(tfd.BatchBroadcast(dirichlet(2, 3), [2])),
    "chain": lambda: tfd.MarkovChain(dirichlet(2, 3), next_shares, num_steps=2),
    "relaxed": lambda: relaxed(tfd.RelaxedOneHotCategorical),
    "logarithms": lambda: relaxed(tfd.ExpRelaxedOneHotCategorical),
    "logistic normal": lambda: tfb.SoftmaxCentered()(
        tfd.MultivariateNormalDiag(np.array([0.0, 1.0]))
    ),
    "scaled shares": lambda: scaled(dirichlet(2, 3, 2)),
    "logarithms of scaled": lambda: tfb.Log()(scaled(dirichlet(2, 3, 2))),
    "correlation": lambda: lkj(2, 2),
    "correlations": lambda: lkj(3, 1.5),
    "factors": lambda: lkj(3, 1.5, tfd.CholeskyLKJ),
    "factors with the density of products": lambda: lkj(3, 1.5, input_output_cholesky=True),
    "wishart": matrix,
    "wishart of an operator": lambda: tfd.WishartLinearOperator(
        np.float64(3.5), tf.linalg.LinearOperatorLowerTriangular(np.eye(2))
    ),
    "joint": lambda: tfd.JointDistributionSequential([dirichlet(2, 3), lkj(2, 2)]),
    "joint of batches": lambda: tfd.JointDistributionNamedAutoBatched(
        {"a": dirichlet(2, 3), "b": lkj(2, 2)}
    ),
    "nested joint": lambda: tfd.JointDistributionNamed(
        {"a": tfd.JointDistributionNamed({"b": dirichlet(2, 3)}), "c": dirichlet(3, 2)}
    ),
    "joint with a dependent support": dependent,
}


def integral(log_prob, support):
    """Integral of a density by the midpoint rule in the unconstrained space."""
    num_points = {1: 1001, 2: 151, 3: 51}[support.event_size]
    ends = np.linspace(-3.3, 3.3, num_points + 1)
    middles = (ends[1:] + ends[:-1]) / 2.0
    weights = (ends[1] - ends[0]) * np.cosh(middles)  # points are sinh(middles)
    points = np.meshgrid(*[np.sinh(middles)] * support.event_size)
    weights = np.prod(np.meshgrid(*[weights] * support.event_size), axis=0)
    x = tf.constant(
        np.stack(points, axis=-1).reshape(-1, support.event_size), support.dtype
    )
    log_det = support.bijector.forward_log_det_jacobian(x, event_ndims=1)
    density = np.exp(call_with_parts(log_prob, support.bijector.forward(x)) + log_det)
    return np.sum(np.where(np.isfinite(density), density, 0.0) * weights.ravel())


@pytest.mark.slow_ids("*batch*", "*of scaled", "nested*")
@pytest.mark.parametrize("name", NORMALIZED)
def test_density_integrates_to_1_over_the_support(name):
    target = NORMALIZED[name]()
    support = JointSupport.from_distribution(target)
    np.testing.assert_allclose(integral(target.log_prob, support), 1.0, atol=1e-3)


@pytest.mark.parametrize("name", ["correlations", "wishart", "scaled shares"])
def test_files_hold_supports(name):
    support = JointSupport.from_distribution(NORMALIZED[name]())
    plain = json.loads(json.dumps(serialize(support.bijector)))
    loaded = dataclasses.replace(support, bijector=deserialize(plain))
    assert loaded.equals(support)


GIVEN = {
    "shares": (3, tfb.SoftmaxCentered(), dirichlet(2, 3, 2).log_prob),
    "shares by sigmoids": (3, tfb.IteratedSigmoidCentered(), dirichlet(2, 3, 2).log_prob),
    "in a chain": (
        2,
        tfb.Chain(
            [tfb.Identity(), tfb.Chain([tfb.SoftmaxCentered(), tfb.Scale(np.float64(2))])]
        ),
        dirichlet(2, 3).log_prob,
    ),
    "shares by name": (
        {"p": 3, "q": []},
        {"p": tfb.SoftmaxCentered(), "q": None},
        lambda p, q: (
            dirichlet(2, 3, 2).log_prob(p) + tfd.Normal(np.float64(0), 1.0).log_prob(q)
        ),
    ),
    "as one bijector": (
        {"p": 2, "q": 2},
        tfb.JointMap({"p": tfb.SoftmaxCentered(), "q": tfb.SoftmaxCentered()}),
        lambda p, q: dirichlet(2, 3).log_prob(p) + dirichlet(4, 3).log_prob(q),
    ),
    "correlations": (
        [2, 2],
        tfb.Chain([tfb.CholeskyOuterProduct(), tfb.CorrelationCholesky()]),
        lkj(2, 2).log_prob,
    ),
    "ordered": (
        3,
        tfb.Ascending(),
        lambda x: np.log(6.0) + tfd.Sample(tfd.Normal(np.float64(0), 1.0), 3).log_prob(x),
    ),
    "circle": (
        2,
        tfb.UnitVector(),
        tfd.VonMisesFisher(np.array([0.0, -1.0]), np.float64(2)).log_prob,
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_density_integrates_to_1_over_a_given_support(name):
    shape, bijector, log_prob = GIVEN[name]
    support = JointSupport.from_shape(shape, bijector, np.float64)
    # The density does not vanish at the pole of the circle, which is mapped to infinity.
    tolerance = 0.01 if name == "circle" else 1e-3
    np.testing.assert_allclose(integral(log_prob, support), 1.0, atol=tolerance)
