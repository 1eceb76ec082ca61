"""Commands that train, evaluate and draw, and their data.

Arguments of these names are the same in all files:

```none
settings   flags of the command, of the class in its `settings.py` or in its own file
strategy   `tf.distribute.Strategy` that models are made under, and of all workers;
           None: the one of the settings, or the default one
dataset    a `Dataset`; `request`: the `Request` that it is loaded by
columns    `described_columns` of a `Dataset`
subject    a `Subject`: a distribution beside the data that it is fitted to
images     the `Images` that a VAE is fitted to
table      a fitted `TableDensity`; `sets`: its training and test rows, data frames
entry      a `Target`; `pinned`: the result of its method; `lengths`: `Lengths` of chains
reference  a `Reference`; None if nothing is compared
context    contexts of rows, `[N, C]`; None if there are none
history    Keras's history, a dict of lists with an entry an epoch; may be empty
results    what `results.json` holds
captions   caption of each picture, by its file name
run_dir    folder of the run
path       path of the file to read or write; that of a picture may be an open file
draw       function of a `path`, which draws a picture of the fit
seed       integer
```

These errors end a command with one line that says why. A docstring names those that other
functions raise, not those of its own lines:

```none
UsageError         flags that are wrong whatever the data are; status 2, otherwise 1
DataError          data that are missing, damaged or unusable
RunDirectoryError  a folder or file that belongs to another process or another run
TrainingError      a training that failed
WorkersError       workers that cannot go on together
```
"""

import sys

# The installed name of this folder is `tfp_flows_experiments`, since users may have a
# package `experiments`. A process that runs a command can use the short name too.
sys.modules.setdefault("experiments", sys.modules[__name__])

from experiments import quiet_tensorflow  # noqa: E402

quiet_tensorflow.install()
