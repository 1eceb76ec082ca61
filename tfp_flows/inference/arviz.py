"""Draws and chains as ArviZ data, for its summaries and pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_each, check_flag, check_integer, require
from tfp_flows.distributions.draws import split, stateless
from tfp_flows.inference.checks.importance import systematic_rows
from tfp_flows.inference.parts import call_with_parts, named_parts

_DRAWS = "`posterior_or_draws`"
_INSTALL = (
    "`to_arviz` needs ArviZ, which is not installed; install it, for example by "
    "`pip install arviz` or `pip install tfp_flows[arviz]`."
)


def to_arviz(
    posterior_or_draws: object,
    *,
    target: object = None,
    num_draws: int = 1000,
    seed: int | TensorLike | None = None,
    has_chains: bool = True,
    log_weights: TensorLike | None = None,
    resample: bool = True,
    names: Sequence[str] | None = None,
    coords: dict | None = None,
    dims: dict | None = None,
    sample_stats: dict | None = None,
) -> object:
    """Hands draws of a joint distribution, with their names, to ArviZ.

    ```python
    kernel = tfp_flows.neutra_kernel(pinned.unnormalized_log_prob, posterior)
    draws, _ = tfp.mcmc.sample_chain(1000, posterior.sample(4), kernel=kernel)
    arviz.summary(tfp_flows.to_arviz(draws, target=pinned))
    ```

    ArviZ gives all draws equal weights, so weighted draws are resampled by their weights.
    If `resample` is False, the weights are in the group `sample_stats` as `log_weight`, and
    summaries ignore them.

    Args:
      posterior_or_draws: a posterior, for example from `flow_posterior`, from which
        `num_draws` draws are made; or draws in the structure of a joint distribution, for
        example from `tfp.mcmc.sample_chain`, `[draws, chains, *event]` for each part.
      target: joint distribution, pinned or not, that names the parts. Pinned values become
        the group `observed_data`. Its density gives the draws of a posterior weights.
      num_draws: number of draws of a posterior.
      seed: seed of the draws of a posterior and of the resampling.
      has_chains: whether draws have an axis of chains; if not, `[draws, *event]` are one
        chain.
      log_weights: log importance weights, `[draws]`, of draws that are no chains.
      resample: whether weighted draws are resampled.
      names: a name for each part, in the order of the structure; by default the names in
        the structure or the target.
      coords: labels of the entries along each dimension, by name, as in ArviZ.
      dims: names of the event's dimensions, by part, as in ArviZ.
      sample_stats: diagnostics by name, for example `diverging`: `[draws, chains]`, or
        `[draws]` without chains.

    Returns:
      `arviz.InferenceData`, or with ArviZ 1 an `xarray.DataTree`.

    Raises:
      ImportError: if ArviZ is not installed.
      ValueError: if parts are discrete, or do not match each other or the target.

    >>> import arviz
    >>> import numpy as np
    >>> import tfp_flows
    >>> chains = {"rate": np.ones([100, 4])}  # steps, chains
    >>> tfp_flows.to_arviz(chains)["posterior"]["rate"].shape
    (4, 100)
    """
    try:
        import arviz
    except ImportError as error:
        raise ImportError(_INSTALL) from error
    check_each(check_flag, resample=resample, has_chains=has_chains)
    draws = posterior_or_draws
    if hasattr(draws, "log_prob"):
        check_integer("num_draws", num_draws)
        words = "no `log_weights` with a posterior, but `target`"
        require(log_weights is None, words, "some")
        draws, log_weights = _drawn(draws, target, num_draws, seed, resample)
        has_chains = False
    parts = named_parts(draws, target, names)
    _check_parts(parts, target, has_chains)
    stats = {name: np.asarray(values) for name, values in (sample_stats or {}).items()}
    if log_weights is not None:
        log_weights = _checked_weights(log_weights, parts, has_chains)
        if resample:
            chosen = _systematic(log_weights, seed)
            parts = {name: array[chosen] for name, array in parts.items()}
            stats = {name: array[chosen] for name, array in stats.items()}
        else:
            stats["log_weight"] = log_weights
    pins = getattr(target, "pins", None) or {}
    groups = {
        "posterior": _with_chains_first(parts, has_chains),
        "sample_stats": _with_chains_first(stats, has_chains),
        "observed_data": {name: np.asarray(value) for name, value in pins.items()},
    }
    groups = {name: arrays for name, arrays in groups.items() if arrays}
    options = {"coords": coords, "dims": dims}
    if int(arviz.__version__.split(".")[0]) >= 1:
        return arviz.from_dict(groups, **options)
    return arviz.from_dict(**groups, **options)


def _with_chains_first(arrays, has_chains):
    """Arrays by name, `[chains, draws, ...]`; draws without chains become one."""
    return {n: np.moveaxis(a, 1, 0) if has_chains else a[None] for n, a in arrays.items()}


def _drawn(posterior, target, num_draws, seed, resample):
    """Draws of a posterior, and their log-weights if there is a target."""
    if getattr(posterior, "has_weights", False):
        if resample:
            return posterior.resample(num_draws, seed), None
        words = "`target`, whose density gives weights, with `resample=False`"
        require(target is not None, words, "none")
    for_draws, _ = split(stateless(seed), 2)
    draws, log_prob = posterior.experimental_sample_and_log_prob(num_draws, seed=for_draws)
    if target is None:
        return draws, None
    return draws, call_with_parts(target.unnormalized_log_prob, draws) - log_prob


def _check_parts(parts, target, has_chains):
    for name, array in parts.items():
        words, got = f"{_DRAWS} of continuous parts", f"the part {name!r} of dtype"
        require(array.dtype.kind == "f", words, f"{got} {array.dtype}")
    axes = ("draws", "chains") if has_chains else ("draws",)
    leading, words = len(axes), f"{_DRAWS} with parts [{', '.join(axes)}, ...]"
    shapes = {name: array.shape for name, array in parts.items()}
    rows = {shape[:leading] for shape in shapes.values()}
    fits, got = len(rows) == 1 and len(*rows) >= leading, f"shapes {shapes}"
    require(fits, f"{words}, alike in these axes", got)
    if target is not None:
        events = [tuple(shape) for shape in tf.nest.flatten(target.event_shape)]
        fits = [shape[leading:] for shape in shapes.values()] == events
        require(fits, f"{words} of events {events}, which `target` has", got)


def _checked_weights(log_weights, parts, has_chains):
    log_weights = np.asarray(log_weights, np.float64)
    count = len(next(iter(parts.values())))
    fits = not has_chains and log_weights.shape == (count,)
    words = f"`log_weights` of shape [{count}], of draws that are no chains"
    got = f"{list(log_weights.shape)}{' and chains' if has_chains else ''}"
    require(fits, words, got)
    if np.isnan(log_weights).any() or not np.isfinite(log_weights.max()):
        raise ValueError("Expected `log_weights` that are not NaN, the largest finite.")
    return log_weights


def _systematic(log_weights, seed):
    """Indices of draws, each as often as its weight says, rounded at random."""
    weights = np.exp(log_weights - log_weights.max())
    _, seed = split(stateless(seed), 2)
    shift = float(tf.random.stateless_uniform([], seed))
    rng = np.random.default_rng(seed.numpy().view(np.uint32))
    return systematic_rows(weights, len(weights), rng, shift)
