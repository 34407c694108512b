"""What every test may use: goldens, and markers that skip what this machine cannot run."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.goldens import GoldenFile, golden_file

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")

# Times vary on a shared machine; a run in CI repeats the same examples.
settings.register_profile("tilewise", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("tilewise")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder of the tests' own, for this process and those that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILEWISE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_configure() -> None:
    """See that Ctrl-C can be tested: what a shell begins in the background ignores it for good."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def golden() -> GoldenFile:
    """``golden(family, name)`` → path of an expected file; skips the test where it is absent."""
    return golden_file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked ``gpu`` or ``chromium`` where there is none."""
    if any(item.get_closest_marker("gpu") for item in items) and not _has_gpu():
        _skip(items, "gpu", "no CUDA device")
    if not any(shutil.which(name) for name in CHROMIUM_NAMES):
        _skip(items, "chromium", "no chromium on the path; make system installs it")


def _has_gpu() -> bool:
    import torch  # takes a second; only runs with a gpu test need it

    return torch.cuda.is_available()


def _skip(items: list[pytest.Item], marker: str, reason: str) -> None:
    for item in items:
        if item.get_closest_marker(marker):
            item.add_marker(pytest.mark.skip(reason=reason))
