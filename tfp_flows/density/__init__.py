"""Densities of rows of numbers by one call, `fit_density`, with a report.

Read `fit` first, top to bottom, then `rules` (what is chosen from rows and columns),
`weights` (of the components), `report` (verdict) and `checks`; `baselines` are the simple
models beside it, `data` the rows, and `fitted` is the result.
"""

from tfp_flows.density.fit import fit_density
from tfp_flows.density.fitted import FittedDensity
from tfp_flows.density.report import DensityReport
from tfp_flows.density.rules import FlowRule
from tfp_flows.density.rules import Rules
from tfp_flows.density.rules import SplineRule
from tfp_flows.density.rules import rules_for

__all__ = [
    "DensityReport",
    "FittedDensity",
    "FlowRule",
    "Rules",
    "SplineRule",
    "fit_density",
    "rules_for",
]
