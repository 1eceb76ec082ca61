"""Checks of a fitted posterior: `findings` measures it, `verdict` has the list of checks.

To add a check, write a function that returns a `Check` in a file of its own, call it in
`list_checks` of `verdict`, and test it. The report and the verdict follow from the list.
"""
