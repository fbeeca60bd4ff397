"""How sealed sums ride in content, and that their policy follows from job, spec and round alone."""

import numpy as np
import pytest

from consortia_common import sealed
from consortia_common.content import Content
from consortia_common.errors import ExchangeError
from consortia_crypto.errors import SumError
from consortia_crypto.sum.policy import Sealed
from tests.support.consortium import BANKS, spec


def test_blocks_arrive_in_order() -> None:
    blocks = Sealed((b"first", b"", b"third" * 100))
    content = Content.from_bytes(sealed.to_content(blocks).to_bytes(), "bank-a")
    assert sealed.holds_sealed(content)
    assert sealed.from_content(content, "bank-a") == blocks


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"model": np.zeros(3)},
        {"sealed.1": np.zeros(3, np.uint8)},
        {"sealed.0": np.zeros(3, np.uint8), "other": np.zeros(3, np.uint8)},
        {"sealed.1": np.zeros(3, np.uint8), "sealed.0": np.zeros(3, np.uint8)},
        {"sealed.0": np.zeros(3)},
        {"sealed.0": np.zeros((3, 1), np.uint8)},
    ],
    ids=",".join,
)
def test_anything_else_is_refused_with_its_sender(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(ExchangeError, match="something else came") as refused:
        sealed.from_content(Content(arrays=arrays), "bank-b")
    assert refused.value.blame == "bank-b"


def test_what_has_no_first_block_holds_no_sealed_vector() -> None:
    assert not sealed.holds_sealed(Content(arrays={"model": np.zeros(3)}, config={"sealed.0": 1}))


def test_the_policy_follows_from_job_spec_and_round() -> None:
    job = spec("train")
    policy = sealed.policy_of("job-1", job, "update", 3)
    assert policy.roster == BANKS
    assert (policy.length, policy.word_bits) == (4, 64)
    assert policy == sealed.policy_of("job-1", spec("train"), "update", 3)


def test_every_sum_of_every_round_of_every_job_has_a_policy_of_its_own() -> None:
    job = spec("train")
    policies = [
        sealed.policy_of(job_id, job, name, turn)
        for job_id in ("job-1", "job-2")
        for name in job.parameters.sums()
        for turn in (0, 1, 2)
    ]
    assert len({policy.digest() for policy in policies}) == len(policies)


def test_a_sum_over_two_parties_is_none() -> None:
    with pytest.raises(SumError, match="3 to 50 institutions"):
        sealed.policy_of("job-1", spec("train").model_copy(update={"parties": BANKS[:2]}), "update", 1)
