"""Tables: rows with columns of any kind as one distribution, in the user's units.

Files, in the order in which to read them:

```none
column               one column: its kind, ends, values, spikes and step; checks of them
grids                numbers that are recorded to a step, as integers; finds the step
cells                cells of one column: their type, and which are missing; dates as days
frames               pandas, NumPy or a dictionary: read as columns, written again
counted_numbers      what a column's numbers show: spikes, ends and heavy tails
rules/               rules between columns, such as orders, sums and formulas
columns              all columns and rules of a table: printed, changed and saved
describe_columns     proposals for the kinds of columns, with reasons
numbers/             the distribution of one number given the entries before it
column_codec         cells of a column as a code and a number, and back; supports
presence             codes that only some rows have, where other cells are missing
row_layout           which entries rows have by columns and rules: codes, then numbers
row_codec            rows as entries and back; refuses others; rules that rows break
networks             ColumnMLPs, their inputs (EntryFeatures) and sizes by rows and columns
distribution         TableDistribution: builds the networks; density and draws of rows
training             fits it: pace, early stopping of each network, backup
recalibration        narrows the means of its members, by rows that these have not seen
prediction/          cells given the others of their rows: predicted, judged, filled in
synthesis/           the report on synthetic rows
table_codecs         frames as entries of rows and of their contexts, and back
table_density        TableDensity: all of it for a user's frame
```

A frame has cells, and is read as a `Frame`. `RowCodec` checks it against columns and rules,
and encodes each row as the K + D entries of its `RowLayout`. `EntryFeatures` makes these
inputs of networks, whose parameters `NumberConditionals` and `Atoms` turn into densities
and draws. The codec decodes drawn entries to columns.

Each number is modelled given the codes and the numbers before it. So its distribution
function is known, integers have the exact probabilities of their bins, absent numbers drop
out, and one column is predicted by quantiles.
"""

from tfp_flows.tables.column import Column
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.rules.compositions import Composition
from tfp_flows.tables.describe_columns import describe_columns
from tfp_flows.tables.rules.differences import Difference
from tfp_flows.tables.rules.equalities import Equality
from tfp_flows.tables.rules.functions import Function
from tfp_flows.tables.rules.lookups import Lookup
from tfp_flows.tables.networks import NetworkSizes
from tfp_flows.tables.prediction.prediction import Prediction
from tfp_flows.tables.row_codec import violated_rules
from tfp_flows.tables.synthesis.report import SynthesisReport
from tfp_flows.tables.synthesis.report import synthesis_report
from tfp_flows.tables.table_density import TableDensity
from tfp_flows.tables.training import FitOptions

__all__ = [
    "Column",
    "Composition",
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
