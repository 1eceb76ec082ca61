"""Rules between columns, which are found in the rows and kept exactly in draws.

Read in this order:

```none
rule                what all rules have in common
differences         orders and sums of columns
equalities          pairs of columns that are equal in some rows
functions           columns that are computed from another one by a formula
lookups             columns of one value for each value of another one
compositions        columns whose sum is a constant, such as percentages
kept_rules          which rules a distribution of some columns given others keeps
```

CONTRIBUTING.md says how to add one.
"""
