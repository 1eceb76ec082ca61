"""Tables: rows with columns of any kind as one distribution, in the user's units.

Files, in the order in which to read them:

```none
column                      one column: its kind, ends, values, spikes and step
grids                       numbers that are recorded to a step, as integers
frames                      pandas, NumPy or a dictionary, read and written again
rules                       what rules between columns have in common:
  differences               orders and sums of columns, which are kept exactly
  equalities                pairs of columns that are equal in some rows
  functions                 columns that are computed from another one by a formula
  lookups                   columns of one value for each value of another one
columns, describe_columns   all columns and rules of a table, and proposals for them
kept_rules                  the rules that a distribution given a context keeps
column_codec                cells of a column as a code and a number; measures its map
row_codec                   rows as cells: first all codes, then all numbers
number_maps                 numbers to a standardised line or circle, by kind
marginals                   maps after which integers have their training frequencies
number_conditionals         densities of numbers on this line, averaged over members
atoms                       numbers that are exactly equal to an earlier number
networks                    parameters from context, codes and earlier numbers
network_sizes               widths, bins and number of networks, by the number of rows
distribution                TableDistribution: codes and numbers, density and draws
training                    fits it: early stopping, backup, progress, recalibration
imputation                  missing cells, drawn given the others of their rows
number_predictions          the distribution of one number; expectations as sums
prediction                  quantiles and scores of one column
conformal                   how far intervals must reach to hold their level
row_features                rows as arrays for classifiers and distances; equal rows
fidelity                    scores of how alike synthetic and real rows are
synthesis                   the report on synthetic rows, with its checks and verdict
table_density               TableDensity: all of it for a user's frame
```

Each number is modelled given the codes and the numbers before it. So its distribution
function is known, integers have the exact probabilities of their bins, absent numbers drop
out, and one column is predicted by quantiles.
"""

from tfp_flows.tables.column import Column
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.describe_columns import describe_columns
from tfp_flows.tables.differences import Difference
from tfp_flows.tables.equalities import Equality
from tfp_flows.tables.functions import Function
from tfp_flows.tables.lookups import Lookup
from tfp_flows.tables.network_sizes import NetworkSizes
from tfp_flows.tables.prediction import Prediction
from tfp_flows.tables.synthesis import SynthesisReport
from tfp_flows.tables.synthesis import synthesis_report
from tfp_flows.tables.synthesis import violated_rules
from tfp_flows.tables.table_density import TableDensity
from tfp_flows.tables.training import FitOptions

__all__ = [
    "Column",
    "describe_columns",
    "Difference",
    "Equality",
    "FitOptions",
    "Function",
    "Lookup",
    "NetworkSizes",
    "Prediction",
    "synthesis_report",
    "SynthesisReport",
    "TableColumns",
    "TableDensity",
    "violated_rules",
]
