"""Speed side by side with the peers: each program prints one table."""

import experiments  # noqa: F401  (its import keeps the start of TensorFlow quiet)
