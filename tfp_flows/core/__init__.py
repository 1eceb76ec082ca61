"""The base of all other folders: protocol, checks, compiled calls and saving."""
