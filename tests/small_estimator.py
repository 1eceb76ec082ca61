"""A tiny model and a short fit, the same each time."""

import functools

import keras

import tfp_flows as tff

COMPILE = ("jit_compile", "optimizer", "run_eagerly", "steps_per_execution")


def estimator(event_size=2, **options):
    """A small RealNVP; options of `compile` go there, the others to the flow."""
    compiled = {key: options.pop(key) for key in COMPILE if key in options}
    options = {"num_steps": 1, "hidden_units": (8,), "seed": 0, **options}
    return from_flow(tff.RealNVP(event_size, **options), event_size, **compiled)


def from_flow(flow, event_size=2, base=None, optimizer=None, **compiled):
    base = base or tff.standard_normal(event_size)
    model = tff.DensityEstimator(tff.FlowDistribution(base, flow))
    optimizer = optimizer or keras.optimizers.Adam(1e-2)
    model.compile(optimizer, **{"jit_compile": False, **compiled})
    return model


@functools.cache
def _built(make, **options):
    """A model, and what its variables and those of its optimizer begin with."""
    model = make(**options)
    model.optimizer.build(model.trainable_variables)
    variables = [*model.distribution.variables, *model.optimizer.variables]
    return model, [(v, v.numpy()) for v in variables]


def anew(make=estimator, **options):
    """An untrained model: one and the same for all tests, so that it is traced once."""
    model, values = _built(make, **options)
    for variable, value in values:
        variable.assign(value)
    return model


def plain_descent():
    return estimator(standardize=False, optimizer=keras.optimizers.SGD(1e-2))


def fit(model, x, epochs=2, **kwargs):
    kwargs = {"batch_size": 128, "shuffle": False, "verbose": 0, **kwargs}
    return model.fit(x, epochs=epochs, **kwargs).history
