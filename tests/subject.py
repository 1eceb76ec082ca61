"""A case that has been built, with points, answers and distributions made of it."""

import contextlib
import functools

import bijector_cases
import flow_cases
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from derivatives import op_by_op, with_derivatives
from random_weights import randomize

import tfp_flows as tff

ALL_CASES = {**bijector_cases.CASES, **flow_cases.CASES}
assert len(ALL_CASES) == len(bijector_cases.CASES) + len(flow_cases.CASES)
CONDITIONAL = [name for name, case in ALL_CASES.items() if case.context_size]

tfb, tfd = tfp.bijectors, tfp.distributions


class Subject:
    """A bijector in float64 with random weights, and 7 points with their answers.

    The answers are found op by op; `inverse` and `forward` are the public methods.
    """

    def __init__(self, name):
        self.case = ALL_CASES[name]
        self.bijector = randomize(self.case.build("float64"))
        self.x = self.case.points((7,))
        self.context = self.case.context((7,))
        with op_by_op():
            inverse = self.derivatives_of_inverse(self.x)
            self.z = inverse["value"].numpy()
            forward = self.derivatives_of_forward(self.z)
        # The answers for all 7 points, by the inverse and by the forward direction.
        self.answers = inverse, forward
        self.y = forward["value"].numpy()
        self.inverse_log_det, self.forward_log_det = (a["log_det"] for a in self.answers)

    def derivatives_of_inverse(self, x, **context):
        return self._derivatives(self.bijector.inverse_and_log_det, x, context)

    def derivatives_of_forward(self, z, **context):
        return self._derivatives(self.bijector.forward_and_log_det, z, context)

    def _derivatives(self, method, points, context):
        weights = self.bijector.trainable_variables
        return with_derivatives(method, points, context or self.context, weights)

    def inverse(self, x):
        return self.bijector.inverse_and_log_det(x, **self.context)

    def forward(self, z):
        return self.bijector.forward_and_log_det(z, **self.context)

    @functools.cached_property
    def flow(self):
        return tff.FlowDistribution(self._base, self.bijector)

    @functools.cached_property
    def stock(self):
        return tfd.TransformedDistribution(self._base, self.bijector)

    @functools.cached_property
    def _base(self):
        return tff.standard_normal(self.z.shape[1:], dtype=tf.float64)

    @property
    def stock_context(self):
        """The context as stock distributions take it."""
        return {"bijector_kwargs": self.context} if self.context else {}

    @property
    def chain_context(self):
        """The context as `tfb.Chain` takes it: under the bijector's name."""
        return {self.bijector.name: self.context} if self.context else {}

    @functools.cached_property
    def log_probs(self):
        """`log_prob(x)` of every distribution that can be made of the bijector."""
        chain = tfb.Chain([self.bijector])
        stock_of_chain = tfd.TransformedDistribution(self._base, chain)
        flow_of_chain = tff.FlowDistribution(self._base, chain)
        from_chain = {"bijector_kwargs": self.chain_context} if self.context else {}
        return {
            "flow": functools.partial(self.flow.log_prob, **self.context),
            "stock": functools.partial(self.stock.log_prob, **self.stock_context),
            "stock of chain": functools.partial(stock_of_chain.log_prob, **from_chain),
            "flow of chain": functools.partial(flow_of_chain.log_prob, **self.context),
        }

    @contextlib.contextmanager
    def weights_restored(self):
        kept = [variable.numpy() for variable in self.bijector.variables]
        yield
        for variable, value in zip(self.bijector.variables, kept, strict=True):
            variable.assign(value)


# Tests of one case come one after the other: see `conftest.py`.
subject_of = functools.lru_cache(maxsize=1)(Subject)


def close(actual, expected, tolerance=1e-10):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def differ(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.max(np.abs(a - b)) > 1e-6


def all_close(actual, expected, tolerance=1e-10):
    """Two sequences are close, item by item; of tolerance 0, equal."""
    for a, b in zip(actual, expected, strict=True):
        close(a, b, tolerance)
