"""Fixtures for every test: a consortium that runs in this process, built once and used by many.

Under pytest-xdist a file's tests run in one process, and all fault tests in one, which share their own consortium.
"""

from collections.abc import Iterator
from pathlib import PurePath

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests.support import consortium as support

settings.register_profile("consortia", deadline=None)  # a busy machine is no fault of what is tested
settings.load_profile("consortia")


class ByFixtures(LoadFileScheduling):
    """Keeps the tests together that share what is slow to make."""

    def _split_scope(self, nodeid: str) -> str:
        file = PurePath(super()._split_scope(nodeid))
        return str(file.parent if file.parent.name == "faults" else file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFixtures:
    return ByFixtures(config, log)


@pytest.fixture(scope="session")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Consortium]:
    """Three banks and a coordinator, running, with consent imported and the agreement signed.

    Shared: a test may run jobs, and must not assume that no other did. Consent that it withdraws it gives back in
    the end, because others count who takes part. Min_cell is 1: else a withdrawal would forbid the next
    statistics, see test_played_attacks.
    """
    built = support.build(tmp_path_factory.mktemp("consortium"))
    with support.running(built):
        support.prepare(built, min_cell=1)
        yield built
