"""What all other rooms stand on: protocol, checks, compiled calls and saving.

Read in this order:

```none
flow_bijector       the protocol of a flow: calls with a context, initialisation, copies
inputs              checks of values and contexts, and their batch axes
results             checks of what a map returns, sums of log-dets, supports
event_shapes        shapes of events through a bijector
compiled            compiled calls, also by XLA, and functions traced once
composite           base class of bijectors that consist of others
context_standardizer  contexts in the units of the training rows
conditioners        what bijectors need of networks
circular            the argument `circular`: which variables are angles
freezing            the attribute `trainable`, which networks have
arguments           checks of arguments, with errors that name them
rows, statistics    rows of data, and choices of them; means, scales, correlations
normal_quantile     quantiles of the normal distribution, accurate in its tails
serialization       objects as configurations, and back
saved_names         names of classes in files of earlier versions
array_files         files of arrays that a fit writes, and reads when it resumes
recompute           activations computed again, not kept
stock_call_memory   what a bijector remembers between two calls of TFP
check               the one form of all checks in reports
describe            a table of the steps of a bijector
```
"""
