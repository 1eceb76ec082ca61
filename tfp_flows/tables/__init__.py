"""Tables: rows with columns of any kind as one distribution, in the user's units.

A frame's columns have kinds (`describe_columns`); each is a code, a number, or both
(`column_codec`). `TableDistribution` is the distribution of codes and numbers:

```none
frame -> RowCodec -> codes   -> CategoricalMADEs, given the context
                  -> numbers -> NumberMaps, each to a standardised line or circle
                             -> ColumnMLPs, of context, codes and numbers before -> splines
```

Each number is modelled given the codes and the numbers before it, one spline a member of
an ensemble. So its distribution function is known, integers have the exact probabilities
of their bins, absent numbers drop out, and one column is predicted by quantiles.
"""

from tfp_flows.tables.columns import Column
from tfp_flows.tables.describe_columns import describe_columns
from tfp_flows.tables.prediction import Prediction
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.table_density import TableDensity
