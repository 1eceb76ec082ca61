"""A likelihood that is learned beside an amortised posterior, to weigh its draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfp_flows.inference.amortized.simulator import Pairs
from tfp_flows.inference.support import JointSupport
from tfp_flows.inference.target import from_arguments

if TYPE_CHECKING:
    from tfp_flows.density.fit import Fit
    from tfp_flows.distributions.mixture import Mixture


class LearnedLikelihood:
    """The learned density of an observation's features given parameters, with the prior.

    ```none
    log p(u, features) = log density(features | u) + log prior(u)
    ```

    Args:
      density: a `Mixture` of the features that vary, given unconstrained parameters.
      varies: which features vary among simulations, `[S]`.
      prior_log_prob: function of parameters that returns their log-densities.
      support: `JointSupport` of the parameters.
    """

    def __init__(
        self,
        density: Mixture,
        varies: np.ndarray,
        prior_log_prob: Callable,
        support: JointSupport,
    ) -> None:
        self.density, self.varies = density, varies
        self._prior_log_prob, self._support = prior_log_prob, support

    def pin(self, features: tf.Tensor) -> Callable:
        """Returns the log-density of N parameters and the features `[S]` of an observation.

        It is a function of the parts of the parameters, as `Simulator.pin` returns it.
        """
        own = tf.gather(tf.cast(features, self.density.dtype), np.flatnonzero(self.varies))
        zeros = tf.zeros([1, self._support.event_size], self._support.dtype)
        structure = self._support.bijector.forward(zeros)

        def log_prob(*parts: Any, **named_parts: Any) -> tf.Tensor:
            theta = from_arguments(structure, parts, named_parts)
            u = tf.cast(self._support.bijector.inverse(theta), self.density.dtype)
            x = tf.broadcast_to(own, [tf.shape(u)[0], own.shape[0]])
            prior = self._prior_log_prob(theta)
            return prior + tf.cast(self.density.log_prob(x, context=u), prior.dtype)

        return log_prob


def fit_likelihood(
    parts: Sequence[Pairs],
    seed: int | None,
    max_minutes: float | None,
    verbose: int | str,
) -> tuple[Fit, np.ndarray]:
    """Returns the `Fit` of the features that vary given parameters, and which these are.

    `parts` are three sets of simulations, with features as data: to fit, to judge, and all.
    The other arguments are those of `fit_density`.
    """
    # Here, so that a fit of one posterior does not load the rooms of densities and tables.
    from tfp_flows.density.data import Data
    from tfp_flows.density.fit import fit_and_judge

    varies = np.ptp(parts[0].x, axis=0) > 0.0
    train, held_out, whole = (Data(part.x[:, varies], part.u) for part in parts)
    fit = fit_and_judge(
        train, held_out, whole, seed=seed, max_minutes=max_minutes, verbose=verbose
    )
    return fit, varies
