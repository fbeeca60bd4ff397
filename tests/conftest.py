"""Fixtures for every test: a consortium that runs in this process, built once and used by many."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support import consortium as support

settings.register_profile("consortia", deadline=None)  # a busy machine is no fault of what is tested
settings.load_profile("consortia")


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
