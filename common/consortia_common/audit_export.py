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

from consortia_common import audit_standalone
from consortia_common.audit_copy import LogCopy
from consortia_common.audit_segments import records
from consortia_common.audit_verify import find_log
from consortia_common.errors import LogStorageError
from consortia_crypto.audit import tree
from consortia_crypto.audit.entry import Entry
from consortia_crypto.audit.policy import NO_QUORUM, Log, Policy
from consortia_crypto.audit.proof import LogProof
from consortia_crypto.audit.tiletree import TileBuilder, TileTree

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
    return sum(copy.total for copy in copies)


def proofs_of(copy: LogCopy) -> Iterator[_File]:
    """A proof for each of the entries that matter most, if there is a checkpoint to prove them with."""
    if copy.note is None or copy.checkpoint is None:
        return
    size, builder = copy.checkpoint.size, TileBuilder()
    kept: dict[tuple[int, int], bytes] = {}
    chosen: list[int] = []
    for number, raw in enumerate(islice(records(copy.folder), size)):
        kept |= {(tile.level, tile.index): data for tile, data in builder.extend([tree.leaf_hash(raw)])}
        if Entry.parse(raw).type in PROVED:
            chosen.append(number)
    kept |= {(tile.level, tile.index): data for tile, data in builder.partial()}
    whole = TileTree(size, lambda level, index, _: kept[level, index])
    for number in chosen[-MAX_PROOFS:]:
        yield f"{number}.tlog-proof", LogProof(number, tuple(whole.inclusion_proof(number)), copy.note).raw


def _files(copies: Sequence[LogCopy], policy: bytes | None) -> Iterator[_File]:
    """Everything in the zip file, in order."""
    yield "verify.py", (Path(audit_standalone.__file__).parent / "verify.py").read_bytes()
    yield "policy.txt", policy or _own_policy(copies)
    members = "".join(f"{copy.owner.institution} {copy.owner.fingerprint}\n" for copy in copies)
    yield "members.txt", f"# Compare these with what you know from elsewhere.\n{members}".encode()
    for copy in copies:
        for name, data in copy.files():
            yield f"logs/{copy.owner.institution}/{name}", data
        for name, data in proofs_of(copy):
            yield f"proofs/{copy.owner.institution}/{name}", data


def _own_policy(copies: Sequence[LogCopy]) -> bytes:
    """The logs' own checkpoint keys, and no witnesses."""
    keys = [key for copy in copies for pair in copy.pairs for key in pair.keys]
    return Policy(tuple(Log(key) for key in keys), (), (), NO_QUORUM).raw


def _refusal(why: str, blame: str, remedy: str) -> LogStorageError:
    return LogStorageError(f"the logs were not exported: {why}", blame=blame, remedy=remedy)
