"""Settings of the guide's site; `make docs` builds it."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))
# Kernels that run the pages inherit these.
os.environ["MATPLOTLIBRC"] = str(HERE / "matplotlibrc")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Each page runs on one core, beside others.
os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["PYTHONSTARTUP"] = str(HERE / "_extensions" / "kernel_start.py")

project = "tfp_flows"
author = "the authors of tfp_flows"
extensions = ["myst_nb", "sphinx_copybutton", "python_cells", "run_pages", "math_as_mathml"]
# Source is shown on the site itself, since no public address of the repository is known.
extensions += ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
extensions += ["markdown_docstrings", "command_flags", "languages"]
autodoc_typehints = "none"  # the docstrings say shapes and types
napoleon_custom_sections = ["Reference"]
exclude_patterns = ["_build", "_extensions"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = "tfp_flows"
html_show_copyright = False  # the licence says whose it is
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["frames.js"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# Pages are plain Markdown, whose Python blocks are cells of a notebook.
nb_custom_formats = {".md": "python_cells.read_page"}
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "executed")
nb_execution_raise_on_error = True
nb_execution_timeout = 600
# The tests run them: three take minutes, one shows what it prints, one needs a compiler.
nb_execution_excludepatterns = ["index.md", "fit_a_posterior.md", "own_table.md"]
nb_execution_excludepatterns += ["coming_from/keras_real_nvp.md", "do/stan.md"]
nb_execution_in_temp = True
nb_output_stderr = "remove"
nb_merge_streams = True
