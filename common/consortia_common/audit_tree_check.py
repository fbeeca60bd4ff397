"""Checking what stands beside a log's entries against them: tiles, bundles, the signed checkpoint, cosignatures.

The entries are the truth and have signatures of their own; the tree is made again from them. A checkpoint with
another root is proof that the owner signed two histories, or that somebody altered the files; a tile that differs
was altered; one that is missing can be made again. What the policy asks for beyond that is judged by it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from consortia_common import keyfiles
from consortia_common.audit_segments import LogFolder
from consortia_common.documents.base import utc
from consortia_common.errors import CommonError
from consortia_crypto.audit import logkeys, tree
from consortia_crypto.audit.checkpoint import Checkpoint, SignedCheckpoint, is_origin_of, open_checkpoint
from consortia_crypto.audit.note import Note
from consortia_crypto.audit.policy import Policy
from consortia_crypto.audit.tiles import WIDTH, Bundle, Tile, encode_bundle
from consortia_crypto.audit.tiletree import TileBuilder
from consortia_crypto.audit.verify import Finding, Verdict
from consortia_crypto.errors import CryptoError
from consortia_crypto.keys import PublicIdentity


@dataclass
class _Claim:
    """A checkpoint that lies in the folder, and the root that the entries give at its size."""

    path: Path
    raw: bytes
    checkpoint: Checkpoint
    root: bytes | None = None


class TreeCheck:
    """Feed it every record in order, then ``finish``. Make it before any is read: it reads the checkpoint then."""

    def __init__(self, folder: LogFolder, owner: PublicIdentity, policy: Policy | None = None) -> None:
        self.findings: list[Finding] = []
        self.signed: SignedCheckpoint | None = None
        """The log's newest checkpoint, once ``finish`` has found it good."""
        self._folder = folder
        self._owner = owner
        self._policy = policy
        self._builder = TileBuilder()
        self._bundle: list[bytes] = []
        self._leaves: list[bytes] = []
        self._size = 0
        self._pairs = self._read_keys()
        self._claims = [claim for path in _notes(folder) if (claim := self._read_claim(path)) is not None]
        self._newest = next((claim for claim in self._claims if claim.path == folder.checkpoint), None)
        self._tiled = self._newest.checkpoint.size if self._newest else 0
        self._sizes = frozenset(claim.checkpoint.size for claim in self._claims)
        self._grow(0)

    def see(self, raw: bytes, leaf: bytes) -> None:
        """Take the next record, whether it is good or not, and its leaf hash."""
        self._bundle.append(raw)
        self._leaves.append(leaf)
        self._size += 1
        if self._size % WIDTH == 0 or self._size in self._sizes:
            self._grow(self._size)

    def finish(self) -> None:
        """Say that no record follows; judge the checkpoints."""
        for claim in self._claims:
            if claim.root is None:
                self._refuse(f"entries are missing from the end: {claim.path.name} counts {claim.checkpoint.size}")
            elif claim.root != claim.checkpoint.root:
                self._refuse(
                    f"{claim.path.name}, of {claim.checkpoint.size} entries, has another root than they have"
                )
        if self._newest is not None:
            self._check_signatures(self._newest)
        elif self._pairs or (self._folder.path / "tile").is_dir():
            self._doubt("there is no checkpoint, though the log has keys or tiles for it")
        if self._policy is not None:
            self._judge(self._policy)

    @property
    def signed_time(self) -> str:
        """When the owner signed that there are no more entries than these, or a witness saw it; else empty."""
        if self.signed is None or self.signed.checkpoint.size != self._size:
            return ""
        moment = self.signed.time
        return utc(datetime.fromtimestamp(moment, UTC)) if moment is not None else ""

    def _read_keys(self) -> tuple[logkeys.KeyPair, ...]:
        if not self._folder.vkeys.is_file():
            return ()
        try:
            return logkeys.parse(keyfiles.read_file(self._folder.vkeys), self._owner)
        except (CommonError, CryptoError) as error:
            self._refuse(f"its checkpoint keys were altered ({error.what})")
            return ()

    def _read_claim(self, path: Path) -> _Claim | None:
        try:
            raw = keyfiles.read_file(path)
            return _Claim(path, raw, Checkpoint.parse(Note.parse(raw).text))
        except (CommonError, CryptoError) as error:
            self._refuse(f"{path.name} was altered ({error.what})")
            return None

    def _grow(self, size: int) -> None:
        """Add what has come; keep the root that a checkpoint names, and compare what the newest one covers."""
        for tile, data in self._builder.extend(self._leaves):
            self._compare(tile, data)
        self._leaves = []
        for claim in self._claims:
            if claim.checkpoint.size == size:
                claim.root = self._builder.root()
        if len(self._bundle) == WIDTH:
            self._compare(Bundle(size // WIDTH - 1), encode_bundle(self._bundle))
            self._bundle = []
        if self._newest is not None and size == self._tiled:
            self._compare_edge(size)

    def _compare_edge(self, size: int) -> None:
        """Compare the tiles and the bundle that are not full."""
        for tile, data in self._builder.partial():
            self._compare(tile, data)
        if self._bundle:
            self._compare(Bundle(size // WIDTH, len(self._bundle)), encode_bundle(self._bundle))

    def _compare(self, place: Tile | Bundle, data: bytes) -> None:
        """Compare one tile or bundle that the newest checkpoint covers with what is on disk."""
        level = place.level if isinstance(place, Tile) else 0
        if place.end * WIDTH**level > self._tiled:
            return
        path = self._folder.path / place.path
        found = _read(path)
        if found is None and path.parent.suffix == ".p":
            found = _prefix(_read(path.parent.with_suffix("")), data)
        if found is None:
            if self._is_unchanged():
                self._doubt(f"{place.path} is missing; `consortia audit fsck` makes it again", place.start)
        elif found != data:
            entry = place.start * WIDTH**level + _first_difference(found, data, place)
            self._refuse(f"{place.path} is not what the entries give", entry)

    def _check_signatures(self, claim: _Claim) -> None:
        keys = logkeys.keys_at(self._pairs, claim.checkpoint.origin, claim.checkpoint.size)
        if not is_origin_of(claim.checkpoint.origin, self._owner.network, self._owner.institution):
            self._refuse(f"its checkpoint is of another log, {claim.checkpoint.origin}")
            return
        if not self._pairs:
            self._doubt("the keys that sign its checkpoints (vkeys.json) are missing")
            return
        try:
            signed = open_checkpoint(claim.raw, keys)
        except CryptoError as error:
            self._refuse(f"its checkpoint was altered ({error.what})")
            return
        if not signed.is_signed_by_log(keys):
            self._refuse("its checkpoint is not signed with both kinds of key")
        elif claim.root == claim.checkpoint.root:
            self.signed = signed

    def _judge(self, policy: Policy) -> None:
        """One checkpoint that satisfies the policy is enough; if none does, the reason for the oldest is told."""
        claims = sorted(self._claims, key=lambda claim: claim.checkpoint.size, reverse=True)
        causes = [judgement.cause for claim in claims if (judgement := policy.judge(claim.raw)).cause]
        if len(causes) == len(claims):
            self._doubt(f"the policy is not satisfied: {causes[-1] if causes else 'there is no checkpoint'}")

    def _is_unchanged(self) -> bool:
        """Whether the log has not published another checkpoint since, which removes the edge of the one before."""
        return self._newest is not None and _read(self._newest.path) == self._newest.raw

    def _refuse(self, cause: str, entry: int | None = None) -> None:
        self.findings.append(Finding(Verdict.TAMPERED, entry, cause))

    def _doubt(self, cause: str, entry: int | None = None) -> None:
        self.findings.append(Finding(Verdict.UNVERIFIABLE, entry, cause))


def _notes(folder: LogFolder) -> Iterator[Path]:
    """The checkpoints that the folder holds: its own newest, and those with others' signatures."""
    if folder.checkpoint.is_file():
        yield folder.checkpoint
    cosigned = folder.path / "cosigned"
    if cosigned.is_dir():
        yield from sorted(path for path in cosigned.iterdir() if path.is_file() and not path.name.startswith("."))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _prefix(full: bytes | None, data: bytes) -> bytes | None:
    """As much of a full tile or bundle as the part of it that is asked for has."""
    return None if full is None else full[: len(data)]


def _first_difference(found: bytes, data: bytes, place: Tile | Bundle) -> int:
    """Which of the items differs first; for a bundle, all that can be said cheaply is where it begins."""
    if isinstance(place, Bundle) or place.level:
        return 0
    pairs = zip(found, data, strict=False)
    at = next((number for number, (one, other) in enumerate(pairs) if one != other), min(len(found), len(data)))
    return min(at // tree.HASH_LENGTH, place.width - 1)
