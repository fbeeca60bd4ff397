"""Whatever a peer puts in a status, the caller gets a ConsortiaError that is fit to be shown."""

import json

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_common import rpc
from consortia_common.errors import DocumentError, ExchangeError, NotPermittedError
from consortia_crypto.errors import ConsortiaError


class Failed(grpc.RpcError):
    """A failed call as gRPC reports it."""

    def __init__(self, code: grpc.StatusCode | None, details: str | None) -> None:
        super().__init__()
        self._code, self._told = code, details

    def code(self) -> grpc.StatusCode | None:
        return self._code

    def details(self) -> str | None:
        return self._told


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["what", "blame", "remedy", "x"]), inner),
)


@given(st.sampled_from([None, *grpc.StatusCode]), st.none() | st.text() | JSON.map(json.dumps))
def test_any_status_is_explained(code: grpc.StatusCode | None, details: str | None):
    error = rpc.explain(Failed(code, details), "the coordinator")
    assert isinstance(error, ConsortiaError)
    for text in (error.what, error.blame, error.remedy):
        assert text.isprintable()
        assert len(text) <= rpc.MAX_TEXT + 100


@pytest.mark.parametrize(
    ("code", "family"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, NotPermittedError),
        (grpc.StatusCode.INVALID_ARGUMENT, DocumentError),
        (grpc.StatusCode.FAILED_PRECONDITION, ExchangeError),
        (grpc.StatusCode.INTERNAL, ExchangeError),
    ],
)
def test_what_the_peer_explains_arrives(code: grpc.StatusCode, family: type[ConsortiaError]):
    told = json.dumps({"what": "no\x1b[31m", "blame": "you", "remedy": "ask"})
    with pytest.raises(family) as refused, rpc.calling("the coordinator"):
        raise Failed(code, told)
    assert (refused.value.what, refused.value.blame, refused.value.remedy) == ("no[31m", "you", "ask")


@pytest.mark.parametrize(
    ("code", "details", "meaning"),
    [
        (grpc.StatusCode.UNAVAILABLE, "connect failed: Connection refused (111)", "nothing listens there"),
        (grpc.StatusCode.UNAVAILABLE, "DNS resolution failed for x:1", "name can't be resolved"),
        (grpc.StatusCode.UNAVAILABLE, "CERTIFICATE_VERIFY_FAILED: x", "does not show a certificate"),
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", "refused, or cut"),
        (grpc.StatusCode.UNAVAILABLE, "GOAWAY received; Debug Text: ping_timeout", "silent for too long"),
        (grpc.StatusCode.UNAVAILABLE, "", "can't be reached"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", "no answer in time"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max", "larger than"),
        (grpc.StatusCode.DATA_LOSS, "", "status DATA_LOSS"),
    ],
)
def test_what_grpc_itself_says_is_put_into_words(code: grpc.StatusCode, details: str, meaning: str):
    assert meaning in rpc.explain(Failed(code, details), "it").what
