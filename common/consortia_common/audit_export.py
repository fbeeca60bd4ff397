"""One zip file with all that somebody needs who holds nothing else: logs, tiles, proofs, policy, keys, verify.py.

    verify.py                          checks all of this with Python's standard library alone; meant to be read
    policy.txt                         whose signatures make a checkpoint good (C2SP tlog-policy)
    members.txt                        each owner's fingerprint, to be compared with what is known from elsewhere
    logs/<institution>/…               a log as it lies on disk, without anything secret; earlier years in years/
    proofs/<institution>/<n>.tlog-proof   that entry n is in the tree of the checkpoint, for those that matter most

A log may be written to meanwhile: the copy ends where its signed head did when the copy was begun. Tiles are made
from the entries; that they are what the owner publishes is shown by the signed root.
"""

import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from consortia_common import audit_standalone, keyfiles
from consortia_common.audit_segments import SEGMENT_BYTES, LogFolder, frame, records
from consortia_common.audit_verify import find_log
from consortia_common.errors import LogStorageError
from consortia_crypto.audit import logkeys, tree
from consortia_crypto.audit.checkpoint import Checkpoint
from consortia_crypto.audit.entry import Entry, Head
from consortia_crypto.audit.note import Note
from consortia_crypto.audit.policy import NO_QUORUM, Log, Policy
from consortia_crypto.audit.proof import LogProof
from consortia_crypto.audit.tiles import WIDTH, Bundle, encode_bundle
from consortia_crypto.audit.tiletree import TileBuilder, TileTree
from consortia_crypto.errors import CryptoError
from consortia_crypto.keys import PublicIdentity

PROVED = frozenset({
    "agreement.activated", "job.decided", "access.granted", "access.cohort", "job.receipt", "erasure.done",
})  # fmt: skip
"""The events whose entries are exported with a proof each."""
MAX_PROOFS = 1000
"""Of each log, so many of the newest."""
_STAMP = (1980, 1, 1, 0, 0, 0)
_File = tuple[str, bytes]


def export_zip(sources: Sequence[Path], out: Path, policy: bytes | None = None) -> int:
    """Write the logs of ``sources`` (log folders, or those of nodes or coordinators) to the new file ``out``.

    Without a ``policy``, the logs' own keys and no quorum are written. Returns the number of entries. Raises
    LogStorageError, or SettingsError where a file can't be read.
    """
    if out.exists():
        raise _refusal(f"{out} exists already", "whoever chose the file", "choose a new file")
    copies = [LogCopy(find_log(source)) for source in sources]
    partial = out.with_name(f".{out.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in _files(copies, policy):
                archive.writestr(zipfile.ZipInfo(name, _STAMP), data, zipfile.ZIP_DEFLATED)
        partial.replace(out)
    except OSError as error:
        raise _refusal(
            error.strerror or "a file can't be written", "this disk", "free it, then try again"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return sum(copy.head.size for copy in copies)


class LogCopy:
    """What a copy of one log holds: everything up to the signed head, as it was when this was made."""

    def __init__(self, folder: LogFolder, owner: PublicIdentity | None = None) -> None:
        self.owner = owner or keyfiles.load_public_identity(folder.identity)
        self._folder = folder
        self._note = _read(folder.checkpoint)
        try:
            self.head = Head.parse(keyfiles.read_file(folder.head), self.owner)
            self.checkpoint = Checkpoint.parse(Note.parse(self._note).text) if self._note else None
            self.pairs = logkeys.parse(keyfiles.read_file(folder.vkeys), self.owner) if self._note else ()
        except CryptoError as error:
            why = f"its head, checkpoint or keys are missing or altered ({error.what})"
            raise _refusal(
                why, "whoever holds the log", "verify the log where it lies, and keep it as evidence"
            ) from error

    def files(self) -> Iterator[_File]:
        """Names and contents, as in a log folder; no secret, no lock, no temporary file."""
        folder = self._folder
        for path in (folder.identity, folder.vkeys):
            if (data := _read(path)) is not None:
                yield path.name, data
        yield from self._segments()
        for name in ("documents", "cosigned", "evidence", "timestamps"):
            for path in sorted((folder.path / name).glob("[!.]*")):
                yield f"{name}/{path.name}", keyfiles.read_file(path)
        yield from self._tiles()
        if self._note is not None:
            yield folder.checkpoint.name, self._note
        yield folder.head.name, self.head.raw
        for year in folder.shards()[:-1]:
            for name, data in LogCopy(year, self.owner).files():
                yield f"years/{year.path.name}/{name}", data

    def proofs(self) -> Iterator[_File]:
        """A proof for each of the entries that matter most, if there is a checkpoint to prove them with."""
        if self._note is None or self.checkpoint is None:
            return
        size, builder = self.checkpoint.size, TileBuilder()
        kept: dict[tuple[int, int], bytes] = {}
        chosen: list[int] = []
        for number, raw in enumerate(self._entries(size)):
            kept |= {(tile.level, tile.index): data for tile, data in builder.extend([tree.leaf_hash(raw)])}
            if Entry.parse(raw).type in PROVED:
                chosen.append(number)
        kept |= {(tile.level, tile.index): data for tile, data in builder.partial()}
        whole = TileTree(size, lambda level, index, _: kept[level, index])
        for number in chosen[-MAX_PROOFS:]:
            yield f"{number}.tlog-proof", LogProof(number, tuple(whole.inclusion_proof(number)), self._note).raw

    def _segments(self) -> Iterator[_File]:
        first, length = 0, 0
        parts: list[bytes] = []
        for number, raw in enumerate(self._entries(self.head.size)):
            if length >= SEGMENT_BYTES:
                yield f"segments/{first:012d}.log", b"".join(parts)
                first, parts, length = number, [], 0
            parts.append(frame(raw))
            length += len(parts[-1])
        yield f"segments/{first:012d}.log", b"".join(parts)

    def _tiles(self) -> Iterator[_File]:
        if self.checkpoint is None:
            return
        builder, entries = TileBuilder(), self._entries(self.checkpoint.size)
        for index in range(-(-self.checkpoint.size // WIDTH)):
            bundle = list(islice(entries, WIDTH))
            yield Bundle(index, len(bundle)).path, encode_bundle(bundle)
            yield from ((tile.path, data) for tile, data in builder.extend(tree.leaf_hashes(bundle)))
        yield from ((tile.path, data) for tile, data in builder.partial())

    def _entries(self, size: int) -> Iterator[bytes]:
        return islice(records(self._folder), size)


def _files(copies: Sequence[LogCopy], policy: bytes | None) -> Iterator[_File]:
    """Everything in the zip file, in order."""
    yield "verify.py", (Path(audit_standalone.__file__).parent / "verify.py").read_bytes()
    yield "policy.txt", policy or _own_policy(copies)
    members = "".join(f"{copy.owner.institution} {copy.owner.fingerprint}\n" for copy in copies)
    yield "members.txt", f"# Compare these with what you know from elsewhere.\n{members}".encode()
    for copy in copies:
        for name, data in copy.files():
            yield f"logs/{copy.owner.institution}/{name}", data
        for name, data in copy.proofs():
            yield f"proofs/{copy.owner.institution}/{name}", data


def _own_policy(copies: Sequence[LogCopy]) -> bytes:
    """The logs' own checkpoint keys, and no witnesses."""
    keys = [key for copy in copies for pair in copy.pairs for key in pair.keys]
    return Policy(tuple(Log(key) for key in keys), (), (), NO_QUORUM).raw


def _read(path: Path) -> bytes | None:
    return keyfiles.read_file(path) if path.is_file() else None


def _refusal(why: str, blame: str, remedy: str) -> LogStorageError:
    return LogStorageError(f"the logs were not exported: {why}", blame=blame, remedy=remedy)
