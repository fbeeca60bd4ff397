"""RFC 3161 timestamps over checkpoints: somebody outside the network says that a log had come so far by then.

    timestamps/<size>-<hash>.note   the checkpoint as it was stamped, since the log's own moves on
    timestamps/<size>-<hash>.tsr    the authority's reply, DER

``hash`` is the first 16 digits of the note's SHA-256. A stamp proves that the checkpoint existed at its time; that
it is a checkpoint of this log is proved by its root, which is made again from the entries. Which authorities to
believe is told by root certificates from elsewhere. Needs the extra ``timestamps``.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import UTC
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

from consortia_common import keyfiles
from consortia_common.audit_segments import LogFolder, records
from consortia_common.documents.base import utc
from consortia_common.errors import CommonError, LogStorageError, TimestampError
from consortia_crypto.audit import tree
from consortia_crypto.audit.checkpoint import Checkpoint, log_origin
from consortia_crypto.audit.frontier import Frontier
from consortia_crypto.audit.note import Note
from consortia_crypto.audit.verify import Verdict
from consortia_crypto.errors import CryptoError

FOLDER = "timestamps"
SECONDS = 30
MAX_REPLY_BYTES = 1 << 20

Authority = Callable[[bytes], bytes]
"""Answers a TimeStampReq (DER) with a TimeStampResp."""
Roots = Sequence[x509.Certificate]


@dataclass(frozen=True)
class Stamp:
    """What one timestamp says, and whether it holds; ``time`` is empty if it can't be read."""

    name: str
    size: int
    time: str
    verdict: Verdict
    cause: str = ""


def over_http(url: str) -> Authority:
    """The authority that listens at ``url``. Raises TimestampError when asked, if it does not answer."""
    parts = urlsplit(url)
    connections = {"http": HTTPConnection, "https": HTTPSConnection}
    if parts.scheme not in connections or not parts.hostname:
        raise _refuse(
            f"{url} is no address of an authority", "whoever typed it", "begin it with https:// or http://"
        )

    def ask(request: bytes) -> bytes:
        connection = connections[parts.scheme](parts.netloc, timeout=SECONDS)
        try:
            headers = {"Content-Type": "application/timestamp-query"}
            connection.request("POST", f"{parts.path or '/'}?{parts.query}".rstrip("?"), request, headers)
            reply = connection.getresponse()
            data: bytes = reply.read(MAX_REPLY_BYTES)
        except (OSError, HTTPException) as error:
            raise _refuse(f"{parts.netloc} does not answer", "it, or the network", "try later") from error
        finally:
            connection.close()
        if reply.status != 200:
            raise _refuse(f"{parts.netloc} answers with {reply.status}", "the authority", "try later, or another")
        return data

    return ask


def read_roots(path: Path) -> Roots:
    """The certificates in a PEM file. Raises TimestampError."""
    try:
        return x509.load_pem_x509_certificates(keyfiles.read_file(path))
    except ValueError as error:
        raise _refuse(f"{path} holds no certificates", "whoever made it", "give a PEM file") from error


def stamp(folder: LogFolder, authority: Authority, roots: Roots) -> Stamp:
    """Have the log's newest checkpoint stamped, and keep the stamp. Raises TimestampError, LogStorageError."""
    library = _library()
    note = keyfiles.read_file(folder.checkpoint)
    size = _checkpoint(note).size
    request = library.TimestampRequestBuilder().data(note).hash_algorithm(library.HashAlgorithm.SHA256).build()
    reply = authority(request.as_bytes())
    why, time = _judged(library, reply, note, roots, request.nonce)
    if why:
        raise _refuse(why, "the authority, or whoever chose its certificate", "compare the certificate with it")
    name = f"{size:012d}-{hashlib.sha256(note).hexdigest()[:16]}"
    keyfiles.make_folder(folder.path / FOLDER)
    keyfiles.write_file(folder.path / FOLDER / f"{name}.tsr", reply)
    keyfiles.write_file(folder.path / FOLDER / f"{name}.note", note)
    return Stamp(name, size, time, Verdict.VERIFIED)


def check(folder: LogFolder, roots: Roots) -> list[Stamp]:
    """Every stamp that the log has, oldest checkpoint first."""
    library = _library()
    notes = sorted((folder.path / FOLDER).glob("*.note"))
    checkpoints = {path: _parsed(path) for path in notes}
    known = _Roots(folder, [one for one in checkpoints.values() if one])
    return [_checked(library, path, checkpoint, known, roots) for path, checkpoint in checkpoints.items()]


def _checked(
    library: ModuleType, path: Path, checkpoint: Checkpoint | None, known: "_Roots", roots: Roots
) -> Stamp:
    if checkpoint is None:
        return Stamp(path.stem, 0, "", Verdict.TAMPERED, "what was stamped is no checkpoint")
    try:
        reply, note = keyfiles.read_file(path.with_suffix(".tsr")), keyfiles.read_file(path)
    except CommonError:
        return Stamp(path.stem, checkpoint.size, "", Verdict.UNVERIFIABLE, "the authority's reply is missing")
    why, time = _judged(library, reply, note, roots)
    if why:
        return Stamp(path.stem, checkpoint.size, time, Verdict.UNVERIFIABLE, why)
    cause = known.contradiction(checkpoint)
    verdict = Verdict.TAMPERED if cause else Verdict.VERIFIED
    return Stamp(path.stem, checkpoint.size, time, verdict, cause)


def _judged(
    library: ModuleType, reply: bytes, note: bytes, roots: Roots, nonce: int | None = None
) -> tuple[str, str]:
    """What is wrong with a reply (nothing if all is well), and the time that it says."""
    time = ""
    try:
        answer = library.decode_timestamp_response(reply)
        time = utc(answer.tst_info.gen_time.astimezone(UTC))
        library.VerifierBuilder(roots=list(roots), nonce=nonce).build().verify_message(answer, note)
    except (library.VerificationError, ValueError) as error:
        return f"the stamp does not hold under the certificates given ({error})", time
    return "", time


class _Roots:
    """The roots that a log's entries give, at the sizes that ``checkpoints`` name."""

    def __init__(self, folder: LogFolder, checkpoints: Sequence[Checkpoint]) -> None:
        self._owner = keyfiles.load_public_identity(folder.identity)
        self._roots: dict[tuple[str, int], bytes] = {}
        for shard in folder.shards():
            year = shard.path.name
            mine = [one for one in checkpoints if shard == folder or one.origin.endswith(f"/{year}")]
            sizes = {one.size for one in mine}
            for size, root in _grown(shard, sizes):
                self._roots |= {(one.origin, size): root for one in mine if one.size == size}

    def contradiction(self, checkpoint: Checkpoint) -> str:
        """Why ``checkpoint`` is not of this log, in words; nothing if it is."""
        root = self._roots.get((checkpoint.origin, checkpoint.size))
        if not self._is_mine(checkpoint.origin):
            return f"the checkpoint is of another log, {checkpoint.origin}"
        if root is None:
            return f"the log does not reach entry {checkpoint.size - 1} any more"
        return "" if root == checkpoint.root else f"the first {checkpoint.size} entries are not those then stamped"

    def _is_mine(self, origin: str) -> bool:
        year = origin.rpartition("/")[2]
        owner = self._owner
        return year.isdecimal() and origin == log_origin(owner.network, owner.institution, int(year))


def _grown(folder: LogFolder, sizes: Set[int]) -> Iterator[tuple[int, bytes]]:
    """The root at each of these sizes, as far as the entries go."""
    frontier = Frontier()
    try:
        for raw in islice(records(folder), max(sizes, default=0)):
            frontier.append(tree.leaf_hash(raw))
            if frontier.size in sizes:
                yield frontier.size, frontier.root()
    except LogStorageError:
        return


def _parsed(path: Path) -> Checkpoint | None:
    try:
        return Checkpoint.parse(Note.parse(keyfiles.read_file(path)).text)
    except (CryptoError, CommonError):
        return None


def _checkpoint(note: bytes) -> Checkpoint:
    try:
        return Checkpoint.parse(Note.parse(note).text)
    except CryptoError as error:
        raise _refuse("the log's checkpoint is damaged", "whoever changed it", "verify the log first") from error


def _library() -> Any:
    try:
        import rfc3161_client  # noqa: PLC0415  # an extra; everything else works without it
    except ModuleNotFoundError as error:
        raise _refuse(
            "the library rfc3161-client is not installed",
            "this installation, which lacks an extra",
            'run: pip install "consortia[timestamps]"',
        ) from error
    return rfc3161_client


def _refuse(why: str, blame: str, remedy: str) -> TimestampError:
    return TimestampError(f"no timestamp: {why}", blame=blame, remedy=remedy)
