"""What a command line says of what went wrong, or might have."""

import warnings

from experiments.command_line import program
from experiments.density_estimation.settings import Settings


def test_warnings_are_one_line_without_pythons_source(capsys):
    def main(settings):
        print(warnings.formatwarning("of two\nlines", UserWarning, "file.py", 3), end="")

    before = warnings.formatwarning
    assert program.run(["name"], main, Settings, description="", refusals=()) == 0
    assert capsys.readouterr().out == "density: of two lines\n"
    assert warnings.formatwarning is before
