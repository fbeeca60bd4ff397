"""PURE: the tree over consents relied on or taken over, and the opening of exactly one of them.

    pair   = SHA-256(pseudonym ‖ commitment to the consent record), both 32 bytes
    block  = 64 pairs, in order of their bytes; the last block may be shorter
    root   = RFC 9162 tree over the blocks

The commitment is HMAC-SHA256 under a salt that only the customer's key makes, so a pair says nothing to whoever
does not have that salt, though the pairs beside it are in the proof. Order and number of additions do not show.
An opening has the pairs of one block, the tree's path for it, and for one pair the pseudonym, salt and record.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Self

from consortia_common.errors import DocumentError
from consortia_crypto import canonical
from consortia_crypto.audit import tree
from consortia_crypto.errors import EncodingError

PAIR_BYTES = 32
BLOCK_PAIRS = 64
_BLOCK_BYTES = PAIR_BYTES * BLOCK_PAIRS
MAX_OPENING_BYTES = 64 * 1024
_FIELDS = frozenset({"v", "pseudonym", "salt", "record", "block", "index", "size", "path"})


def pair(pseudonym: str, commitment: bytes) -> bytes:
    """One customer's part in the tree. Raises ValueError for a pseudonym that is not hexadecimal."""
    return hashlib.sha256(bytes.fromhex(pseudonym) + commitment).digest()


def root(pairs: bytes) -> str:
    """The root over ``pairs``, which follow each other in order of their bytes; hexadecimal."""
    return tree.root(_leaves(pairs)).hex()


def ordered(pairs: Sequence[bytes]) -> bytes:
    """``pairs`` as ``root`` and ``prove`` want them."""
    return b"".join(sorted(pairs))


@dataclass(frozen=True)
class ConsentOpening:
    """What shows that one consent record is under a root, and nothing of the others."""

    pseudonym: str
    salt: bytes
    record: bytes
    """Canonical bytes of the consent record."""
    block: bytes
    index: int
    """Of the block."""
    size: int
    """How many blocks there are."""
    path: tuple[bytes, ...]

    def opens(self, expected: str) -> bool:
        """Whether the record is under the root ``expected`` (hexadecimal)."""
        commitment = hmac.digest(self.salt, self.record, "sha256")
        mine = pair(self.pseudonym, commitment)
        pairs = [self.block[at : at + PAIR_BYTES] for at in range(0, len(self.block), PAIR_BYTES)]
        leaf = tree.leaf_hash(self.block)
        whole = len(self.block) % PAIR_BYTES == 0 and len(pairs) <= BLOCK_PAIRS
        under = tree.includes(bytes.fromhex(expected), self.size, self.index, leaf, self.path)
        return whole and mine in pairs and under

    def document(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "v": 1,
            "pseudonym": self.pseudonym,
            "salt": self.salt.hex(),
            "record": self.record.decode(),
            "block": self.block.hex(),
            "index": self.index,
            "size": self.size,
            "path": [item.hex() for item in self.path],
        }

    @classmethod
    def from_document(cls, value: Any) -> Self:
        """The inverse of ``document``. Raises DocumentError for anything that is not one; nothing is verified."""
        if not isinstance(value, dict) or value.keys() != _FIELDS or value["v"] != 1:
            _refuse("it does not have exactly the fields of version 1")
        texts = [value[name] for name in ("pseudonym", "salt", "record", "block")]
        if not all(isinstance(text, str) for text in texts) or not isinstance(value["path"], list):
            _refuse("a field has the wrong type")
        if type(value["index"]) is not int or type(value["size"]) is not int:
            _refuse("a field has the wrong type")
        try:
            pseudonym, salt, block = (bytes.fromhex(value[name]) for name in ("pseudonym", "salt", "block"))
            path = tuple(bytes.fromhex(item) for item in value["path"])
            record = canonical.decode(value["record"].encode())
        except (ValueError, TypeError, EncodingError):
            _refuse("a value in it can't be read")
        if len(pseudonym) != PAIR_BYTES or not isinstance(record, dict) or record.get("subject") != pseudonym.hex():
            _refuse("its record is not about the pseudonym")
        return cls(pseudonym.hex(), salt, value["record"].encode(), block, value["index"], value["size"], path)


def prove(pairs: bytes, pseudonym: str, salt: bytes, record: bytes) -> ConsentOpening | None:
    """The opening of one record under ``root(pairs)``; None if it is not among them."""
    place = _find(pairs, pair(pseudonym, hmac.digest(salt, record, "sha256")))
    if place is None:
        return None
    index = place // BLOCK_PAIRS
    leaves = _leaves(pairs)
    block = pairs[index * _BLOCK_BYTES : (index + 1) * _BLOCK_BYTES]
    path = tuple(tree.inclusion_proof(leaves, index))
    return ConsentOpening(pseudonym, salt, record, block, index, len(leaves), path)


def _find(pairs: bytes, wanted: bytes) -> int | None:
    """The place of a pair, by bisection."""
    low, high = 0, len(pairs) // PAIR_BYTES
    while low < high:
        middle = (low + high) // 2
        if pairs[middle * PAIR_BYTES : (middle + 1) * PAIR_BYTES] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if pairs[low * PAIR_BYTES : (low + 1) * PAIR_BYTES] == wanted else None


def _leaves(pairs: bytes) -> list[bytes]:
    return tree.leaf_hashes(pairs[start : start + _BLOCK_BYTES] for start in range(0, len(pairs), _BLOCK_BYTES))


def _refuse(why: str) -> NoReturn:
    raise DocumentError(
        f"a consent proof was refused: {why}",
        blame="whoever made or altered it",
        remedy="ask the institution for it again; `consortia consent prove` makes one",
    )
