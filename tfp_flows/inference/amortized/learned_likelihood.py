"""A learned density of the data, which weighs draws of an amortised posterior."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.core.serialization import serialize
from tfp_flows.distributions.mixture import Mixture
from tfp_flows.inference.parts import from_arguments
from tfp_flows.inference.support import JointSupport


@dataclasses.dataclass(frozen=True)
class LearnedLikelihood:
    """A learned density of the data given parameters.

    Attributes:
      density: density, given unconstrained parameters, of the features that vary.
      varies: which features vary among simulations, `[S]`.
      prior: the prior of the parameters; None if it is not known, as after loading a file
        whose prior had functions.
    """

    density: Mixture
    varies: np.ndarray
    prior: tfd.Distribution | None = None

    @property
    def saved_prior(self) -> tfd.Distribution | None:
        """The prior as a file holds it: None if it has functions."""
        try:
            serialize(self.prior)
        except ValueError:
            return None
        return self.prior

    def pin(self, support: JointSupport) -> Callable:
        """Returns a function that pins the joint density to the features of an observation.

        ```none
        log p(theta, features) = log density(features | u) + log prior(theta)
        ```

        Its result is the log-density as a function of the parts of N parameters.
        """
        prior: Any = self.prior
        shapes, dtype = support.event_shapes, self.density.dtype
        varying = np.flatnonzero(np.asarray(self.varies))

        def pinned(features: tf.Tensor) -> Callable:
            observed = tf.gather(tf.cast(features, dtype), varying)

            def log_prob(*parts: Any, **named_parts: Any) -> tf.Tensor:
                theta = from_arguments(shapes, parts, named_parts)
                u = tf.cast(support.bijector.inverse(theta), dtype)
                x = tf.broadcast_to(observed, [tf.shape(u)[0], observed.shape[0]])
                log_prior = prior.log_prob(theta)
                log_prob = self.density.log_prob(x, context=u)
                return log_prior + tf.cast(log_prob, log_prior.dtype)

            return log_prob

        return pinned
