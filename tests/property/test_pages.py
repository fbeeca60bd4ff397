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
    assert all(page and (len(page) == 1 or _size(page) <= most) for page in found)
    for page, following in itertools.pairwise(found):
        assert _size([*page, following[0]]) > most


def _size(items: list[pb.Statement]) -> int:
    return sum(item.ByteSize() + pages.FRAME_BYTES for item in items)


@given(st.binary(max_size=200), st.lists(st.binary(max_size=40)), st.integers(60, 99))
def test_pieces_make_the_result_again(envelope: bytes, documents: list[bytes], most: int) -> None:
    receipts = [pb.SignedReceipt(institution="bank-a", document=document) for document in documents]
    result = pb.JobResult(job_id="job", sealed_by="bank-a", receipts=receipts, envelope=envelope)
    with patch.object(pages, "PAGE_BYTES", most):
        pieces = list(pages.pieces(result))
    first = pieces[0]
    assert first == pb.JobResult(job_id="job", sealed_by="bank-a")
    assert max(piece.ByteSize() for piece in pieces) <= most + 2 * pages.FRAME_BYTES
    for piece in pieces[1:]:
        first.receipts.extend(piece.receipts)
        first.envelope += piece.envelope
    assert first == result
