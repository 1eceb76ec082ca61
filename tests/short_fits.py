"""Fits by `fit_density` that end after some epochs."""

import contextlib
import dataclasses
import functools

import pytest

import tfp_flows as tff
from tfp_flows import fit_density
from tfp_flows.density import fit, rules_for


@contextlib.contextmanager
def trained_for(epochs, **changes):
    """Makes `fit_density` train for some epochs, by rules with changes."""

    class FewEpochs(tff.TableDensity):
        def fit(self, frame, **options):
            return super().fit(frame, epochs=epochs, **options)

    def rules(*sizes):
        given = {"refits": False, "held_out": 0.1, "has_flow": True, **changes}
        return dataclasses.replace(rules_for(*sizes), **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "rules_for", rules)
        patch.setattr(fit, "TableDensity", FewEpochs)
        patch.setattr(fit, "_MOST_EPOCHS", epochs)
        yield functools.partial(fit_density, verbose=0)
