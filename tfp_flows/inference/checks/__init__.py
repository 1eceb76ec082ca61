"""Checks of a fitted posterior.

Read in this order:

```none
findings            measures a posterior: weighted draws, chains, missing mass
importance          weighted draws of the target
pareto              tails of weights, and weights smoothed by them
chains              Markov chains, and mass that the posterior lacks
missing_mass        where chains are stuck, and modes on rays
tails               directions in which the target has no finite integral
verdict             the list of checks, and the report
```

To add a check, write a function that returns a `Check` in a file of its own, call it in
`list_checks` of `verdict`, and test it. The report and the verdict follow from the list.
"""
