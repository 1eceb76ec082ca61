"""Bad calls of `flow_posterior`, what it returns, and the loss that trains it."""

import functools

import tensorflow_probability as tfp

import tfp_flows as tff
from bad_calls import parts
from bad_calls.bad_call import BadCall

tfb, tfd = tfp.bijectors, tfp.distributions
TINY = parts.TINY


@functools.cache
def _posterior():
    return tff.flow_posterior(_target(), **TINY)


def _target():
    return tfd.JointDistributionNamed(
        {"loc": tfd.Normal(0.0, 1.0), "scale": tfd.LogNormal(0.0, 1.0)}
    )


def _of(target, *words, **options):
    return BadCall(
        lambda: tff.flow_posterior(target() if callable(target) else target, **options),
        *words,
    )


def _discrete_pinned():
    target = parts.joint_target()
    return target.experimental_pin(rate=1.0)


CALLS = {
    "flow_posterior of a function": BadCall(
        lambda: tff.flow_posterior(lambda x: -(x**2)), "`target`", "function", "log_prob"
    ),
    "flow_posterior of a log-density": BadCall(
        lambda: tff.flow_posterior(_target().log_prob), "`target`"
    ),
    "flow_posterior of a class": BadCall(
        lambda: tff.flow_posterior(tfd.Normal), "`target`", "the class Normal; call it"
    ),
    "flow_posterior of letters": BadCall(
        lambda: tff.flow_posterior("normal"), "`target`", "'normal'"
    ),
    "flow_posterior of None": BadCall(lambda: tff.flow_posterior(None), "`target`", "None"),
    "flow_posterior of a negative size": BadCall(
        lambda: tff.flow_posterior(-2), "`target`", "-2"
    ),
    "flow_posterior with a discrete part": _of(
        parts.joint_target, "`target`", "'count'", "Poisson", **TINY
    ),
    "flow_posterior with a discrete part left": _of(
        _discrete_pinned, "`target`", "'count'", "Poisson", **TINY
    ),
    "flow_posterior of counts": _of(
        lambda: tfd.Poisson(1.0), "`target`", "Poisson", **TINY
    ),
    "flow_posterior of coins, by an integer": _of(
        lambda: tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), tfd.Bernoulli(0.0)]),
        "`target`",
        "part 1",
        "Bernoulli",
        **TINY,
    ),
    "flow_posterior with batch axes": _of(
        lambda: tfd.Normal([0.0, 1.0], 1.0), "`target` without batch axes", "(2,)", **TINY
    ),
    "flow_posterior of a mixture": _of(
        lambda: tfd.MixtureSameFamily(
            tfd.Categorical([0.0, 0.0]), tfd.Normal([0.0, 1.0], 1.0)
        ),
        "`target`",
        "support",
        **TINY,
    ),
    "flow_posterior, unknown flow": _of(_target, "`flow`", "'glow'", flow="glow"),
    "flow_posterior, flow of a number": _of(_target, "`flow`", "3", flow=3),
    "flow_posterior, flow of another size": _of(
        _target, "`flow`", "2 entries", "iaf", flow=tff.IAF(3, **TINY)
    ),
    "flow_posterior, options of a built flow": _of(
        _target, "no options", "num_steps", flow=tff.IAF(2, **TINY), num_steps=2
    ),
    "flow_posterior, unknown option": _of(_target, "number_of_steps", number_of_steps=2),
    "flow_posterior, half a step": _of(_target, "`num_steps`", "1.5", num_steps=1.5),
    "flow_posterior, support of a distribution": _of(
        _target, "no `support`", support=tfb.Exp()
    ),
    "flow_posterior, support of letters": BadCall(
        lambda: tff.flow_posterior(2, support="positive"), "`support`", "'positive'"
    ),
    "flow_posterior, support of another structure": BadCall(
        lambda: tff.flow_posterior({"a": 1, "b": 2}, support={"a": tfb.Exp()}), "`support`"
    ),
    "flow_posterior of integers": BadCall(
        lambda: tff.flow_posterior(2, dtype="int32"), "`dtype`", "'int32'"
    ),
    "flow_posterior, full_rank of letters": _of(
        _target, "`full_rank`", "'no'", full_rank="no"
    ),
    "flow_posterior, whiten of letters": _of(_target, "`whiten`", "'no'", whiten="no"),
    "flow_posterior, log-density of a number": BadCall(
        lambda: tff.flow_posterior(2, target_log_prob_fn=1.0),
        "`target_log_prob_fn`",
        "1.0",
    ),
    "FlowPosterior of a normal": BadCall(
        lambda: tff.FlowPosterior(tff.standard_normal(2), None), "`support`", "None"
    ),
    "posterior with an unwanted context": BadCall(
        lambda: _posterior().sample(context=[[1.0]]), "no `context`", keeps=_posterior
    ),
    "variational_loss of a number": BadCall(
        lambda: tff.variational_loss(1.0, _posterior()), "`target_log_prob_fn`", "1.0"
    ),
    "variational_loss of a flow": BadCall(
        lambda: tff.variational_loss(_target().log_prob, parts.flow()),
        "`posterior`",
        "real_nvp",
    ),
    "variational_loss of no draws": BadCall(
        lambda: tff.variational_loss(_target().log_prob, _posterior(), sample_size=0),
        "`sample_size`",
        "got 0",
    ),
    "variational_loss of half a group": BadCall(
        lambda: tff.variational_loss(
            _target().log_prob, _posterior(), importance_sample_size=1.5
        ),
        "`importance_sample_size`",
        "1.5",
    ),
    "variational_loss, landing of letters": BadCall(
        lambda: tff.variational_loss(
            _target().log_prob, _posterior(), sticking_the_landing="no"
        ),
        "`sticking_the_landing`",
        "'no'",
    ),
}
