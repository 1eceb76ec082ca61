"""Small VAEs, trained once for all tests that only ask them."""

import pytest
import small_vae


@pytest.fixture(scope="session")
def models():
    """Each small VAE after some epochs, trained when it is first asked for."""

    class Models(dict):
        def __missing__(self, name):
            return self.setdefault(name, small_vae.trained(name))

    return Models()
