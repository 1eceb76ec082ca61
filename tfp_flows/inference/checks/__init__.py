"""Checks of a fitted posterior, one a file; `verdict` has their list."""
