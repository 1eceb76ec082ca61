"""What every room of the package stands on: protocol, checks, calls and saving."""
