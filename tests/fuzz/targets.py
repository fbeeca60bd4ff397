"""The table of everything that reads a peer's bytes: how it is called, what it may raise, good bytes to spoil.

The default suite, the longer runs and atheris all fuzz this table; ``discovery.readers`` says what must be in it.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.utils import CryptographyDeprecationWarning
from google.protobuf.message import DecodeError

from consortia_client import receipts
from consortia_client.errors import ResultError
from consortia_common import consent_tree, pki, stream
from consortia_common.consent_proof import ConsentProof
from consortia_common.content import Beside, Bytes, Content
from consortia_common.documents.base import Document
from consortia_common.errors import CertificateError, DocumentError, ExchangeError
from consortia_common.roots import Roots, SignedRoots
from consortia_common.stream import Receiver
from consortia_coordinator import ca, ceremony
from consortia_crypto import canonical, envelope
from consortia_crypto.audit import logkeys, tiles, tree, witness
from consortia_crypto.audit.checkpoint import Checkpoint, open_checkpoint
from consortia_crypto.audit.entry import NO_ENTRY, Entry, Head
from consortia_crypto.audit.note import Note, NoteSignature
from consortia_crypto.audit.notekeys import VerifierKey
from consortia_crypto.audit.policy import Policy
from consortia_crypto.audit.proof import LogProof
from consortia_crypto.audit.witness import AddCheckpoint
from consortia_crypto.audit.witnesskeys import WitnessKeys
from consortia_crypto.errors import CryptoError, EncodingError, SumError
from consortia_crypto.he.params import SUM
from consortia_crypto.he.wire import check_ciphertext, form
from consortia_crypto.keys import PrivateIdentity, PublicIdentity
from consortia_crypto.sum import shamir
from consortia_crypto.sum.collector import Collector
from consortia_crypto.sum.member import Member
from consortia_proto.v1 import content_pb2, exchange_pb2
from tests.fuzz import documents
from tests.fuzz.discovery import ELSEWHERE, OURS, load, readers
from tests.support.sum_examples import POLICY
from tests.support.sum_examples import examples as sum_examples
from tests.support.sums import keys_of
from tests.support.tlog import MemoryLog, witness_key

ANA = PrivateIdentity.generate("demo", "bank-a", "analyst", "ana")
NODE = PrivateIdentity.generate("demo", "bank-a", "node", "node")
LOG = MemoryLog(entries=tuple(b"%d" % number for number in range(9)))
PLACE: Mapping[str, Any] = {"purpose": "credit-risk", "job": "job-1", "step": "epoch.seed", "sequence": 0}
FORM = form(SUM, SUM.scale)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
LIMIT = 1 << 20
FOUND = Path(__file__).parent / "found"
"""Bytes that once raised what they may not, each under its target's name and a number."""


@dataclass(frozen=True)
class Target:
    """``read`` may raise the ``errors`` and nothing else, whatever its bytes; ``examples`` it takes."""

    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    examples: Callable[[], list[bytes]] = list


def text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    """A reader of text whose caller has decoded it."""
    return lambda data: read(data.decode(errors="replace"))


@cache
def targets() -> dict[str, Target]:
    """The table, by the qualified name of what reads; ``wire.`` is how messages of the exchange are read."""
    return _documents() | _sums() | _others() | _wire()


def _documents() -> dict[str, Target]:
    """Every kind of document, and the parts of documents."""
    good = documents.examples()
    return {
        name: Target(lambda data, kind=kind: kind.from_canonical(data, "the fuzz test"), (DocumentError,),
                     lambda kind=kind: [good[kind]] if kind in good else [])
        for name in readers()
        if isinstance(kind := load(name), type) and issubclass(kind, Document)
    }  # fmt: skip


def _sums() -> dict[str, Target]:
    """Every message and state of a sealed sum."""
    found = {
        name: Target(
            lambda data, kind=kind: kind.from_bytes(data), (SumError,),
            lambda kind=kind: [sum_examples()[kind].to_bytes()] if kind in sum_examples() else [],
        )
        for name in readers()
        if name.startswith("consortia_crypto.sum.") and name not in OURS and isinstance(kind := load(name), type)
    }  # fmt: skip
    keys = keys_of(POLICY.roster)
    secrets = keys.secrets[POLICY.roster[0]]
    return found | {
        "consortia_crypto.sum.member.Member": Target(
            lambda data: Member.from_bytes(data, POLICY, secrets), (SumError,)
        ),
        "consortia_crypto.sum.collector.Collector": Target(
            lambda data: Collector.from_bytes(data, POLICY, keys.documents), (SumError,)
        ),
        "consortia_crypto.sum.shamir.from_bytes": Target(shamir.from_bytes, (SumError,), lambda: [bytes(32)]),
    }


def _others() -> dict[str, Target]:
    """Identities, envelopes, ciphertexts, proofs of consent, and the two groups below."""
    ones = b"\1" * (FORM.length - len(FORM.prefix) - len(FORM.suffix))
    own = envelope.seal(b"key", sender=NODE, recipient=ANA.public, **PLACE)
    found = {
        "consortia_crypto.keys.PublicIdentity": Target(
            lambda data: PublicIdentity.from_document(canonical.decode(data)), (EncodingError,),
            lambda: [canonical.encode(ANA.public.document())],
        ),
        "consortia_crypto.canonical.decode": Target(canonical.decode, (EncodingError,), lambda: [_entry().raw]),
        "consortia_crypto.envelope.unseal": Target(
            lambda data: envelope.unseal(data, sender=NODE.public, recipient=ANA, **PLACE), (CryptoError,),
            lambda: [own],
        ),
        "consortia_crypto.he.wire.check_ciphertext": Target(
            lambda data: check_ciphertext(data, FORM, "bank-b"), (CryptoError,),
            lambda: [FORM.prefix + ones + FORM.suffix],
        ),
        "consortia_common.consent_proof.ConsentProof": Target(
            ConsentProof.parse, (DocumentError,), lambda: [ConsentProof(_entry().raw, _proof().raw, _opening()).raw]
        ),
        "consortia_common.consent_tree.ConsentOpening": Target(
            lambda data: consent_tree.ConsentOpening.from_document(canonical.decode(data)),
            (DocumentError, EncodingError), lambda: [canonical.encode(_opening().document())],
        ),
        "consortia_client.receipts.check": Target(receipts.check, (ResultError,)),
    }  # fmt: skip
    return found | _audit() | _certificates()


def _entry() -> Entry:
    """The first of a log."""
    body = {"type": "log.opened", "ts": "2026-01-01T00:00:00.000Z"}
    return Entry.sign(0, NO_ENTRY, bytes(16), body, NODE, NODE.public.fingerprint)


def _proof() -> LogProof:
    return LogProof(0, tuple(tree.inclusion_proof(LOG.hashes, 0)), LOG.note().raw)


def _audit() -> dict[str, Target]:
    """Logs, their checkpoints and keys, witnesses."""
    note, request = LOG.note().raw, LOG.request(3)
    head = Head.sign(1, "ab" * 32, NODE, NODE.public.fingerprint).raw
    witness_text = witness_key("bank-b").verifier.text
    policy = f"log {LOG.keys[0].text}\nwitness w {witness_text}\ngroup g any w\nquorum g\n".encode()
    return {
        "consortia_crypto.audit.entry.Entry": Target(Entry.parse, (CryptoError,), lambda: [_entry().raw]),
        "consortia_crypto.audit.entry.Head": Target(
            lambda data: Head.parse(data, NODE.public), (CryptoError,), lambda: [head]
        ),
        "consortia_crypto.audit.note.Note": Target(Note.parse, (CryptoError,), lambda: [note]),
        "consortia_crypto.audit.note.NoteSignature": Target(
            text(NoteSignature.parse), (CryptoError,), lambda: [Note.parse(note).signatures[0].line.encode()]
        ),
        "consortia_crypto.audit.notekeys.VerifierKey": Target(
            text(VerifierKey.parse), (CryptoError,), lambda: [witness_text.encode()]
        ),
        "consortia_crypto.audit.checkpoint.Checkpoint": Target(
            text(Checkpoint.parse), (CryptoError,), lambda: [LOG.checkpoint().text.encode()]
        ),
        "consortia_crypto.audit.checkpoint.open_checkpoint": Target(
            lambda data: open_checkpoint(data, LOG.keys), (CryptoError,), lambda: [note]
        ),
        "consortia_crypto.audit.policy.Policy": Target(Policy.parse, (CryptoError,), lambda: [policy]),
        "consortia_crypto.audit.proof.LogProof": Target(LogProof.parse, (CryptoError,), lambda: [_proof().raw]),
        "consortia_crypto.audit.witness.AddCheckpoint": Target(
            AddCheckpoint.parse, (CryptoError,), lambda: [request.raw]
        ),
        "consortia_crypto.audit.witness.convicts": Target(
            lambda data: witness.convicts(data, note, LOG.origin, LOG.keys), (CryptoError,), lambda: [note]
        ),
        "consortia_crypto.audit.witnesskeys.WitnessKeys": Target(
            lambda data: WitnessKeys.parse(data, NODE.public), (CryptoError,)
        ),
        "consortia_crypto.audit.logkeys.parse": Target(
            lambda data: logkeys.parse(data, NODE.public), (CryptoError,)
        ),
        "consortia_crypto.audit.tiles.decode_tile": Target(
            lambda data: tiles.decode_tile(data, 3), (CryptoError,), lambda: [bytes(96)]
        ),
        "consortia_crypto.audit.tiles.decode_bundle": Target(
            lambda data: tiles.decode_bundle(data, 2), (CryptoError,),
            lambda: [tiles.encode_bundle([b"one", b"two"])],
        ),
    }  # fmt: skip


def _certificates() -> dict[str, Target]:
    root = ca.make_root("lab", NOW)
    key = pki.new_key()
    request = pki.make_request(key)
    subject = pki.Subject("lab", "bank-a", "node", "node")
    list_of_roots = Roots(network="lab", sequence=1, roots=(root.certificate_pem.decode(),), at_ms=1)
    signed_roots = SignedRoots(list_of_roots.canonical(), list_of_roots.sign(root.key)).raw
    leaf = ca.issue(root, key.public_key(), subject, NOW, timedelta(days=1))
    refused = (CertificateError, CryptographyDeprecationWarning)  # the latter where warnings are errors
    return {
        "consortia_common.pki.read_request": Target(
            lambda data: pki.read_request(_pem("CERTIFICATE REQUEST", data)), refused,
            lambda: _both(request),
        ),
        "consortia_common.roots.SignedRoots": Target(SignedRoots.parse, refused, lambda: [signed_roots]),
        "wire.RootRequest": Target(
            lambda data: ceremony.sign(root, _pem("CERTIFICATE REQUEST", data), NOW), (*refused, DocumentError),
            lambda: [*_both(request), list_of_roots.canonical()],
        ),
        "consortia_common.pki.read_chain": Target(
            lambda data: pki.read_chain(_pem("CERTIFICATE", data)), refused, lambda: _both(root.certificate_pem)
        ),
        "consortia_common.pki.verify_leaf": Target(
            lambda data: pki.verify_leaf(_pem("CERTIFICATE", data), root.certificate_pem, NOW), refused,
            lambda: _both(leaf),
        ),
    }  # fmt: skip


def _both(pem: bytes) -> list[bytes]:
    """A PEM, and the DER in it, whose bytes are worth spoiling."""
    return [pem, base64.b64decode(b"".join(pem.split(b"-----")[2].split()))]


def _pem(kind: str, data: bytes) -> bytes:
    """DER as PEM; a PEM stays what it is."""
    if not data.startswith(b"\x30"):
        return data
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(data).decode()}-----END {kind}-----\n".encode()


def _wire() -> dict[str, Target]:
    """Frames as either end takes them, and what is inside of tasks and replies."""
    hello = exchange_pb2.Frame(hello=exchange_pb2.Hello(version=stream.VERSION, network="demo"))
    inner = Content(
        {"a": np.arange(6.0).reshape(2, 3)}, {"b": [b"x", b"y"], "c": 1, "d": "e"}, {"f": 0.5}
    ).to_bytes()
    head = exchange_pb2.Chunk(
        message_id="job/echo/0/bank-a", total=len(inner), data=inner, sha256=hashlib.sha256(inner).digest()
    )
    frames = [
        exchange_pb2.Frame(chunk=head),
        exchange_pb2.Frame(ack=exchange_pb2.Ack(message_id="job")),
        exchange_pb2.Frame(heartbeat=exchange_pb2.Heartbeat(sequence=1)),
        exchange_pb2.Frame(bye=exchange_pb2.Bye(reason="over")),
    ]
    body = Beside()
    spans = Content({"a": np.arange(50_000.0)}, {"b": bytes(100_000)}).to_proto(body).SerializeToString()
    behind = Bytes(b"".join(body.parts))

    def receive(data: bytes) -> None:
        receiver = Receiver("bank-a", "demo", LIMIT)
        receiver.receive(hello)
        receiver.receive(exchange_pb2.Frame.FromString(data))

    return {
        "consortia_common.content.Content": Target(
            lambda data: Content.from_bytes(data, "bank-a"), (ExchangeError,), lambda: [inner]
        ),
        "wire.Frame": Target(
            receive, (ExchangeError, DecodeError), lambda: [frame.SerializeToString() for frame in frames]
        ),
        "wire.Hello": Target(
            lambda data: Receiver("bank-a", "demo").receive(exchange_pb2.Frame.FromString(data)),
            (ExchangeError, DecodeError), lambda: [hello.SerializeToString()],
        ),
        "wire.Spans": Target(
            lambda data: Content.from_proto(content_pb2.Content.FromString(data), "bank-a", behind),
            (ExchangeError, DecodeError), lambda: [spans],
        ),
        "wire.Value": Target(
            lambda data: Content.from_proto(
                content_pb2.Content(config={"a": content_pb2.Value.FromString(data)}), "bank-a"
            ),
            (ExchangeError, DecodeError),
            lambda: [content_pb2.Value(texts=content_pb2.Texts(items=["a"])).SerializeToString()],
        ),
    }  # fmt: skip


@cache
def _opening() -> consent_tree.ConsentOpening:
    name, salt = "ab" * 32, bytes(32)
    record = canonical.encode({"subject": name, "state": "given"})
    pairs = consent_tree.pair(name, hmac.digest(salt, record, "sha256"))
    found = consent_tree.prove(pairs, name, salt, record)
    if found is None:
        raise AssertionError("a record of one's own is not found")
    return found


def missing() -> list[str]:
    """Readers that are neither here nor said to need no fuzzing."""
    known = targets().keys() | OURS.keys()
    return [name for name in readers() if name not in known and not name.startswith(tuple(ELSEWHERE))]


def spare() -> list[str]:
    """Names in the tables that no reader has."""
    there = set(readers())
    return sorted(
        name for name in targets().keys() | OURS.keys() if name not in there and not name.startswith("wire.")
    )
