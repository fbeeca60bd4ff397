#!/usr/bin/env python3
"""Verify audit logs that were exported from Consortia. Needs Python 3.11 or later, and nothing else.

    python verify.py [EXPORT] [--members FILE] [--policy FILE] [--json]

EXPORT is the zip file, or the folder that it was unpacked to; if left out, the folder of this file. Take the two
FILEs from elsewhere: members has lines `INSTITUTION FINGERPRINT`, without it each log's key is the export's own,
which shows only that nobody without that key altered the log; policy says whose cosignatures you ask for.

For each log it is checked that
  1. each record has its checksum; each entry is canonical JSON, numbered in order, and cites the one before it;
  2. the log's owner signed each entry, itself or by the last of its batch, and officers what they confirmed;
  3. the log reaches as far as its signed head says, and attached documents have the hashes that are their names;
  4. the Merkle tree over the entries has the root that the signed checkpoint names, and the tiles are its parts;
  5. a key that the owner endorsed signed the checkpoint, and witnesses cosigned it as the policy asks;
  6. each proof leads from its entry to that root; each year's first entry names the end of the year before.
Not checked here: ML-DSA signatures (each stands beside an Ed25519 one), and whether accesses were allowed, which
`consortia audit verify` says. docs/audit-log.md describes the formats.
Exit status: 0 verified, 1 tampered with, 2 unverifiable (something needed is missing), 64 called wrongly.
"""

import argparse
import base64
import hashlib
import json
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class TamperedError(Exception):
    """Something is not as its owner wrote it."""


class UnverifiableError(Exception):
    """Nothing is proved wrong, but something needed is missing or not understood."""


def need(holds: object, why: str) -> None:
    """Raise TamperedError, which says why, unless it holds."""
    if not holds:
        raise TamperedError(why)


# ---- Ed25519 signatures: RFC 8032 §5.1. Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z. ----
P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int, int, int]


def add(a: Point, b: Point) -> Point:
    """The sum of two points."""
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * D * a[3] * b[3] % P
    h = 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def decode_point(data: bytes) -> Point | None:
    """The point that 32 bytes stand for, if they do."""
    sign, y = data[31] >> 7, int.from_bytes(data, "little") & (2**255 - 1)
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P != u:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or v * x * x % P != u or (x == 0 and sign):
        return None
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P


BASE = decode_point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is that of the key ``public`` over ``message``: R = [s]B − [k]A."""
    a, s = decode_point(public) if len(public) == 32 else None, int.from_bytes(signature[32:], "little")
    if a is None or BASE is None or len(signature) != 64 or s >= ORDER:
        return False
    twice = add(a, a)
    if add(add(twice, twice), add(twice, twice))[0] == 0:  # a key of small order, under which anybody can sign
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    minus_a: Point = (P - a[0], a[1], 1, P - a[3])
    total: Point = (0, 1, 1, 0)
    summands = (total, BASE, minus_a, add(BASE, minus_a))
    for bit in range(252, -1, -1):
        total = add(add(total, total), summands[(s >> bit & 1) + 2 * (k >> bit & 1)])
    x, y = (value * pow(total[2], -1, P) % P for value in total[:2])
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# ---- The Merkle tree (RFC 9162 §2.1), its tiles (C2SP tlog-tiles) and proofs ----
def sha256(data: bytes) -> bytes:
    """SHA-256. A leaf is hashed behind a byte 0, two nodes behind a byte 1."""
    return hashlib.sha256(data).digest()


def root_of(level: list[bytes]) -> bytes:
    """The root over leaf hashes; at each level, a node without a sibling moves up as it is."""
    while len(level) > 1:
        pairs = [sha256(b"\1" + level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) & ~1 :]
    return level[0] if level else sha256(b"")


def proved_root(index: int, size: int, leaf: bytes, proof: list[bytes]) -> bytes | None:
    """The root to which an inclusion proof leads (RFC 9162 §2.1.3.2); from ``shared`` on it is the right edge."""
    shared = (index ^ (size - 1)).bit_length()
    if not 0 <= index < size or list(map(len, proof)) != [32] * (shared + (index >> shared).bit_count()):
        return None
    for height, sibling in enumerate(proof):
        is_right = height >= shared or index >> height & 1
        leaf = sha256(b"\1" + (sibling + leaf if is_right else leaf + sibling))
    return leaf


def tiles(leaves: list[bytes], entries: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """Path and content of every tile and entry bundle of the tree, 256 items in each."""
    for first in range(0, len(entries), 256):
        part = entries[first : first + 256]
        yield tile_path("entries", first // 256, len(part)), b"".join(struct.pack(">H", len(e)) + e for e in part)
    level = 0
    while leaves:
        parts = [leaves[first : first + 256] for first in range(0, len(leaves), 256)]
        for number, part in enumerate(parts):
            yield tile_path(str(level), number, len(part)), b"".join(part)
        leaves, level = [root_of(part) for part in parts if len(part) == 256], level + 1


def tile_path(level: str, number: int, width: int) -> str:
    """Such as tile/0/x001/234, or tile/0/x001/234.p/17 if it has 17 items only."""
    text = f"{number % 1000:03d}"
    while number := number // 1000:
        text = f"x{number % 1000:03d}/{text}"
    return f"tile/{level}/{text}" + (f".p/{width}" if width < 256 else "")


# ---- Checkpoints and policies: C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-policy ----
def signers(note: bytes, vkeys: list[str]) -> tuple[set[str], set[str]]:
    """Which of ``vkeys`` signed the note: those whose signature holds, and those of a kind not checked here."""
    text, _, lines = note.decode().rpartition("\n\n")
    signed = [(name, base64.b64decode(sig)) for _, name, sig in (line.split(" ") for line in lines.splitlines())]
    checked, unchecked = set(), set()
    for vkey in vkeys:
        name, _, encoded = vkey.split("+", 2)
        key = base64.b64decode(encoded)
        key_id = name, sha256(name.encode() + b"\n" + key)[:4]
        for value in [value for signer, value in signed if (signer, value[:4]) == key_id]:
            time = int.from_bytes(value[4:12], "big")
            message = {1: f"{text}\n", 4: f"cosignature/v1\ntime {time}\n{text}\n"}.get(key[0])
            if message is None:
                unchecked.add(vkey)
            elif len(value) != {1: 68, 4: 76}[key[0]] or not ed25519(key[1:], message.encode(), value[-64:]):
                raise TamperedError(f"the signature of {name} under the checkpoint is false")
            elif time or key[0] == 1:  # a witness that gives no time says nothing
                checked.add(vkey)
    return checked, unchecked


def judge(policy: str, note: bytes) -> str:
    """Why the checkpoint does not satisfy the policy; empty if it does."""
    lines = [line.split() for line in policy.splitlines() if line.strip() and not line.strip().startswith("#")]
    origin = note.decode(errors="replace").split("\n")[0]
    own = origin.split("/audit/")[0] + "/witness+"  # nobody is a witness of their own log
    witnesses = {words[1]: words[2] for words in lines if words[0] == "witness" and not words[2].startswith(own)}
    logs = [words[1] for words in lines if words[0] == "log" and words[1].startswith(f"{origin}+")]
    (quorum,) = [words[1] for words in lines if words[0] == "quorum"]
    checked, unchecked = signers(note, [*logs, *witnesses.values()])
    if not checked & set(logs):
        return "no key that the policy names for this log signed its checkpoint"
    names = {vkey.split("+")[0] for vkey in checked}  # an ML-DSA-44 key counts beside an Ed25519 one of its owner
    backed = checked | {vkey for vkey in unchecked if vkey.split("+")[0] in names}
    for trusted, why in (backed, ""), (checked | unchecked, "it rests on ML-DSA-44, which is not checked here"):
        reached = {"none"} | {name for name, vkey in witnesses.items() if vkey in trusted}
        for _, name, count, *members in (words for words in lines if words[0] == "group"):
            needed = {"any": 1, "all": len(members)}.get(count) or int(count)
            reached |= {name} if len(reached & set(members)) >= needed else set()
        if quorum in reached:
            return why
    return f"the cosignatures do not make up the quorum {quorum}"


def canonical(value: Any) -> bytes:
    """The one way to write a value as JSON."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def parse(raw: bytes) -> Any:
    """The value whose canonical JSON is exactly ``raw``; numbers are whole."""
    value = json.loads(raw.decode(), parse_float=lambda _: None, parse_constant=lambda _: None)
    need(canonical(value) == raw, "it is not canonical JSON")
    return value


def is_signed(public: bytes, domain: str, raw: bytes, val: str) -> bool:
    """Whether ``val`` begins with an Ed25519 signature over ``raw``, or, if it is a part of that, over the rest."""
    signature, rest = bytes.fromhex(val), b"".join(raw.rsplit(f',"val":"{val}"'.encode(), 1))
    is_whole = (signature.hex(), len(signature)) == (val, 64 if domain.startswith("audit-") else 64 + 3309)
    return is_whole and ed25519(public, f"consortia/v1/{domain}\0".encode() + sha256(rest), signature[:64])


def records(log: Any) -> Iterator[bytes]:
    """Every entry in the log's segments: length, CRC-32 (both u32le), entry."""
    number = 0
    for segment in sorted((log / "segments").iterdir(), key=lambda path: str(path.name)):
        data, offset = segment.read_bytes(), 0
        need(segment.name == f"{number:012d}.log", f"entry {number}: it is missing, the next segment is another's")
        while offset < len(data):
            length, checksum = struct.unpack("<II", data[offset : offset + 8].ljust(8, b"\0"))
            raw = data[offset + 8 : offset + 8 + length]
            is_whole = len(raw) == length > 0 and zlib.crc32(raw) == checksum
            need(is_whole, f"entry {number}: the record's checksum or length is wrong")
            yield raw
            number, offset = number + 1, offset + 8 + length


def check_entry(raw: bytes, number: int, prev: str, due: int | None, owner: tuple[bytes, str, str]) -> int | None:
    """Check one entry in its place; returns the entry that must sign it, if that is a later one (of its batch)."""
    value = parse(raw)
    sig = value["sig"]
    if value["v"] != 1 or sig["alg"] not in ("ed25519", "ed25519-batch"):
        raise UnverifiableError("it is in a later version of the format")
    need((value["i"], value["prev"]) == (number, prev), "it does not follow from the entry before it")
    need(sig["kid"] == owner[1], "it is signed by another key than the owner's")
    end = sig["end"] if sig["alg"] == "ed25519-batch" else number
    if due not in (None, end) or not number <= end < number + 1024 or (end == number) != ("val" in sig):
        raise TamperedError("it does not end its batch where the batch ends")
    is_good = end > number or is_signed(owner[0], "audit-entry", raw, sig["val"])
    need(is_good, "it, or an entry of its batch, was altered after it was signed")
    return None if end == number else int(end)


def read_entries(log: Any, owner: tuple[bytes, str, str]) -> list[bytes]:
    """All entries, each in its place and signed, and as many as the signed head says."""
    entries: list[bytes] = []
    prev, due = "0" * 64, None
    for number, raw in enumerate(records(log)):
        try:
            due = check_entry(raw, number, prev, due, owner)
        except (TamperedError, UnverifiableError) as error:
            raise type(error)(f"entry {number}: {error}") from None
        except (KeyError, TypeError, ValueError):
            raise TamperedError(f"entry {number}: it does not have the form of an entry") from None
        prev = sha256(b"\0" + raw).hex()
        entries.append(raw)
    if not (raw := (log / "head").read_bytes()).strip(b"\0"):
        return entries
    head = parse(raw)
    if head["sig"]["kid"] != owner[1] or not is_signed(owner[0], "audit-head", raw, head["sig"]["val"]):
        raise TamperedError("the signed head was altered")
    need(due is None and len(entries) >= head["size"], f"entry {len(entries)}: it is missing from the end")
    if head["size"] and sha256(b"\0" + entries[head["size"] - 1]).hex() != head["leaf"]:
        raise TamperedError(f"entry {head['size'] - 1}: the signed head tells of another one")
    return entries


def leaves_of(note: bytes, entries: list[bytes]) -> list[bytes]:
    """The leaf hashes of the entries that a checkpoint counts; they must have the root that it names."""
    _, size, root, *_ = note.decode().split("\n")
    leaves = [sha256(b"\0" + raw) for raw in entries[: int(size)]]
    if len(leaves) < int(size) or base64.b64encode(root_of(leaves)).decode() != root:
        raise TamperedError(f"a signed checkpoint of {size} entries has another root than they have")
    return leaves


def check_tree(log: Any, entries: list[bytes], owner: tuple[bytes, str, str]) -> bytes:
    """Check checkpoint, keys and tiles against the entries; returns the checkpoint."""
    note: bytes = (log / "checkpoint").read_bytes()
    leaves, keys = leaves_of(note, entries), []
    for pair in parse((log / "vkeys.json").read_bytes()):
        is_endorsed = is_signed(owner[0], "log-key", canonical(pair), pair["val"])
        need(is_endorsed, "the log's owner did not endorse a key in vkeys.json")
        until = len(leaves) if pair["until"] is None else pair["until"]
        is_own = pair["name"].startswith(owner[2]) and note.startswith(pair["name"].encode() + b"\n")
        if is_own and pair["since"] <= len(leaves) <= until:
            keys += [pair["ed25519"], pair["mldsa44"]]
    need(all(signers(note, keys)), "the checkpoint is not signed with both kinds of key that the owner endorsed")
    for path, data in tiles(leaves, entries[: len(leaves)]):
        if not (log / path).is_file():
            raise UnverifiableError(f"{path} is missing")
        need((log / path).read_bytes() == data, f"{path} is not what the entries give")
    return note


def verify_log(log: Any, root: Any, members: dict[str, str] | None, policy: str) -> str:
    """Check one log; what was found, in words. Raises both errors above."""
    raw = (log / "identity.json").read_bytes()
    identity, fingerprint = parse(raw), sha256(raw).hex()
    if members is not None and members.get(identity["institution"]) != fingerprint:
        raise UnverifiableError(f"it is the log of another identity, {fingerprint}")
    origin = f"consortia.{identity['network']}/{identity['institution']}/audit/"
    owner = (base64.b64decode(identity["ed25519"]), fingerprint, origin)
    entries = read_entries(log, owner)
    documents = list((log / "documents").iterdir()) if (log / "documents").is_dir() else []
    for path in documents:
        need(f"{sha256(path.read_bytes()).hex()}.json" == path.name, f"the attached {path.name} was altered")
    note = check_tree(log, entries, owner)
    paths = (log / "cosigned").iterdir() if (log / "cosigned").is_dir() else []
    cosigned = [one for path in paths if (one := path.read_bytes()).startswith(note.split(b"\n")[0] + b"\n")]
    notes = [note, *(one for one in cosigned if leaves_of(one, entries))]
    reasons = [judge(policy, one) for one in notes]
    if all(reasons) and log.parent.name != "years":
        raise UnverifiableError(f"the policy is not satisfied: {reasons[-1]}")
    check_year(log, entries)
    if not (log / "head").read_bytes().strip(b"\0"):
        raise UnverifiableError("its signed head is empty, as after a power cut, so later entries may be missing")
    said = sum(check_confirmation(log, number, parse(raw)["body"]) for number, raw in enumerate(entries))
    count = check_proofs(root / "proofs" / log.name, entries, note)
    counts = f"{len(entries)} entries, {len(documents)} documents, {said} signed confirmations, {count} proofs"
    return f"{counts}; owner's key {fingerprint}"


def check_confirmation(log: Any, number: int, body: Any) -> int:
    """Check what the officer signed who, as the entry says, confirmed a member; 1 if it says so, else 0."""
    if body["type"] != "member.confirmed" or "officer" not in body["detail"]:
        return 0
    attached = parse((log / "documents" / f"{body['payload_commit']}.json").read_bytes())
    said, by = attached["confirmation"], attached["identity"]
    told = {"institution": said["member"], **{key: said[key] for key in ("role", "name", "fingerprint", "officer")}}
    is_told = (body["detail"], body["actor"]) == (told, f"{said['institution']}/officer/{by['name']}")
    officer = {"network": by["network"], "institution": by["institution"], "officer": sha256(canonical(by)).hex()}
    is_by = by["role"] == "officer" and said | officer == said
    signed = is_signed(base64.b64decode(by["ed25519"]), "member.confirmed", canonical(said), attached["signature"])
    need(is_told and is_by and signed, f"entry {number}: the officer whom it names did not sign what it says")
    return 1


def check_year(log: Any, entries: list[bytes]) -> None:
    """A log begins with ``log.continued`` if there is a year before it, and names that one's last checkpoint."""
    years, end = (log.parent, log.name) if log.parent.name == "years" else (log / "years", "a")
    before = sorted(path.name for path in years.iterdir() if path.name < end) if years.is_dir() else []
    body = json.loads(entries[0])["body"] if entries else {}
    if (body.get("type") == "log.continued") != bool(before):
        raise UnverifiableError("the year before it is missing, or is not named by its first entry")
    for name in before[-1:]:
        origin, size, root, *_ = (years / name / "checkpoint").read_text().split("\n")
        if body["detail"] != {"previous": origin, "size": int(size), "root": base64.b64decode(root).hex()}:
            raise TamperedError("entry 0: it names another end of the year before it")


def check_proofs(folder: Any, entries: list[bytes], note: bytes) -> int:
    """Check every proof (C2SP tlog-proof) in the folder; how many there are."""
    for path in (proofs := list(folder.iterdir()) if folder.is_dir() else []):
        head, _, signed = path.read_bytes().partition(b"\n\n")
        lines = head.decode().split("\n")
        index, size = int(lines[1].removeprefix("index ")), int(signed.split(b"\n")[1])
        root = proved_root(index, size, sha256(b"\0" + entries[index]), [base64.b64decode(h) for h in lines[2:]])
        if signed != note or root is None or base64.b64encode(root) != signed.split(b"\n")[2]:
            raise TamperedError(f"entry {index}: its proof does not lead to the signed root")
    return len(proofs)


def verdict_on(log: Any, root: Any, members: dict[str, str] | None, policy: str) -> dict[str, str]:
    """The verdict on one log, and why."""
    try:
        return {"verdict": "verified", "why": verify_log(log, root, members, policy)}
    except TamperedError as error:
        return {"verdict": "tampered", "why": str(error)}
    except (UnverifiableError, OSError) as error:
        return {"verdict": "unverifiable", "why": str(error)}
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        return {"verdict": "tampered", "why": f"a file does not have its form ({type(error).__name__})"}


def main() -> int:
    """Verify every log of an export; the exit status."""
    parser = argparse.ArgumentParser(description="Verify audit logs that were exported from Consortia.")
    parser.add_argument("export", nargs="?", default=Path(__file__).parent, type=Path)
    parser.add_argument("--members", type=Path, help="a file of lines: INSTITUTION FINGERPRINT")
    parser.add_argument("--policy", type=Path, help="a witness policy (C2SP tlog-policy)")
    parser.add_argument("--json", action="store_true")
    try:
        asked = parser.parse_args()
        root: Any = zipfile.Path(asked.export) if asked.export.is_file() else asked.export
        lines = map(str.split, asked.members.read_text().splitlines() if asked.members else [])
        members = dict(words for words in lines if len(words) == 2) if asked.members else None
        policy = (asked.policy or root / "policy.txt").read_text()
        logs = sorted((root / "logs").iterdir(), key=lambda path: str(path.name))
        logs += [year for log in logs if (log / "years").is_dir() for year in (log / "years").iterdir()]
    except SystemExit as stopped:  # argparse has said why
        return 64 if stopped.code else 0
    except (OSError, KeyError, UnicodeError, zipfile.BadZipFile) as error:
        parser.exit(64, f"verify.py: {error}\n")
    found = [{"log": str(log).rstrip("/")} | verdict_on(log, root, members, policy) for log in logs]
    text = json.dumps(found, indent=2) if asked.json else "\n".join(": ".join(one.values()) for one in found)
    sys.stdout.write(f"{text}\n")
    verdicts = {one["verdict"] for one in found}
    return 1 if "tampered" in verdicts else 2 if "unverifiable" in verdicts or not found else 0


if __name__ == "__main__":
    sys.exit(main())
