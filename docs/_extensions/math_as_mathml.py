"""Formulas as MathML, which browsers draw without a network and without JavaScript."""

import re

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

_NAME = r"\\(?:log|det|sin|cos|tanh|exp)(?:_\w|\{\})?"
_BEFORE = re.compile(rf"(?<=[\w}}])\s*(?={_NAME}\b)")
_AFTER = re.compile(rf"({_NAME})\s+(?=[\w\\|])(?!\\(?:left|,|;))")


def setup(app: Sphinx) -> dict:
    """Makes it the renderer of formulas."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True}


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(tex2mathml(_spaced(node.astext())))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    formula = tex2mathml(_spaced(node.astext()), as_block=True)
    translator.body.append(f'<div class="formula">{formula}</div>\n')
    raise nodes.SkipNode


def _spaced(formula: str) -> str:
    """Puts thin spaces around names of functions, as TeX does, but browsers do not."""
    return _AFTER.sub(r"\1\, ", _BEFORE.sub(r"\, ", formula))
