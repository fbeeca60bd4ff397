"""Make the vectors that other implementations can be held against, or check the committed ones.

Nothing of Consortia is imported: ``rfc9162.json`` follows the recursive definitions of RFC 9162 §2.1 word for word,
``tlog.json`` the texts of C2SP, ``sealed_sum.json`` docs/sealed-sum.md, with the standard library, the signature
algorithms and AES alone. ML-DSA signatures are random, so of those only the length is checked here; a test verifies
them.
"""

import argparse
import base64
import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

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


ROSTER = ["bank-a", "bank-b", "bank-c"]
KNOWN, RID, POLICY, PREVIOUS = (bytes([number]) * 32 for number in (1, 2, 3, 4))
LENGTH = 5000


def sum_vectors():
    """The key schedule of a sealed sum, and one round of three institutions from its keys to what travels."""
    shared = {name: sha(b"R1 of " + name.encode()) for name in ROSTER}
    told = (part for name in ROSTER for part in (name.encode(), shared[name]))
    ctx = labelled(b"context", RID, POLICY, KNOWN, PREVIOUS, *told)
    pairs = {pair: extracted(KNOWN, bytes([7]) * 32 + bytes([8]) * 32, b"pair", *pair) for pair in
             [(b"bank-a", b"bank-b"), (b"bank-a", b"bank-c"), (b"bank-b", b"bank-c")]}  # fmt: skip
    parts = b"".join(bytes([number]) * 32 for number in (10, 11, 12))
    group = extracted(KNOWN, parts, b"group", labelled(b"attachment", b""))
    selves = {name: sha(b"b of " + name.encode()) for name in ROSTER}
    pair = pairs[b"bank-a", b"bank-b"]
    return {
        "what": "sealed sum: N = 3, k = 0, t = 2, w = 32, 5000 values; value p of institution n (from 1) is "
                "(7919·p·n mod 2001) − 1000; keys in hexadecimal; docs/sealed-sum.md names the parts",
        "roster": ROSTER, "roster_hash": KNOWN.hex(), "rid": RID.hex(),
        "policy": POLICY.hex(), "previous": PREVIOUS.hex(),
        "shared": {name: digest.hex() for name, digest in shared.items()}, "ctx": ctx.hex(),
        "from_low": "07" * 32, "from_high": "08" * 32, "parts": ["0a" * 32, "0b" * 32, "0c" * 32],
        "pair_keys": {f"{low.decode()} {high.decode()}": key.hex() for (low, high), key in pairs.items()},
        "group_key": group.hex(), "confirmation": kdf(group, b"confirm", KNOWN, b"bank-a").hex(),
        "round_key": kdf(pair, b"pair-round", RID).hex(), "tag_key": kdf(group, b"mac", ctx).hex(),
        "self_secrets": {name: secret.hex() for name, secret in selves.items()},
        "self_commitment": labelled(b"commit-self", RID, b"bank-a", selves["bank-a"]).hex(),
        "share_commitment": labelled(b"share-pair", RID, b"bank-a", b"bank-b", KNOWN)[:16].hex(),
        "bundle_key": kdf(selves["bank-a"], b"bundle", RID).hex(),
        "share_key": kdf(pair, b"share", RID, b"bank-a", b"bank-b", KNOWN).hex(),
        **sealed_values(ctx, pairs, group, selves),
    }  # fmt: skip


def sealed_values(ctx, pairs, group, selves):
    """What each institution uploads, and the tag of the sum."""
    key = tag_key_of(kdf(group, b"mac", ctx))
    values = [[(7919 * place * number) % 2001 - 1000 for place in range(LENGTH)] for number in (1, 2, 3)]
    uploads = {}
    for number, name in enumerate(ROSTER):
        words, tag = list(values[number]), tag_of(key, values[number])
        for secret, label, more, sign in masks_of(number, pairs, group, selves[name]):
            stream = struct.unpack(f"<{LENGTH}I", keystream(kdf(secret, label, ctx, *more), 4 * LENGTH))
            words = [word + sign * drawn for word, drawn in zip(words, stream, strict=True)]
            tag += sign * int.from_bytes(keystream(kdf(secret, label + b"-tag", ctx, *more), 32), "little")
        wire = struct.pack(f"<{LENGTH}I", *(word % 2**32 for word in words))
        uploads[name] = {"sha256": sha(wire).hex(), "tag": tag % PRIME}
    total = [sum(column) for column in zip(*values, strict=True)]
    return {"uploads": uploads, "sum_tag": tag_of(key, total)}


def masks_of(number, pairs, group, own):
    """The masks of institution ``number`` from 0: secret, label, context, sign. The first two add a pad."""
    name = ROSTER[number].encode()
    masks = [(own, b"self", (), 1)]
    masks += [(group, b"pad", (name,), 1)] if number < 2 else []
    for other, peer in enumerate(ROSTER):
        if other != number:
            pair = pairs[tuple(sorted((name, peer.encode())))]
            masks.append((kdf(pair, b"pair-round", RID), b"mask", (), 1 if other > number else -1))
    return masks


PRIME = 2**61 - 1


def kdf(key, label, *context):
    """HKDF-Expand (RFC 5869) with one block of output."""
    info = b"consortia/v1/" + label + b"".join(struct.pack("<H", len(part)) + part for part in context)
    return hmac.digest(key, info + b"\x01", "sha256")


def extracted(salt, material, label, *context):
    return kdf(hmac.digest(salt, material, "sha256"), label, *context)


def labelled(label, *parts):
    return sha(b"consortia/v1/" + label + b"\0" + b"".join(struct.pack("<I", len(part)) + part for part in parts))


def sha(data):
    return hashlib.sha256(data).digest()


def keystream(seed, count):
    return Cipher(algorithms.AES(seed), modes.GCM(bytes(12))).encryptor().update(bytes(count))


def tag_key_of(seed):
    """r and γ: numbers of 61 bits, the upper bits of 8 bytes each, without those that are not below the prime."""
    drawn = [number >> 3 for number in struct.unpack("<4161Q", keystream(seed, 8 * 4161))]
    kept = [number for number in drawn if number < PRIME]
    return kept[:4096], kept[4096]


def tag_of(key, values):
    r, gamma = key
    tag = 0
    for start in range(0, len(values), 4096):
        row = values[start : start + 4096]
        tag = (tag * gamma + sum(one * other for one, other in zip(r, row, strict=False))) % PRIME
    return tag


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
    if (FOLDER / "sealed_sum.json").read_text("utf-8") != as_text(sum_vectors()):
        stale.append("sealed_sum.json")
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
        (FOLDER / "sealed_sum.json").write_text(as_text(sum_vectors()), "utf-8")
        (FOLDER / "tlog.json").write_text(as_text(note_vectors()), "utf-8")
    elif stale := outdated():
        sys.exit(f"not what the definitions give: {', '.join(stale)}")


if __name__ == "__main__":
    main()
