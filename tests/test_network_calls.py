"""How often a flow runs its networks, and how often it is traced."""

import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions


class Counting:
    """A conditioner that counts how often Python calls it, once a trace."""

    def __init__(self, conditioner):
        self.conditioner, self.count = conditioner, 0

    def __call__(self, x, context=None):
        self.count += 1
        return self.conditioner(x, context)


@pytest.fixture(scope="module")
def counted():
    network = tff.MLP(4, (4,), zero_last_layer=False, seed=0)
    conditioner = Counting(tff.Conditioner(network, 2))
    return conditioner, tff.Coupling(tff.masks.half(4), conditioner)


def distributions(bijector):
    base = tff.standard_normal(4)
    stock = tfd.TransformedDistribution
    return {
        "flow": tff.FlowDistribution(base, bijector),
        "flow of stock chain": tff.FlowDistribution(base, tfb.Chain([bijector])),
        "stock": stock(base, bijector),
        "stock of chain": stock(base, tfb.Chain([bijector])),
        "stock of longer chain": stock(base, tfb.Chain([tfb.Exp(), bijector])),
        "stock of invert": stock(base, tfb.Invert(bijector)),
        "stock of our chain": stock(base, tff.FlowChain([bijector])),
    }


CALLS = {
    "log_prob": lambda d, n=(3,): d.log_prob(tf.ones([*n, 4])),
    "sample": lambda d, n=(3,): d.sample(n, seed=1),
    "both": lambda d, n=(3,): d.experimental_sample_and_log_prob(n, seed=1),
}


@pytest.mark.parametrize("name", distributions(tfb.Identity()))
@pytest.mark.parametrize("method", CALLS)
def test_conditioner_is_called_once(counted, name, method):
    conditioner, bijector = counted
    distribution = distributions(bijector)[name]
    conditioner.count = 0
    tf.function(CALLS[method], autograph=False)(distribution)
    assert conditioner.count == 1


def test_eager_calls_do_not_retrace_for_another_batch_shape(counted):
    conditioner, bijector = counted
    kinds = "flow", "flow of stock chain", "stock", "stock of our chain"
    all_distributions = [distributions(bijector)[kind] for kind in kinds]

    def evaluate(shape):
        for distribution in all_distributions:
            for call in CALLS.values():
                call(distribution, shape)

    evaluate([3])
    conditioner.count = 0
    for shape in ([5], [1], [], [2, 3], [1, 2, 2]):
        evaluate(shape)
    assert conditioner.count == 0


def test_many_flows_are_no_reason_to_warn_of_retracing(caplog, monkeypatch):
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    for seed in range(8):
        shift = tff.Conditioner(tff.MLP(4, (4,), seed=seed), 2)
        tff.Coupling(tff.masks.half(4), shift).forward(tf.ones([3, 4]))
    assert "retracing" not in caplog.text
