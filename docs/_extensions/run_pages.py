"""The code of all pages runs before they are read, several pages at a time.

myst-nb runs a page when it reads it, so that all but one core are idle, and with `sphinx
--jobs` two pages of the same code (two languages) may write into its cache at once. Here,
pages of the same code run once, and what they gave is cached by one thread; myst-nb
then finds it there. A page that fails is left to myst-nb, which says why.
"""

import os
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from nbformat import NotebookNode
from python_cells import read_page
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

_LOGGER = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict:
    """Runs what is not in the cache yet of the pages that are to be read."""
    app.connect("env-before-read-docs", _run_pages)
    return {"parallel_read_safe": True}


def _run_pages(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    if app.config.nb_execution_mode == "off":
        return
    cache = get_cache(app.config.nb_execution_cache_path)
    # Long ones first, so that no core waits for one at the end.
    pages = dict(sorted(_pages_to_run(app, env, docnames, cache), key=_length))
    # Threads, since kernels are processes of their own, and one writes into the cache.
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {
            pool.submit(_run, page, app.config.nb_execution_timeout): name
            for name, page in pages.items()
        }
        for run in futures.as_completed(runs):
            result, path = run.result(), env.doc2path(runs[run])
            if result.err is None:
                data = {"execution_seconds": result.time}
                bundle = CacheBundleIn(result.nb, str(path), data=data)
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
                _LOGGER.info("ran %s in %.1f s", runs[run], result.time)


def _pages_to_run(app, env, docnames, cache) -> Iterator[tuple[str, NotebookNode]]:
    """Names and notebooks, one of each code, of what has code and is not in the cache."""
    seen = set()
    for name in sorted(docnames):
        path = env.doc2path(name)
        page = read_page(Path(path).read_text(encoding="utf-8"))
        code = tuple(cell.source for cell in page.cells if cell.cell_type == "code")
        left_out = app.config.nb_execution_excludepatterns
        is_left_out = any(PurePosixPath(path).match(pattern) for pattern in left_out)
        if code and code not in seen and not is_left_out and not _is_cached(cache, page):
            yield name, page
        seen.add(code)


def _length(page):
    return -len(str(page[1].cells))


def _is_cached(cache, page: NotebookNode) -> bool:
    try:
        cache.match_cache_notebook(page)
    except KeyError:
        return False
    return True


def _run(page: NotebookNode, timeout: int) -> ExecutionResult:
    with TemporaryDirectory() as folder:
        return single_nb_execution(page, folder, timeout, allow_errors=False)
