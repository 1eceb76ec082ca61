"""Pages of plain Markdown as notebooks: each Python block is a cell that runs.

Words after `python` in the block's first line are tags of the cell, as in
"```python frames": a cell tagged `frames` draws one figure after another, which the site
shows with a slider (`_static/frames.js`); one tagged `skip-execution` is not run.

Links to files of the project outside `docs/` become downloads, since no public address of
the repository is known; to its folders, their names.
"""

import re

from nbformat import NotebookNode, v4

_BLOCK = re.compile(r"^```python[ \t]*([^\n]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_OUTSIDE = re.compile(
    r"\[([^\]]+)\]\(((?:\.\./)+(?:tfp_flows|experiments|benchmarks|tests|[A-Z_]+\.(?:md|cff))[^)#\s]*)(?:#[^)]*)?\)"
)
_KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def read_page(text: str) -> NotebookNode:
    """Returns the notebook of a page of Markdown, given as text."""
    text = _OUTSIDE.sub(_download, text)
    parts = _BLOCK.split(text)  # text, tags, code, text, tags, code, ..., text
    cells = [v4.new_markdown_cell(parts[0])]
    for tags, code, after in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        cells.append(v4.new_code_cell(code.strip("\n"), metadata={"tags": tags.split()}))
        cells.append(v4.new_markdown_cell(after.strip("\n")))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # not a random one, by which no cache would be found
    metadata = {"kernelspec": _KERNEL}
    if len(cells) == 1:  # no kernel need be started
        metadata["mystnb"] = {"execution_mode": "off"}
    return v4.new_notebook(cells=cells, metadata=metadata)


def _download(link: re.Match) -> str:
    words, path = link[1].replace("`", ""), link[2]
    if "." not in path.rsplit("/", 1)[-1]:
        return f"`{path.lstrip('./')}`"
    return f"{{download}}`{words} <{path}>`"


def setup(app: object) -> dict:
    """Registers nothing; `nb_custom_formats` names `read_page`."""
    return {"parallel_read_safe": True}
