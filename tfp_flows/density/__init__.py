"""Densities of rows of numbers by one call, `fit_density`, with a report.

Read in this order:

```none
fit                 fit_density: rules -> components -> weights -> report
rules               what is chosen from the numbers of rows and columns
data                the rows, checked
weights             of the components, by held-out rows
regressions         a component: mixtures of linear regressions on contexts
baselines           the simple models beside it
report, checks      the verdict, and what it follows from
fitted              the result
```
"""

from tfp_flows.density.checks import linear_column
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
    "linear_column",
    "rules_for",
]
