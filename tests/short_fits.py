"""Fits by `fit_density` that end after some epochs, and classifiers of a few trees."""

import contextlib
import dataclasses
import functools

import pytest

import tfp_flows as tff
from tfp_flows import fit_density
from tfp_flows.density import fit, rules_for
from tfp_flows.inference.amortized import calibration
from tfp_flows.tables.synthesis import fidelity

# Fields of a `FlowRule`: what takes least time to trace and to train.
_SMALLEST_FLOW = {
    "constructor": tff.MAF,
    "options": {"num_steps": 1, "hidden_units": (8,)},
    "steps_per_epoch": 1,
    "max_steps": 1,
}


@contextlib.contextmanager
def trained_for(
    epochs,
    *,
    splines=None,
    num_orders=1,
    flow=None,
    steps=None,
    batch_size=None,
    **changes,
):
    """Makes `fit_density` train for some epochs, by rules with changes.

    Learned likelihoods are judged by a tenth of the draws, in fewer calls.

    Args:
      epochs: number of epochs of each component.
      splines: options of the conditional splines; {} if there are none.
      num_orders: number of the splines' orders of the variables.
      flow: options of the flows that differ.
      steps: fields of their `FlowRule`s that differ.
      batch_size: number of rows in a step of the splines.
      **changes: fields of the `Rules` that differ. With `flows={}`, the flow of a trial,
        for example of a learned likelihood, is as small as can be.
    """

    class FewEpochs(tff.TableDensity):
        def fit(self, frame, **options):
            return super().fit(frame, epochs=epochs, batch_size=batch_size, **options)

    def short(rule):
        options = {**rule.options, **(flow or {})}
        rule = dataclasses.replace(rule, options=options, **(steps or {}))
        return dataclasses.replace(rule, max_steps=epochs * rule.steps_per_epoch)

    def rules(*sizes, **options):
        found = rules_for(*sizes, **options)
        flows = found.flows or {"neural spline flow": found.given_flow}
        flows = {name: short(rule) for name, rule in flows.items()}
        kept = found.splines[: 0 if splines == {} else num_orders]
        if splines:
            kept = [dataclasses.replace(rule, options=splines) for rule in kept]
        given = {"refits": False, "splines": tuple(kept), "flows": flows, **changes}
        given["given_flow"] = short(found.given_flow)
        if changes.get("flows") == {}:
            given["given_flow"] = dataclasses.replace(found.given_flow, **_SMALLEST_FLOW)
        return dataclasses.replace(found, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "rules_for", rules)
        patch.setattr(fit, "TableDensity", FewEpochs)
        patch.setattr(calibration, "_NUM_WEIGHTED", 400)
        patch.setattr(calibration, "_WEIGHTED_A_CALL", 100)
        yield functools.partial(fit_density, verbose=0)


@contextlib.contextmanager
def few_trees(count):
    """Makes reports on synthetic rows judge these by `count` trees."""
    trees = fidelity._trees

    def few(*data, **options):
        return trees(*data, **options).set_params(max_iter=count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "_trees", few)
        yield
