"""Models of rows of a table, saved, and the commands that use them."""

import numpy as np

import tfp_flows

NAMES = ("a", "b", "size, m", "c")
CONDITIONS = NAMES[2:]


def save_model(path, flow, num_modelled, *, columns=True):
    """Writes a model of random weights; `CONDITIONS` are its context, if any."""
    rng = np.random.default_rng(0)
    distribution = tfp_flows.FlowDistribution(tfp_flows.standard_normal(num_modelled), flow)
    for variable in distribution.trainable_variables:
        variable.assign_add(rng.normal(0.0, 0.3, variable.shape).astype(np.float32))
    context = CONDITIONS if flow.context_size else ()
    known = [
        {"name": name, "role": role, "least": -2.0, "greatest": 2.0}
        for role, names in (("modelled", NAMES[:num_modelled]), ("context", context))
        for name in names
    ]
    model = tfp_flows.DensityEstimator(distribution, columns=known if columns else None)
    model.save(path)
    return distribution


def run_program(program, settings_class, **arguments):
    arguments = {k: str(v) if k in _PATHS else v for k, v in arguments.items()}
    return program(settings_class(progress=0, **arguments))


_PATHS = ("model", "csv", "given", "out")
