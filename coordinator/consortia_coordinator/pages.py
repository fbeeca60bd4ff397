"""PURE: long answers in parts that fit into gRPC's messages: lists in pages, an envelope in pieces."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from google.protobuf.message import Message

from consortia_proto.v1 import network_pb2 as pb

PAGE_BYTES = 1 << 20
"""As much as a page or a piece holds; one item that is longer has a page of its own."""
_M = TypeVar("_M", bound=Message)


def pages(items: Iterable[_M]) -> Iterator[list[_M]]:
    """The items in their order, as many in each page as fit."""
    page: list[_M] = []
    size = 0
    for item in items:
        size += item.ByteSize()
        if page and size > PAGE_BYTES:
            yield page
            page, size = [], item.ByteSize()
        page.append(item)
    if page:
        yield page


def pieces(result: pb.JobResult) -> Iterator[pb.JobResult]:
    """The result with the first piece of its envelope, then the other pieces."""
    envelope = result.envelope
    yield pb.JobResult(
        job_id=result.job_id, sealed_by=result.sealed_by, receipts=result.receipts, envelope=envelope[:PAGE_BYTES]
    )
    for start in range(PAGE_BYTES, len(envelope), PAGE_BYTES):
        yield pb.JobResult(envelope=envelope[start : start + PAGE_BYTES])
