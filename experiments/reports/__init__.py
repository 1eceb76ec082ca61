"""Reports: pages, tables, pictures, and what one sees while a run trains."""

import matplotlib

matplotlib.use("Agg")  # pictures are files, with or without a screen
