"""Amortised posteriors: one fit to simulations, then the posterior of any observation.

Read in this order:

```none
fit                 fit_amortized_posterior: simulations -> features -> density -> checks,
                    in one round, or in several around an observation in focus
simulator           parameters and data: of a joint distribution, or a prior and a function
pairs               simulated ones, or some that were simulated elsewhere
backup              the file that keeps them, from which a killed call goes on
interval_ends       coordinates of parameters in intervals, with narrow bends
normal_tails        coordinates of parameters in which heavy tails of the prior are normal
data_form           the form of an observation: one row of numbers
exchangeable        numbers whose order does not matter: quantiles, mean and deviation
features            what the density sees of it: numbers, these, or a network's summary
truncation          the density of parameters given fixed data, and the prior truncated to
                    where the posterior of the observation in focus has mass
learned_likelihood  a density of data given parameters, which weighs draws
posterior           AmortizedPosterior, and the posterior given one observation
kernel_ridge        a point near the true parameters, for expected coverage
calibration         checks of the whole: ranks and expected coverage
observation_checks  checks of one observation: within the simulations, importance weights
neural_likelihood   fit_neural_likelihood: the density of data given parameters
mixed_trials        the same of data with categories or integers
score_bias          of how many trials a learned density can take
```
"""
