"""The coordinator reaches its own port wherever it was told to listen."""

import pytest

from consortia_coordinator.port import own_host


@pytest.mark.parametrize(
    ("listen", "host"),
    [
        ("0.0.0.0:7000", "127.0.0.1"),
        ("[::]:7000", "::1"),
        ("[::1]:7000", "::1"),
        ("bank.example:7000", "bank.example"),
        ("10.1.2.3:7000", "10.1.2.3"),
    ],
)
def test_it_knocks_at_its_own_door(listen: str, host: str) -> None:
    assert own_host(listen) == host
