"""The report on synthetic rows: how alike real ones they are, and whether they copy them.

Read in this order:

```none
row_features        rows of several frames as arrays; which are copies of others
fidelity            scores of how alike rows are; distances
report              synthesis_report: all scores, what each means, as text
checks              the checks of the report, and its verdict
```
"""
