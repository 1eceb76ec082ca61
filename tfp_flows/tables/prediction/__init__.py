"""Cells given the other cells of their rows: predicted, judged and filled in.

Read in this order:

```none
number_predictions  the distribution of one number; expectations as sums
prediction          quantiles, intervals and scores of one column
conformal           calibration rows, and the distance that intervals must hold
imputation          missing cells, drawn given the others
```
"""
