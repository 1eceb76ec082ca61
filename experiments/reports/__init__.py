"""Reports: pages, tables, pictures, and the progress of training."""

import matplotlib

matplotlib.use("Agg")  # draws into files; needs no screen
