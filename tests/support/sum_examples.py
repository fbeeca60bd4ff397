"""One real message of each kind of a sealed sum, of one that an institution is missing from."""

import os
from functools import cache
from typing import Any

from consortia_crypto.sum import epoch
from consortia_crypto.sum.epoch import Epoch, EpochSecrets
from consortia_crypto.sum.messages import Uploaded
from consortia_crypto.sum.terms import SumPolicy
from tests.support.sums import Sum, agree, identity, lost, random_values, roster

POLICY = SumPolicy("job-1/spec/update/1", roster(3), 0, 32, 3)


@cache
def examples() -> dict[type[Any], Any]:
    """One real message of each kind."""
    found: dict[type[Any], Any] = {}
    attempt = Sum(POLICY, random_values(POLICY, 1), twist=lost({POLICY.roster[2]: Uploaded}))
    attempt.run()

    def twist(_: str, message: Any) -> Any:
        found[type(message)] = message
        return message

    keys = agree(POLICY.roster, b"attached", twist)
    found[EpochSecrets] = keys.secrets[POLICY.roster[0]]
    first = POLICY.roster[0]
    found[Epoch] = epoch.begin("s", POLICY.roster, first, identity(first), os.urandom)[0]
    return found | {type(message): message for _, message in attempt.seen}
