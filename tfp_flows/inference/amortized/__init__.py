"""Amortised posteriors: one fit to simulations, then the posterior of any observation.

Read in this order:

```none
fit                 fit_amortized_posterior: simulations -> features -> density -> checks,
                    in one round, or in several around an observation in focus
simulator           parameters and data: of a joint distribution, or a prior and a function
pairs               simulations as rows, by a simulator or from elsewhere
backup              a file of simulations, from which an interrupted call goes on
interval_ends       coordinates of parameters in intervals, with narrow bends
normal_tails        coordinates of parameters in which heavy tails of the prior are normal
data_form           an observation as one row of numbers
number_summary      a summary without a network: sorted numbers, mean and deviation
features            the context of the density: numbers, their summary, or a network's
truncation          the density of parameters given fixed data, and the prior truncated to
                    where the posterior of the observation in focus has mass
learned_likelihood  a density of data given parameters, which weighs draws
posterior           AmortizedPosterior, and the posterior given one observation
kernel_ridge        a point near the true parameters, for expected coverage
calibration         checks of the whole: ranks and expected coverage
observation_checks  checks of one observation: within the simulations, importance weights
predictive_check    check of its posterior by data simulated with the posterior's draws
neural_likelihood   fit_neural_likelihood: the density of data given parameters
mixed_trials        the same for data with categories or integers
score_bias          the number of trials that a learned density can take
```
"""
