"""The autoregressive workloads with JAX's flowjax."""

import functools

from benchmarks import jax_contender


def flowjax(workload):
    """Flowjax's `masked_autoregressive_flow`, jitted, with optax's Adam."""
    import equinox
    import jax
    from flowjax.distributions import StandardNormal
    from flowjax.flows import masked_autoregressive_flow

    width, *others = workload.hidden_units
    if set(others) - {width}:
        raise ValueError(f"Expected equal `hidden_units`; got {workload.hidden_units}.")
    flow = masked_autoregressive_flow(
        jax.random.key(0),
        base_dist=StandardNormal((workload.event_size,)),
        flow_layers=workload.num_steps,
        nn_width=width,
        nn_depth=len(workload.hidden_units),
        invert=not workload.is_inverse,
    )
    weights, fixed = equinox.partition(flow, equinox.is_inexact_array)
    work = _TASKS[workload.task](workload, weights, fixed)

    return jax_contender.contender("flowjax", work, workload.calls, weights)


def _train(workload, weights, fixed):
    import equinox
    import jax
    import paramax

    x = jax.numpy.asarray(workload.batch())

    def nll(weights):
        return -paramax.unwrap(equinox.combine(weights, fixed)).log_prob(x).mean()

    return jax_contender.training_step(nll, weights)


def _function(evaluate, workload, weights, fixed):
    import equinox
    import jax

    x = jax.numpy.asarray(workload.batch())
    compiled = jax.jit(
        lambda weights, seed: evaluate(
            equinox.combine(weights, fixed), x, jax.random.key(seed), (workload.batch_size,)
        )
    )
    return lambda seed: compiled(weights, seed)


def _sample_and_score(flow, x, key, shape):
    y, log_prob = flow.sample_and_log_prob(key, shape)
    return y.mean() + log_prob.mean()


# Functions of a flow, rows, a key and the shape of the samples.
_EVALUATE = {
    "sample": lambda flow, x, key, shape: flow.sample(key, shape).mean(),
    "score": lambda flow, x, key, shape: flow.log_prob(x).mean(),
    "sample_and_score": _sample_and_score,
}
_TASKS = {k: functools.partial(_function, f) for k, f in _EVALUATE.items()}
_TASKS["train"] = _train
