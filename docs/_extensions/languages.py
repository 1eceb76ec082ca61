"""Pages under `zh/` are Chinese: they declare it, and have a sidebar of their own.

The groups of a sidebar are the toctrees of `index.md`, or of `zh/index.md`. Above them is a
link to the same page in the other language.
"""

from functools import partial

from sphinx import addnodes
from sphinx.application import Sphinx

_ENGLISH, _CHINESE = "index", "zh/index"
_LINK = '<p class="language"><a href="{}" lang="{}">{}</a></p>'


def setup(app: Sphinx) -> dict:
    """Changes what the theme reads, before it reads it."""
    app.connect("html-page-context", _set_language, priority=100)
    return {"parallel_read_safe": True}


def _set_language(app, page, template, context, doctree):
    root = _CHINESE if _is_chinese(page) else _ENGLISH
    context["language"] = "zh-CN" if _is_chinese(page) else "en"
    context["master_doc"] = root  # where the name of the project leads
    context["toctree"] = partial(_sidebar, app, page, root)
    _, *neighbours = app.builder.relations.get(page, (None, None, None))
    for side, neighbour in zip(("prev", "next"), neighbours, strict=True):
        if neighbour and _is_chinese(neighbour) != _is_chinese(page):
            context[side] = None


def _is_chinese(page):
    return page.startswith("zh/")


def _sidebar(app, page, root, **options):
    groups = [
        app.env.resolve_toctree(page, app.builder, group, **options)
        for group in app.env.get_doctree(root).findall(addnodes.toctree)
        if _CHINESE not in group["includefiles"]
    ]
    parts = [app.builder.render_partial(group)["fragment"] for group in groups]
    return "".join([_link_to_other_language(app, page), *parts])


def _link_to_other_language(app, page):
    other = page.removeprefix("zh/") if _is_chinese(page) else f"zh/{page}"
    if other not in app.env.found_docs:  # a page in English only
        other = _CHINESE
    names = ("en", "English") if _is_chinese(page) else ("zh-CN", "中文")
    return _LINK.format(app.builder.get_relative_uri(page, other), *names)
