"""Speed side by side with the peers: each program prints one table.

Arguments of these names are the same in all files:

```none
name         name of the contender, of the package or of the work, in the table
workload     sizes and task, of a class of `workloads`
worker       a `Worker`, whose interpreter may have the peers' packages
how          `repetitions` and `patience`, as in `interleave`
jit_compile  whether XLA compiles what is timed
num_threads  number of threads of PyTorch
variables    trainable variables
images       an `Images`, and `rows` a `Rows`; `data`: one of both
budget       a `Budget`; `peer`: a `Peer`
build        function that returns a `Contender`
```
"""

import experiments  # noqa: F401  (its import keeps the start of TensorFlow quiet)
