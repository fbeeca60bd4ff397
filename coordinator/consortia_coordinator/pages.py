"""PURE: long answers in parts that fit into gRPC's messages: lists in pages, an envelope in pieces."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from google.protobuf.message import Message

from consortia_proto.v1 import network_pb2 as pb

PAGE_BYTES = 1 << 20
"""As much as a page or a piece holds; one item that is longer has a page of its own."""
FRAME_BYTES = 8
"""What an item takes beside itself, at most."""
_M = TypeVar("_M", bound=Message)


def pages(items: Iterable[_M]) -> Iterator[list[_M]]:
    """The items in their order, as many in each page as fit."""
    page: list[_M] = []
    size = 0
    for item in items:
        more = item.ByteSize() + FRAME_BYTES
        if page and size + more > PAGE_BYTES:
            yield page
            page, size = [], 0
        page.append(item)
        size += more
    if page:
        yield page


def pieces(result: pb.JobResult) -> Iterator[pb.JobResult]:
    """Who sealed it, then its receipts, then its envelope; each piece names the job."""
    yield pb.JobResult(job_id=result.job_id, sealed_by=result.sealed_by)
    for page in pages(result.receipts):
        yield pb.JobResult(job_id=result.job_id, receipts=page)
    for start in range(0, len(result.envelope), PAGE_BYTES):
        yield pb.JobResult(job_id=result.job_id, envelope=result.envelope[start : start + PAGE_BYTES])
