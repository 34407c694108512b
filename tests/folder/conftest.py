"""Files on disk and the model named "tiny", as the command line's tests have them."""

from tests.cli.conftest import folder, models

__all__ = ["folder", "models"]
