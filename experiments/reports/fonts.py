"""Fonts of pictures, with the letters of all languages in them."""

import functools
import warnings

from matplotlib import font_manager
from matplotlib.text import Text


def choose_fonts(figure):
    """Adds to each text an installed font with the characters that its own font lacks."""
    for text in figure.findobj(Text):
        if lacking := _lacking(text):
            if family := _family_with(lacking):
                text.set_fontfamily([*text.get_fontfamily(), family])
            else:
                _warn_of_boxes()


def _lacking(text):
    """Returns the characters that the font of a text lacks."""
    others = {letter for letter in text.get_text() if not letter.isascii()}
    path = others and font_manager.findfont(text.get_fontproperties())
    return frozenset(letter for letter in others if not _has(path, letter))


@functools.cache
def _family_with(letters):
    """Returns the name of an installed font that has all letters, or None."""
    for font in font_manager.fontManager.ttflist:
        # A font of last resort draws the same box for all letters.
        is_font = "last resort" not in font.name.lower()
        if is_font and all(_has(font.fname, letter) for letter in letters):
            return font.name
    return None


def _has(path, letter):
    return font_manager.get_font(path).get_char_index(ord(letter)) != 0


@functools.cache  # one warning for all pictures
def _warn_of_boxes():
    warnings.warn(
        "Boxes in pictures stand for letters that no installed font has; Noto Sans CJK has "
        "Chinese, Japanese and Korean letters.",
        stacklevel=2,
    )
