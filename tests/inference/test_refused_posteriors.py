"""Calls of posteriors, their losses and kernels that are refused."""

import functools

import tensorflow_probability as tfp
from refusals import bad_calls
from small_parts import TINY
from small_parts import flow

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions


def target():
    return tfd.JointDistributionNamed(
        {"loc": tfd.Normal(0.0, 1.0), "scale": tfd.LogNormal(0.0, 1.0)}
    )


@functools.cache
def posterior():
    return tff.flow_posterior(target(), **TINY)


@functools.cache
def conditional_posterior():
    return tff.flow_posterior(target(), context_size=2, **TINY)


def joint_target():
    return tfd.JointDistributionNamed(
        {"rate": tfd.Gamma(2.0, 1.0), "count": lambda rate: tfd.Poisson(rate)}
    )


def pinned_target():
    return joint_target().experimental_pin(rate=1.0)


BAD_CALLS = [
    (lambda: tff.flow_posterior(lambda x: -(x**2)), "`target` | function | log_prob"),
    (lambda: tff.flow_posterior(target().log_prob), "`target`"),
    (lambda: tff.flow_posterior(tfd.Normal), "`target` | the class Normal; call it"),
    (lambda: tff.flow_posterior("normal"), "`target` | 'normal'"),
    (lambda: tff.flow_posterior(None), "`target` | None"),
    (lambda: tff.flow_posterior(-2), "`target` | -2"),
    (lambda: tff.flow_posterior(joint_target(), **TINY), "`target` | 'count' | Poisson"),
    (lambda: tff.flow_posterior(pinned_target(), **TINY), "`target` | 'count' | Poisson"),
    (lambda: tff.flow_posterior(tfd.Poisson(1.0), **TINY), "`target` | Poisson"),
    (
        lambda: tff.flow_posterior(
            tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), tfd.Bernoulli(0.0)]),
            **TINY,
        ),
        "`target` | part 1 | Bernoulli",
    ),
    (
        lambda: tff.flow_posterior(tfd.Normal([0.0, 1.0], 1.0), **TINY),
        "`target` without batch axes | (2,)",
    ),
    (
        lambda: tff.flow_posterior(
            tfd.MixtureSameFamily(tfd.Categorical([0.0, 0.0]), tfd.Normal([0.0, 1.0], 1.0)),
            **TINY,
        ),
        "`target` | support",
    ),
    (
        lambda: tff.flow_posterior(tfd.VonMisesFisher([1.0, 0.0], 2.0), **TINY),
        "`target` | VonMisesFisher | `support`",
    ),
    (lambda: tff.flow_posterior(target(), flow="glow"), "`flow` | 'glow'"),
    (lambda: tff.flow_posterior(target(), flow=3), "`flow` | 3"),
    (
        lambda: tff.flow_posterior(target(), flow=tff.IAF(3, **TINY)),
        "`flow` | 2 entries | iaf",
    ),
    (
        lambda: tff.flow_posterior(target(), flow=tff.IAF(2, **TINY), num_steps=2),
        "no options | num_steps",
    ),
    (lambda: tff.flow_posterior(target(), number_of_steps=2), "number_of_steps"),
    (lambda: tff.flow_posterior(target(), num_steps=1.5), "`num_steps` | 1.5"),
    (lambda: tff.flow_posterior(target(), support=tfb.Exp()), "no `support`"),
    (lambda: tff.flow_posterior(2, support="positive"), "`support` | 'positive'"),
    (lambda: tff.flow_posterior({"a": 1, "b": 2}, support={"a": tfb.Exp()}), "`support`"),
    (lambda: tff.flow_posterior(2, dtype="int32"), "`dtype` | 'int32'"),
    (lambda: tff.flow_posterior(target(), full_rank="no"), "`full_rank` | 'no'"),
    (lambda: tff.flow_posterior(target(), whiten="no"), "`whiten` | 'no'"),
    (lambda: tff.flow_posterior(2, target_log_prob_fn=1.0), "`target_log_prob_fn` | 1.0"),
    (lambda: tff.inference.FlowPosterior(tff.standard_normal(2), None), "`support` | None"),
    (lambda: posterior().sample(context=[[1.0]]), "no `context`"),
    (lambda: tff.variational_loss(1.0, posterior()), "`target_log_prob_fn` | 1.0"),
    (lambda: tff.variational_loss(target().log_prob, flow()), "`posterior` | real_nvp"),
    (
        lambda: tff.variational_loss(target().log_prob, posterior(), sample_size=0),
        "`sample_size` | got 0",
    ),
    (
        lambda: tff.variational_loss(
            target().log_prob, posterior(), importance_sample_size=1.5
        ),
        "`importance_sample_size` | 1.5",
    ),
    (
        lambda: tff.variational_loss(
            target().log_prob, posterior(), sticking_the_landing="no"
        ),
        "`sticking_the_landing` | 'no'",
    ),
    (lambda: tff.neutra_kernel(target().log_prob, flow()), "`posterior` | real_nvp"),
    (lambda: tff.neutra_kernel(1.0, posterior()), "`target_log_prob_fn` | 1.0"),
    (
        lambda: tff.neutra_kernel(target().log_prob, posterior(), make_kernel="nuts"),
        "`make_kernel` | 'nuts'",
    ),
    (
        lambda: tff.neutra_kernel(target().log_prob, posterior(), make_kernel=lambda f: f),
        "`make_kernel` | to return a `tfp.mcmc.TransitionKernel`",
    ),
    (
        lambda: tff.neutra_kernel(target().log_prob, posterior(), precondition="no"),
        "`precondition` | 'no'",
    ),
    (
        lambda: tff.flow_proposal_kernel(target().log_prob, conditional_posterior()),
        "`posterior` | context size 2",
    ),
    (
        lambda: tff.flow_proposal_kernel(target().log_prob, posterior(), num_local_steps=0),
        "`num_local_steps` | got 0",
    ),
    (
        lambda: tff.flow_proposal_kernel(
            target().log_prob, posterior(), num_global_steps=1.5
        ),
        "`num_global_steps` | 1.5",
    ),
    (
        lambda: tff.inference.adaptive_nuts(target().log_prob, step_size=0.0),
        "`step_size` above 0 | 0.0",
    ),
    (
        lambda: tff.inference.adaptive_nuts(target().log_prob, num_adaptation_steps=-1),
        "`num_adaptation_steps` | -1",
    ),
    (
        lambda: tff.inference.adaptive_nuts(target().log_prob, target_accept_prob=1.0),
        "`target_accept_prob` between 0 and 1 | 1.0",
    ),
    (lambda: tff.inference.adaptive_nuts(1.0), "`target_log_prob_fn` | 1.0"),
    (
        lambda: tff.inference.independent_proposals(1.0, target()),
        "`target_log_prob_fn` | 1.0",
    ),
    (
        lambda: tff.inference.independent_proposals(target().log_prob, flow()),
        "`proposal` | real_nvp",
    ),
    (lambda: tff.inference.AlternatingKernel(1, 2), "`local_kernel` | 1"),
    (
        lambda: tff.inference.AlternatingKernel(
            tff.inference.adaptive_nuts(target().log_prob), None
        ),
        "`global_kernel` | None",
    ),
    (lambda: tff.fit_posterior(lambda x: -(x**2)), "`target` | function | log_prob"),
    (lambda: tff.fit_posterior(None), "`target` | None"),
    (lambda: tff.fit_posterior(joint_target()), "`target` | 'count' | Poisson"),
    (
        lambda: tff.fit_posterior(tfd.Normal([0.0, 1.0], 1.0)),
        "`target` without batch axes | (2,)",
    ),
    (lambda: tff.fit_posterior(2), "`target_log_prob_fn` | event shape | None"),
    (lambda: tff.fit_posterior(2, target_log_prob_fn=1.0), "`target_log_prob_fn` | 1.0"),
    (lambda: tff.fit_posterior(target(), support=tfb.Exp()), "no `support`"),
    (lambda: tff.fit_posterior(target(), seed=1.5), "`seed` | 1.5"),
    (lambda: tff.fit_posterior(target(), max_minutes=0), "`max_minutes` above 0 | got 0"),
    (lambda: tff.fit_posterior(target(), max_gradients=0.5), "`max_gradients` | 0.5"),
    (lambda: tff.fit_posterior(target(), progress="yes"), "`progress` | 'yes'"),
    (lambda: tff.fit_posterior(target(), checkpoint_dir=3), "`checkpoint_dir` | 3"),
]


@bad_calls(BAD_CALLS)
def test_bad_call_is_refused_in_words(call, words, check_refused):
    check_refused(call, words)
