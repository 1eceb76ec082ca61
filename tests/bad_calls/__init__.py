"""Calls of public names that must be refused in words, a file an area."""
