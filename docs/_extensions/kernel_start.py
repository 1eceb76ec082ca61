"""What kernels of the pages run first: a handler for the root logger.

Without one, TensorFlow takes a notebook's kernel for a terminal, and prints what it logs as
if a page's code had printed it.
"""

import logging

logging.basicConfig()
