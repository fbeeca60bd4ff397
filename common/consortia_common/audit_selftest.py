"""Does verification catch what it should? Harms a copy of a log in many ways, and verifies it after each.

Every way changes something that a verdict rests on; a verdict of "verified" after it is a miss. The ways are drawn
from a seed, so that a miss can be repeated. The log itself is only read.
"""

import hashlib
import shutil
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from consortia_common.audit_segments import LogFolder, frame, records
from consortia_common.audit_verify import find_log, verify_folder
from consortia_common.errors import LogStorageError
from consortia_crypto.audit.entry import NO_ENTRY
from consortia_crypto.audit.verify import Verdict

WAYS = 500
Changes = Mapping[Path, bytes | None]
"""New contents of files; None for a file that is removed."""


@dataclass(frozen=True)
class SelfTest:
    """How many ways were tried, by kind, and those that were not caught."""

    tried: Mapping[str, int]
    missed: tuple[str, ...]

    @property
    def total(self) -> int:
        """How many ways were tried in all."""
        return sum(self.tried.values())


class Dice:
    """Numbers that a seed determines."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rolls = 0

    def below(self, limit: int) -> int:
        """A number from 0 to before ``limit``."""
        self._rolls += 1
        digest = hashlib.sha256(f"{self._seed}/{self._rolls}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % limit


@dataclass(frozen=True)
class Target:
    """The copy to be harmed: its files by what they are."""

    folder: LogFolder
    entries: Sequence[bytes]
    files: Mapping[str, Sequence[Path]]


def run(path: Path, ways: int = WAYS, seed: int = 1) -> SelfTest:
    """Harm a copy of the log in ``path`` in ``ways`` ways. Raises LogStorageError if it does not verify."""
    source = find_log(path)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "log"
        shutil.copytree(source.path, copy, ignore=shutil.ignore_patterns("lock", "log.keys", "tip", ".*"))
        unharmed = verify_folder(copy)
        if unharmed.verdict is not Verdict.VERIFIED:
            raise LogStorageError(
                f"the self-test needs a log that verifies: this one is {unharmed.summary}",
                blame="whoever holds the log",
                remedy="run `consortia audit verify` on it, then the self-test on a log that is verified",
            )
        return _harm(_target(LogFolder(copy)), unharmed.fingerprint, ways, Dice(seed))


def _harm(target: Target, fingerprint: str, ways: int, dice: Dice) -> SelfTest:
    kinds = [(name, way) for name, (kind, way) in WAYS_BY_NAME.items() if not kind or target.files.get(kind)]
    tried: dict[str, int] = {}
    missed = []
    while sum(tried.values()) < ways:
        name, way = kinds[sum(tried.values()) % len(kinds)]
        changes = way(target, dice)
        tried[name] = tried.get(name, 0) + 1
        if _is_missed(target.folder.path, changes, fingerprint):
            missed.append(f"{name} in {', '.join(str(path.relative_to(target.folder.path)) for path in changes)}")
    return SelfTest(tried, tuple(missed))


def _is_missed(path: Path, changes: Changes, fingerprint: str) -> bool:
    """Make the changes, verify, and undo them."""
    before = {file: file.read_bytes() if file.exists() else None for file in changes}
    try:
        _write(changes)
        return verify_folder(path, fingerprint).verdict is Verdict.VERIFIED
    finally:
        _write(before)


def _write(changes: Changes) -> None:
    for file, data in changes.items():
        if data is None:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(data)


def _target(folder: LogFolder) -> Target:
    entries = list(records(folder))
    cited = [path for path in folder.documents.glob("*.json") if any(path.stem.encode() in raw for raw in entries)]
    files = {
        "segment": [folder.segment(first) for first in folder.firsts()],
        "tile": sorted(path for path in (folder.path / "tile").rglob("*") if path.is_file()),
        "checkpoint": [folder.checkpoint] if folder.checkpoint.exists() else [],
        "keys": [folder.vkeys] if folder.vkeys.exists() else [],
        "head": [folder.head],
        "identity": [folder.identity],
        "document": sorted(cited),
    }
    return Target(folder, entries, files)


def _flip(kind: str) -> Callable[[Target, Dice], Changes]:
    """One bit of a file of that kind."""

    def way(target: Target, dice: Dice) -> Changes:
        path = _pick(target.files[kind], dice)
        return {path: _flipped(path.read_bytes(), dice)}

    return way


def _cut(kind: str) -> Callable[[Target, Dice], Changes]:
    """The end of a file of that kind, or all of it."""

    def way(target: Target, dice: Dice) -> Changes:
        path = _pick(target.files[kind], dice)
        data = path.read_bytes()
        return {path: data[: dice.below(len(data))]}

    return way


def _remove(kind: str) -> Callable[[Target, Dice], Changes]:
    def way(target: Target, dice: Dice) -> Changes:
        return {_pick(target.files[kind], dice): None}

    return way


def _add(kind: str) -> Callable[[Target, Dice], Changes]:
    """Something behind the end of a file of that kind."""

    def way(target: Target, dice: Dice) -> Changes:
        path = _pick(target.files[kind], dice)
        return {path: path.read_bytes() + bytes([dice.below(256)]) * (1 + dice.below(64))}

    return way


def _in_entries(change: Callable[[list[bytes], Dice], None]) -> Callable[[Target, Dice], Changes]:
    """A change of the entries, under checksums that are right again."""

    def way(target: Target, dice: Dice) -> Changes:
        entries = list(target.entries)
        change(entries, dice)
        first, *others = target.files["segment"]
        return {**dict.fromkeys(others), first: b"".join(map(frame, entries))}

    return way


def _flip_in_entry(entries: list[bytes], dice: Dice) -> None:
    number = dice.below(len(entries))
    entries[number] = _flipped(entries[number], dice)


def _drop(entries: list[bytes], dice: Dice) -> None:
    del entries[dice.below(len(entries))]


def _drop_end(entries: list[bytes], dice: Dice) -> None:
    del entries[dice.below(len(entries)) :]


def _double(entries: list[bytes], dice: Dice) -> None:
    number = dice.below(len(entries))
    entries.insert(number, entries[number])


def _swap(entries: list[bytes], dice: Dice) -> None:
    one = dice.below(len(entries) - 1)
    entries[one], entries[one + 1] = entries[one + 1], entries[one]


def _replace(entries: list[bytes], dice: Dice) -> None:
    number = dice.below(len(entries))
    entries[number] = entries[number - 1]


def _relink(entries: list[bytes], dice: Dice) -> None:
    """A history that begins anew: an entry that says that none was before it."""
    number = 1 + dice.below(len(entries) - 1)
    raw = entries[number]
    at = raw.index(b'"prev":"') + len(b'"prev":"')
    entries[number] = raw[:at] + NO_ENTRY.encode() + raw[at + len(NO_ENTRY) :]


def _change_number(entries: list[bytes], dice: Dice) -> None:
    """One digit somewhere, so that the entry is still JSON."""
    number = dice.below(len(entries))
    raw = bytearray(entries[number])
    digits = [at for at, byte in enumerate(raw) if 0x30 < byte <= 0x39]
    at = digits[dice.below(len(digits))]
    raw[at] = 0x31 + (raw[at] - 0x31 + 1 + dice.below(8)) % 9
    entries[number] = bytes(raw)


def _wrong_checksum(target: Target, dice: Dice) -> Changes:
    path = target.files["segment"][0]
    data = path.read_bytes()
    length, checksum = struct.unpack("<II", data[:8])
    return {path: struct.pack("<II", length, checksum ^ (1 << dice.below(32))) + data[8:]}


def _forged_checkpoint(target: Target, dice: Dice) -> Changes:
    """Another size, or another root, under the same signatures."""
    path = target.files["checkpoint"][0]
    lines = path.read_bytes().split(b"\n")
    lines[1] = str(max(1, int(lines[1]) + dice.below(9) - 4)).encode() if dice.below(2) else lines[1]
    letter = lines[2][:1]
    lines[2] = (b"B" if letter == b"A" else b"A") + lines[2][1:]
    return {path: b"\n".join(lines)}


def _unsigned_checkpoint(target: Target, dice: Dice) -> Changes:
    """One signature line less."""
    path = target.files["checkpoint"][0]
    head, _, signatures = path.read_bytes().rpartition(b"\n\n")
    lines = signatures.splitlines(keepends=True)
    del lines[dice.below(len(lines))]
    return {path: head + b"\n\n" + b"".join(lines)}


def _exchange_tiles(target: Target, dice: Dice) -> Changes:
    """Two tiles or bundles in each other's place; a damaged one if there are no two that differ."""
    one, other = _pick(target.files["tile"], dice), _pick(target.files["tile"], dice)
    if one.read_bytes() == other.read_bytes():
        return {one: _flipped(one.read_bytes(), dice)}
    return {one: other.read_bytes(), other: one.read_bytes()}


def _pick(paths: Sequence[Path], dice: Dice) -> Path:
    return paths[dice.below(len(paths))]


def _flipped(data: bytes, dice: Dice) -> bytes:
    at = dice.below(len(data))
    return data[:at] + bytes([data[at] ^ (1 << dice.below(8))]) + data[at + 1 :]


WAYS_BY_NAME: Mapping[str, tuple[str, Callable[[Target, Dice], Changes]]] = {
    "a bit on disk": ("segment", _flip("segment")),
    "a bit of an entry, checksum mended": ("", _in_entries(_flip_in_entry)),
    "a digit of an entry, checksum mended": ("", _in_entries(_change_number)),
    "a segment cut": ("segment", _cut("segment")),
    "a segment removed": ("segment", _remove("segment")),
    "an entry dropped": ("", _in_entries(_drop)),
    "the end dropped": ("", _in_entries(_drop_end)),
    "an entry doubled": ("", _in_entries(_double)),
    "two entries swapped": ("", _in_entries(_swap)),
    "an entry replaced by another": ("", _in_entries(_replace)),
    "an entry unlinked": ("", _in_entries(_relink)),
    "a checksum": ("segment", _wrong_checksum),
    "a bit of a tile": ("tile", _flip("tile")),
    "a tile cut": ("tile", _cut("tile")),
    "a tile lengthened": ("tile", _add("tile")),
    "a tile removed": ("tile", _remove("tile")),
    "two tiles swapped": ("tile", _exchange_tiles),
    "a bit of the checkpoint": ("checkpoint", _flip("checkpoint")),
    "the checkpoint cut": ("checkpoint", _cut("checkpoint")),
    "the checkpoint lengthened": ("checkpoint", _add("checkpoint")),
    "the checkpoint removed": ("checkpoint", _remove("checkpoint")),
    "the checkpoint forged": ("checkpoint", _forged_checkpoint),
    "a signature of the checkpoint": ("checkpoint", _unsigned_checkpoint),
    "a bit of the head": ("head", _flip("head")),
    "the head cut": ("head", _cut("head")),
    "the head removed": ("head", _remove("head")),
    "a bit of the keys": ("keys", _flip("keys")),
    "the keys cut": ("keys", _cut("keys")),
    "the keys removed": ("keys", _remove("keys")),
    "a bit of the identity": ("identity", _flip("identity")),
    "a bit of a document": ("document", _flip("document")),
    "a document cut": ("document", _cut("document")),
}
"""Each way by its name, with the kind of file that it needs."""
