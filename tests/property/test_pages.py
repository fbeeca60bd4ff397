"""Long answers in parts: nothing is lost, put in another order or larger than it may be."""

import itertools
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from consortia_coordinator import pages
from consortia_proto.v1 import network_pb2 as pb


@given(st.lists(st.binary(max_size=40)), st.integers(1, 60))
def test_pages_hold_every_item_once_and_as_many_as_fit(documents: list[bytes], most: int) -> None:
    items = [pb.Statement(document=document) for document in documents]
    with patch.object(pages, "PAGE_BYTES", most):
        found = list(pages.pages(items))
    assert [item for page in found for item in page] == items
    assert all(page and (len(page) == 1 or sum(item.ByteSize() for item in page) <= most) for page in found)
    for page, following in itertools.pairwise(found):
        assert sum(item.ByteSize() for item in (*page, following[0])) > most


@given(st.binary(max_size=200), st.integers(1, 60))
def test_pieces_make_the_envelope_again(envelope: bytes, most: int) -> None:
    receipts = [pb.SignedReceipt(institution="bank-a", document=b"r")]
    result = pb.JobResult(job_id="job", sealed_by="bank-a", receipts=receipts, envelope=envelope)
    with patch.object(pages, "PAGE_BYTES", most):
        first, *others = pages.pieces(result)
    assert max(len(piece.envelope) for piece in (first, *others)) <= most
    assert all(piece == pb.JobResult(envelope=piece.envelope) for piece in others)
    first.envelope = b"".join(piece.envelope for piece in (first, *others))
    assert first == result
