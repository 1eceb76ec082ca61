"""Calls of posteriors, their losses and kernels that are refused."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from refusals import all_refused
from small_parts import TINY, flow

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions


def target():
    return tfd.JointDistributionNamed(
        {"loc": tfd.Normal(0.0, 1.0), "scale": tfd.LogNormal(0.0, 1.0)}
    )


LOG_PROB = target().log_prob


@functools.cache
def posterior():
    return tff.flow_posterior(target(), **TINY)


@functools.cache
def conditional_posterior():
    return tff.flow_posterior(target(), context_size=2, **TINY)


class EventOnly:
    """A model of another library, with a shape and a log-density."""

    event_shape = tf.TensorShape([2])
    unnormalized_log_prob = staticmethod(lambda x: -tf.reduce_sum(x**2, axis=-1))


def with_counts():
    return tfd.JointDistributionNamed(
        {"rate": tfd.Gamma(2.0, 1.0), "count": lambda rate: tfd.Poisson(rate)}
    )


def unnamed(*parts):
    return tff.flow_posterior(tfd.JointDistributionSequential(list(parts)), **TINY)


def loss(posterior, log_prob=LOG_PROB, **options):
    return tff.variational_loss(log_prob, posterior, **options)


def neutra(posterior, log_prob=LOG_PROB, **options):
    return tff.neutra_kernel(log_prob, posterior, **options)


def proposals(posterior, **options):
    return tff.flow_proposal_kernel(LOG_PROB, posterior, **options)


def nuts(log_prob=LOG_PROB, **options):
    return tff.inference.adaptive_nuts(log_prob, **options)


def plain(x):
    return -tf.reduce_sum(x**2, axis=-1)


def total(**parts):
    return tf.reduce_sum(LOG_PROB(**parts))


def a_column(**parts):
    return LOG_PROB(**parts)[:, tf.newaxis]


def two(**parts):
    return tf.stack([LOG_PROB(**parts)] * 2, axis=1)


def wide(**parts):
    return tf.cast(LOG_PROB(**parts), tf.float64)


def fit(log_prob=plain, shape=2, **options):
    return tff.fit_posterior(
        shape, target_log_prob_fn=log_prob, **{"seed": 0, "max_gradients": 1000, **options}
    )


BAD_CALLS = [
    (lambda: tff.flow_posterior(lambda x: -(x**2)), "`target` | function | log_prob"),
    (lambda: tff.flow_posterior(tfd.Normal), "`target` | the class Normal; call it"),
    (lambda: tff.flow_posterior(-2), "`target` | -2"),
    (lambda: tff.flow_posterior(EventOnly()), "`target` | the class EventOnly | `support`"),
    (
        lambda: tff.flow_posterior(with_counts().experimental_pin(rate=1.0), **TINY),
        "`target` of continuous parts | 'count' | Poisson",
    ),
    (
        lambda: unnamed(with_counts()),
        "`target` of continuous parts | 'count' | Poisson",
    ),
    (
        lambda: unnamed(tfd.Normal(0.0, 1.0), tfd.Normal(np.float64(0.0), 1.0)),
        "one floating-point dtype | of float32 | of float64",
    ),
    (
        lambda: tff.flow_posterior(tfd.Normal([0.0, 1.0], 1.0), **TINY),
        "`target` without batch axes | (2,)",
    ),
    (
        lambda: unnamed(tfd.Normal(0.0, 1.0), tfd.Normal([0.0, 1.0], 1.0)),
        "`target` without batch axes | 1 of batch shape (2,)",
    ),
    (
        lambda: unnamed(
            tfd.MixtureSameFamily(tfd.Categorical([0.0]), tfd.Normal([0.0], 1.0))
        ),
        "know their support | got the part 0",
    ),
    (lambda: tff.flow_posterior(2, "glow"), "`flow`, one of ['iaf' | got 'glow'"),
    (
        lambda: tff.flow_posterior(target(), tff.IAF(3, **TINY)),
        "`flow` on vectors of the target's 2 | iaf | , 3]; got (2,)",
    ),
    (
        lambda: tff.flow_posterior(3, tfb.FillTriangular()),
        "which maps them to shape (2, 2)",
    ),
    (
        lambda: tff.flow_posterior(target(), tff.IAF(2, **TINY), num_steps=2),
        "no options with a built `flow` | num_steps",
    ),
    (lambda: tff.flow_posterior(target(), support=tfb.Exp()), "no `support`"),
    (lambda: tff.flow_posterior(2, support="positive"), "`support` | 'positive'"),
    (lambda: tff.flow_posterior({"a": 1, "b": 2}, support={"a": tfb.Exp()}), "`support`"),
    (lambda: tff.flow_posterior(2, target_log_prob_fn=1.0), "`target_log_prob_fn` | 1.0"),
    (lambda: tff.inference.FlowPosterior(tff.standard_normal(2), None), "`support` | None"),
    (lambda: posterior().sample(context=[[1.0]]), "no `context`"),
    (
        lambda: posterior().log_prob({"loc": [0.0]}),
        "`value` of the parts ['loc', 'scale']; got ['loc']",
    ),
    (
        lambda: posterior().log_prob([0.0, 1.0]),
        "`value` of the parts ['loc', 'scale']; got [0, 1]",
    ),
    (
        lambda: posterior().initialize({"loc": [0.0], "size": [1.0]}),
        "`draws` of the parts ['loc', 'scale']; got ['loc', 'size']",
    ),
    (
        lambda: tff.flow_posterior(2, **TINY).log_prob(tf.zeros([5, 3])),
        "`value` of shape [..., 2]; got (5, 3)",
    ),
    (lambda: loss(posterior(), sample_size=0), "`sample_size` | got 0"),
    (lambda: loss(posterior(), lambda **_: None), "of float32 numbers | got NoneType"),
    (
        lambda: loss(posterior(), lambda **_: np.zeros(1, np.float32)),
        "got ndarray. Compute it by TensorFlow",
    ),
    (lambda: loss(posterior(), wide), "of float32 numbers, as the | got float64"),
    (lambda: loss(posterior(), two, sample_size=5), "each of N draws, (5,) | shape (5, 2)"),
    (lambda: loss(posterior(), total, sample_size=3), "each of N draws, (3,) | shape ()"),
    (
        lambda: loss(posterior(), a_column, sample_size=3, importance_sample_size=2),
        "each of N draws, (6,) | shape (6, 1)",
    ),
    (lambda: neutra(flow()), "`posterior` | real_nvp"),
    (
        lambda: neutra(posterior(), total).bootstrap_results(posterior().sample(3, seed=0)),
        "each of N draws, (3,) | shape ()",
    ),
    (lambda: neutra(posterior(), 1.0), "`target_log_prob_fn` | 1.0"),
    (lambda: neutra(posterior(), make_kernel="nuts"), "`make_kernel` | 'nuts'"),
    (
        lambda: neutra(posterior(), make_kernel=lambda f: f),
        "`make_kernel` | to return a `tfp.mcmc.TransitionKernel`",
    ),
    (lambda: proposals(conditional_posterior()), "`posterior` | context size 2"),
    (lambda: proposals(posterior(), num_local_steps=0), "`num_local_steps` | got 0"),
    (lambda: nuts(step_size=0.0), "`step_size` above 0 | 0.0"),
    (lambda: nuts(target_accept_prob=1.0), "`target_accept_prob` between 0 and 1 | 1.0"),
    (
        lambda: tff.inference.independent_proposals(LOG_PROB, flow()),
        "`proposal` | real_nvp",
    ),
    (lambda: tff.inference.AlternatingKernel(1, 2), "`local_kernel` | 1"),
    (
        lambda: tff.fit_posterior(target().experimental_pin(loc=0.0, scale=1.0)),
        "a variable that is not pinned",
    ),
    (lambda: tff.fit_posterior(2), "`target_log_prob_fn` | event shape | None"),
    (lambda: fit(seed=1.5), "`seed` | 1.5"),
    (lambda: fit(max_minutes=float("nan")), "`max_minutes`"),
    (lambda: fit(max_gradients=0), "`max_gradients`"),
    (lambda: fit(verbose="yes"), "`verbose`"),
    (lambda: fit(checkpoint_dir=__file__), "`checkpoint_dir`"),
    (lambda: fit(dtype="float16"), "float32 or float64"),
    (
        lambda: tff.fit_posterior(target(), dtype="float64"),
        "`dtype` of the target's parts, float32 | float64",
    ),
    (
        lambda: tff.fit_posterior(
            tfd.JointDistributionNamedAutoBatched(
                {"a": tfd.Normal(0.0, 1.0), "y": lambda a: tfd.Normal(a, 1.0)}
            ).experimental_pin(y=[1.0, 2.0]),
        ),
        "a number for each of N draws",
    ),
    (
        lambda: fit(lambda x: plain(tf.cast(x, tf.float64))),
        "of float32, as its parts are; got float64",
    ),
    (lambda: fit(lambda x: -np.sum(np.square(x), -1)), "takes N draws"),
    (lambda: fit(lambda x: x * np.ones(4), []), "takes N draws | (128,) of float32"),
    (
        lambda: fit(shape={"a": [], "b": [2]}),
        "at once, the keywords a (128,), b (128, 2) | unexpected keyword",
    ),
    (lambda: fit(lambda x: -tf.reduce_sum(x**2)), "a number for each of N"),
    (lambda: fit(lambda x: np.nan * plain(x)), "finite at one of"),
    (lambda: fit(lambda x: plain(x) - tf.reduce_sum(x**2)), "of each draw by itself"),
    (lambda: fit(lambda x: plain(tf.round(x))), "a gradient"),
    (lambda: tff.inference.pareto_smooth(np.ones([5, 2])), "of shape [S]; got (5, 2)"),
]


test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)


def test_errors_of_a_target_come_in_one_line():
    def log_prob(x):
        first = tf.numpy_function(np.asarray, [4.0 - x[:, 0] ** 2], x.dtype)
        inverse = tf.linalg.inv(tf.nn.relu(first)[:, None, None])
        return inverse[:, 0, 0] + plain(x)

    message = "that is a number, NaN or -inf at every draw; .* raised .*not invertible"
    with pytest.raises(ValueError, match=message) as error:
        fit(log_prob)
    assert "\n" not in str(error.value)
