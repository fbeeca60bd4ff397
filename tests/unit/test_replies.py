"""What a party answers, read with care."""

import pytest

from consortia_common.content import Content
from consortia_common.documents.jobspec import PROGRESS
from consortia_coordinator.errors import CoordinatorError
from consortia_coordinator.replies import MAX_SHORT, short_blob


def test_what_a_party_tells_of_a_fit_is_not_endless() -> None:
    """It is sent to everybody who follows the job, each time that something changes."""
    assert len(short_blob(Content(config={PROGRESS: bytes(MAX_SHORT)}), PROGRESS, "bank-a")) == MAX_SHORT
    for wrong in (bytes(MAX_SHORT + 1), "text", None):
        with pytest.raises(CoordinatorError, match=r"bank-a answered|lacks its progress") as refused:
            short_blob(Content(config={PROGRESS: wrong} if wrong else {}), PROGRESS, "bank-a")
        assert "bank-a" in refused.value.blame
