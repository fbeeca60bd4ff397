"""Make the vectors that any implementation of the log's formats can be held against, or check the committed ones.

Nothing of Consortia is imported: ``rfc9162.json`` follows the recursive definitions of RFC 9162 §2.1 word for word,
``tlog.json`` the texts of C2SP, with the standard library and the signature algorithms alone. ML-DSA signatures are
random, so of those only the length is checked here; a test verifies them.
"""

import argparse
import base64
import hashlib
import json
import struct
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

FOLDER = Path(__file__).parents[1] / "vectors"
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 33, 64, 100, 257)
ORIGIN = "consortia.demo/bank-a/audit/2027"
WITNESS = "consortia.demo/bank-b/witness"
TIME = 1800000000


def mth(leaves):
    """RFC 9162 §2.1.1."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m, leaves):
    """RFC 9162 §2.1.3.1: the inclusion proof of leaf m."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m, leaves):
    """RFC 9162 §2.1.4.1: the consistency proof from the first m leaves."""
    return subproof(m, leaves, True)


def subproof(m, leaves, complete):
    if m == len(leaves):
        return [] if complete else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], complete), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def split(n):
    """The largest power of two below n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def leaf(number):
    return f"entry {number}".encode()


def tree_vectors():
    """Roots, proofs of both kinds, and claims that must be refused."""
    leaves = [leaf(number) for number in range(max(SIZES))]
    inclusion, consistency = [], []
    for size in SIZES:
        some = leaves[:size]
        for index in sorted({0, 1, size // 2, split(size + 1) - 1, split(size + 1), size - 1}):
            if index < size:
                inclusion.append({
                    "size": size, "index": index, "leaf_hash": mth([leaves[index]]).hex(),
                    "root": mth(some).hex(), "proof": [item.hex() for item in path(index, some)],
                })  # fmt: skip
        for old in sorted({1, 2, size // 2, split(size + 1), size - 1, size}):
            if 1 <= old <= size:
                consistency.append({
                    "old_size": old, "old_root": mth(leaves[:old]).hex(), "new_size": size,
                    "new_root": mth(some).hex(), "proof": [item.hex() for item in proof(old, some)],
                })  # fmt: skip
    return {
        "what": "RFC 9162 trees over SHA-256; leaf n is the ASCII text 'entry n'; hashes in hexadecimal",
        "roots": {str(size): mth(leaves[:size]).hex() for size in (0, *SIZES)},
        "inclusion": inclusion,
        "consistency": consistency,
        "refused_inclusion": [item for base in inclusion[7:50:6] for item in refused_inclusion(base)],
        "refused_consistency": [item for base in consistency[7:50:6] for item in refused_consistency(base)],
    }


def refused_inclusion(base):
    proof = base["proof"]
    yield base | {"why": "size 0", "size": 0}
    yield base | {"why": "index outside", "index": base["size"]}
    yield base | {"why": "another index", "index": (base["index"] + 1) % base["size"]}
    yield base | {"why": "another leaf", "leaf_hash": "00" * 32}
    yield base | {"why": "a short leaf hash", "leaf_hash": base["leaf_hash"][:-2]}
    yield base | {"why": "a long root", "root": base["root"] + "00"}
    yield from refused_proofs(base, proof)


def refused_consistency(base):
    yield base | {"why": "size 0", "old_size": 0}
    yield base | {"why": "old size larger", "old_size": base["new_size"] + 1}
    yield base | {"why": "another old root", "old_root": "00" * 32}
    yield base | {"why": "another new root", "new_root": "00" * 32}
    yield base | {"why": "a short old root", "old_root": base["old_root"][:-2]}
    yield from refused_proofs(base, base["proof"])


def refused_proofs(base, proof):
    yield base | {"why": "garbage before", "proof": ["00" * 32, *proof]}
    yield base | {"why": "garbage behind", "proof": [*proof, "00" * 32]}
    if proof:
        yield base | {"why": "first hash missing", "proof": proof[1:]}
        yield base | {"why": "last hash missing", "proof": proof[:-1]}
        yield base | {"why": "a short hash", "proof": [proof[0][:-2], *proof[1:]]}
        yield base | {"why": "an empty hash", "proof": ["", *proof]}
    if len(proof) > 1:
        yield base | {"why": "wrong order", "proof": proof[::-1]}


def note_vectors():
    """Keys, what each signs of one checkpoint, the signed checkpoint, and a request to cosign it."""
    root = mth([leaf(number) for number in range(257)])
    text = f"{ORIGIN}\n257\n{encode(root)}\n"
    keys = {
        "log_ed25519": (ORIGIN, 1, Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)),
        "log_mldsa44": (ORIGIN, 6, MLDSA44PrivateKey.from_seed_bytes(bytes([2]) * 32)),
        "witness_ed25519": (WITNESS, 4, Ed25519PrivateKey.from_private_bytes(bytes([3]) * 32)),
        "witness_mldsa44": (WITNESS, 6, MLDSA44PrivateKey.from_seed_bytes(bytes([4]) * 32)),
    }
    rows = {role: key_vector(text, root, *key) for role, key in keys.items()}
    note = f"{text}\n" + "".join(row["line"] + "\n" for row in rows.values())
    old = [item.hex() for item in proof(100, [leaf(number) for number in range(257)])]
    request = "old 100\n" + "".join(encode(bytes.fromhex(item)) + "\n" for item in old)
    return {
        "what": "keys, checkpoint and cosignatures after C2SP; the log is that of rfc9162.json with 257 entries",
        "origin": ORIGIN, "size": 257, "root": root.hex(), "time": TIME, "text": text, "keys": rows, "note": note,
        "old_size": 100, "old_root": mth([leaf(number) for number in range(100)]).hex(),
        "add_checkpoint": f"{request}\n{note}",
        "paths": [
            {"level": 0, "index": 0, "width": 256, "path": "tile/0/000"},
            {"level": 0, "index": 273, "width": 112, "path": "tile/0/273.p/112"},
            {"level": 1, "index": 1234067, "width": 256, "path": "tile/1/x001/x234/067"},
            {"level": "entries", "index": 1000, "width": 1, "path": "tile/entries/x001/000.p/1"},
        ],
    }  # fmt: skip


def key_vector(text, root, name, kind, key):
    public = key.public_key().public_bytes_raw()
    material = bytes([kind]) + public
    key_id = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
    message = {
        1: text.encode(),
        4: f"cosignature/v1\ntime {TIME}\n{text}".encode(),
        6: b"subtree/v1\n\0"
        + short(name)
        + struct.pack(">Q", TIME)
        + short(ORIGIN)
        + struct.pack(">QQ", 0, 257)
        + root,
    }[kind]
    stamp = b"" if kind == 1 else struct.pack(">Q", TIME)
    return {
        "vkey": f"{name}+{key_id.hex()}+{encode(material)}",
        "seed": key.private_bytes_raw().hex(),
        "message": message.hex(),
        "line": f"\u2014 {name} {encode(key_id + stamp + key.sign(message))}",
    }


def short(name):
    return bytes([len(name.encode())]) + name.encode()


def encode(data):
    return base64.b64encode(data).decode()


def as_text(vectors):
    return json.dumps(vectors, indent=1, ensure_ascii=False) + "\n"


def without_random(vectors):
    """The vectors with the lines of ML-DSA keys, and what holds them, reduced to their lengths."""
    rows = {
        role: row | {"line": len(row["line"])} if "mldsa" in role else row for role, row in vectors["keys"].items()
    }
    lengths = {name: len(vectors[name]) for name in ("note", "add_checkpoint")}
    return vectors | {"keys": rows} | lengths


def outdated():
    """Names of committed files that are not what the definitions give."""
    stale = []
    if (FOLDER / "rfc9162.json").read_text("utf-8") != as_text(tree_vectors()):
        stale.append("rfc9162.json")
    committed = json.loads((FOLDER / "tlog.json").read_text("utf-8"))
    if without_random(committed) != without_random(note_vectors()):
        stale.append("tlog.json")
    return stale


def main():
    """Write the vectors, or with --check exit with 1 if the committed ones differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true")
    mode.add_argument("--check", action="store_true")
    if parser.parse_args().write:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / "rfc9162.json").write_text(as_text(tree_vectors()), "utf-8")
        (FOLDER / "tlog.json").write_text(as_text(note_vectors()), "utf-8")
    elif stale := outdated():
        sys.exit(f"not what the definitions give: {', '.join(stale)}")


if __name__ == "__main__":
    main()
