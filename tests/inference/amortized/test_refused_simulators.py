"""Models, simulators and pairs that are refused."""

import math

import numpy as np
from refusals import all_refused
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

import tfp_flows

PRIOR = tfd.JointDistributionNamed({"a": tfd.Normal(0.0, 1.0), "b": tfd.HalfNormal(1.0)})


def coroutine():
    root = tfd.JointDistributionCoroutine.Root
    yield root(tfd.Normal(0.0, 1.0, name="a"))
    yield root(tfd.HalfNormal(1.0, name="b"))


def observe(observed):
    return tfp_flows.fit_amortized_posterior(PRIOR, observed=observed)


def fit(simulator, prior=PRIOR, **options):
    return tfp_flows.fit_amortized_posterior(prior, simulator=simulator, **options)


def fit_pairs(theta, support=None):
    x = np.zeros([len(theta), 1])
    return tfp_flows.fit_amortized_posterior((theta, x), support=support)


def one_draw(a, b):
    return np.random.default_rng(0).normal(a, b, 10)


def at_zero(a, b):
    return a if a > 0.0 else b


def fails(a, b):
    del b
    return 1 // int(0.0 * a)


NAMES = "`observed`, some but not all of the names | returns a function of the data"
AT_ONCE = "`simulator` that takes 2 draws of parameters at once | vectorized=False"
OF_TWO = "`simulator` that returns 200 data for 200 parameters | (2, 200)"
test_simulators_are_refused = all_refused(
    [
        (lambda: observe(np.zeros(3)), f"{NAMES} | array([0., 0., 0.])"),
        (lambda: observe({"a": 0.5}), f"{NAMES} | {{'a': 0.5}}"),
        (lambda: observe([0.5, 0.1]), f"{NAMES} | [0.5, 0.1]"),
        (lambda: observe(0.5), f"{NAMES} | got 0.5"),
        (lambda: fit(lambda a, c: a), "the keywords ['a', 'b'] | (a, c) | 'b'"),
        (lambda: fit(lambda theta: theta), "the keywords ['a', 'b'] | (theta)"),
        (
            lambda: fit(at_zero, tfd.JointDistributionCoroutine(coroutine)),
            "one argument, the parts ['a', 'b'] of the prior | (a, b)",
        ),
        (
            lambda: fit(
                lambda theta: theta,
                tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0)] * 2),
            ),
            "2 arguments, the parts [0, 1] of the prior | (theta)",
        ),
        (lambda: fit(at_zero, tfd.Normal(0.0, 1.0)), "takes one argument; | (a, b) | 'b'"),
        (
            lambda: fit(np.sin, tfd.Blockwise([tfd.Normal(0.0, 1.0)] * 2)),
            "`model` whose default bijector has its event shape; got Blockwise | (2,)",
        ),
        (lambda: fit(one_draw), f"{AT_ONCE} | ValueError: shape mismatch"),
        (lambda: fit(at_zero), f"{AT_ONCE} | ValueError: The truth value"),
        (lambda: fit(lambda a, b: math.exp(a)), f"{AT_ONCE} | TypeError: only"),
        (lambda: fit(lambda a, b: (a, b), num_simulations=200), OF_TWO),
        (
            lambda: fit(fails, vectorized=False, num_simulations=200),
            "returns data given ( | a=np.float32 | b=np.float32 | ZeroDivisionError",
        ),
        (
            lambda: fit_pairs(np.float32([[0.1]] * 199 + [[np.nan]])),
            "finite parameters | 1",
        ),
        (
            lambda: fit_pairs(np.float32([[0.1, 2.0], [-0.1, 2.0]] * 100)),
            "`parameters` whose columns vary | constant columns [1]",
        ),
        (
            lambda: fit_pairs(np.float32([[1.0], [-1.0]] * 100), tfb.Exp()),
            "`support` | 50%",
        ),
        (
            lambda: fit_pairs(np.full([200, 2], 0.2, "float32"), tfb.SoftmaxCentered()),
            "parameters within their `support` | got 100% of them outside",
        ),
    ]
)
