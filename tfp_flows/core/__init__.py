"""What every folder of the package stands on: the checks of arguments."""
