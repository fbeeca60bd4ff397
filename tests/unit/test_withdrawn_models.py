"""An analyst's client believes a withdrawal only from a party of the job, about that job."""

import pytest

from consortia_client.errors import ResultError
from consortia_client.withdrawn import require_standing
from consortia_common.documents.statements import MODEL_WITHDRAWN, ModelWithdrawal
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import network_pb2 as pb

JOB = "job-0123456789abcdef"
BANK = PrivateIdentity.generate("lab", "bank-a", "node", "node")
PARTIES = {"bank-a": BANK.public}


def statement(signer: PrivateIdentity = BANK, kind: str = MODEL_WITHDRAWN, **changes: str) -> pb.Statement:
    said = {
        "statement": "ab" * 16,
        "network": "lab",
        "job": JOB,
        "model": "0" * 64,
        "institution": "bank-a",
        "signer": BANK.public.fingerprint,
        "recipients": (),
        "reason": "stale",
        "at_ms": 5,
    }
    document = ModelWithdrawal.from_value(said | changes, "the test").canonical()
    signature = signer.sign(MODEL_WITHDRAWN, document)
    return pb.Statement(type=kind, document=document, signature=signature, institution=signer.public.institution)


def test_a_partys_word_is_believed() -> None:
    with pytest.raises(ResultError, match="withdrawn by bank-a: stale"):
        require_standing([statement()], JOB, "lab", PARTIES)


@pytest.mark.parametrize(
    "other",
    [
        statement(PrivateIdentity.generate("lab", "bank-a", "node", "node")),
        statement(PrivateIdentity.generate("lab", "bank-x", "node", "node")),
        statement(kind="agreement.change"),
        statement(network="other"),
        statement(job="job-fedcba9876543210"),
        statement(institution="bank-b"),
        pb.Statement(type=MODEL_WITHDRAWN, document=b"no", signature=b"no", institution="bank-a"),
    ],
)
def test_nobody_elses_is(other: pb.Statement) -> None:
    require_standing([other], JOB, "lab", PARTIES)
