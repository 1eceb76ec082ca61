"""The code of README, run as it is pasted: block after block, in one process.

`make release-check` runs this file where only the package is installed.
"""

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def run():
    names = {"__name__": "__main__"}  # the blocks have no other names than their own
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"block {number} of README", "exec"), names)
    assert names["posterior"].report.verdict == "reliable"
    assert names["pixels"].shape == [16, 784]


def check_installed():
    """Checks that an import finds the installed package, with its types and licence."""
    import tfp_flows

    installed = metadata.distribution("tfp_flows")
    package = Path(tfp_flows.__file__).parent
    assert package == Path(installed.locate_file("tfp_flows"))
    assert tfp_flows.__version__ == installed.version
    assert (package / "py.typed").exists()
    assert any(file.name == "LICENSE" for file in installed.files)
    for name in tfp_flows.__all__:
        getattr(tfp_flows, name)


if __name__ == "__main__":
    check_installed()
    run()
    print("README's code runs with the installed package.")
