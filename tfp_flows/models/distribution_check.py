"""What can be the distribution of a `DensityEstimator`."""

import tensorflow_probability as tfp

from tfp_flows.core.arguments import check_members

__all__ = ["check_distribution"]


def check_distribution(distribution):
    """Raises `ValueError` unless `distribution` is an object with a log-density."""
    if isinstance(distribution, tfp.bijectors.Bijector):
        raise ValueError(
            f"Expected a `distribution`; got the bijector `{distribution.name}`. A base "
            "makes a distribution of it: FlowDistribution(standard_normal(event_size), "
            f"{distribution.name})."
        )
    members = ("log_prob", "variables", "dtype")
    words = "one with `log_prob`, as a `FlowDistribution` of a base and a flow"
    check_members("distribution", distribution, members, words)
