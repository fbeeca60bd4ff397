"""Whoever has the database, the log, the present keys and an earlier backup can't tell who an erased customer was.

The attacker here knows the customer's number, and guesses right everything else that the log commits to. The first
test shows that the same attacks succeed where the keys of that time are at hand.
"""

import hashlib
import hmac
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from consortia_common import consent_tree
from consortia_common.audit_verify import verify_folder
from consortia_common.consent_tree import pair
from consortia_crypto import canonical, subject
from consortia_crypto.audit.entry import Entry
from consortia_crypto.errors import SubjectKeyError
from consortia_crypto.subject import Opening, prove
from consortia_node.consent import ConsentRecord
from consortia_node.consent import pseudonym as pseudonym_of
from consortia_node.erasure import Erasures
from consortia_node.keyring import Keyring
from tests.support.subjects import (
    PURPOSE,
    change,
    consents_of,
    entries,
    import_customers,
    opened,
    ring_in,
    use_in_job,
)

NUMBERS = [f"CUSTOMER-{number:06d}" for number in range(20)]
VICTIM = NUMBERS[7]
SOURCE = "data"
"""The bank's own tables, which are the bank's to erase."""


@dataclass(frozen=True)
class Scene:
    """What the attacker has, and what the truth is."""

    after: Path
    backup: Path
    """Of the folder, taken before the erasure by a program that leaves out what is marked so."""
    keys_then: Keyring
    """What the attacker must not have."""
    pseudonym: str
    given: ConsentRecord
    """What the bank's table said of the customer."""
    record: ConsentRecord
    change: Entry


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    root = tmp_path_factory.mktemp("erased")
    node = root / "node"
    with opened(node) as tools:
        (node / SOURCE / "consents.csv").write_text("\n".join(NUMBERS))
        import_customers(tools, NUMBERS)
        change(tools, VICTIM, "withdrawn")
        use_in_job(tools, "job-1", [VICTIM, NUMBERS[2]])
        victim = consents_of(tools).find(VICTIM)
        backup = back_up(root)
        shutil.copytree(node / "unbacked", root / "then" / "unbacked")
        Erasures(tools).erase([VICTIM])
        (changed,) = entries(tools, "consent.changed")
        shutil.copytree(node, root / "after", ignore=shutil.ignore_patterns("control.sock"))
    given, withdrawn = (held.record for held in victim.consents[PURPOSE, "notice"])
    return Scene(root / "after", backup, ring_in(root / "then"), victim.pseudonym, given, withdrawn, changed)


def back_up(root: Path) -> Path:
    """Of the running node, database journal and all."""
    archive = root / "backup.tar"
    subprocess.run(["tar", "--exclude-caches", "-C", root, "-cf", archive, "node"], check=True, capture_output=True)
    (root / "backup").mkdir()
    subprocess.run(["tar", "-C", root / "backup", "-xf", archive], check=True)
    return root / "backup" / "node"


def files(*folders: Path) -> Iterator[bytes]:
    """Every file but the bank's own tables."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.relative_to(folder).parts[0] != SOURCE:
                yield path.read_bytes()


def keys_in(folder: Path, ring: Keyring) -> list[bytes]:
    """Every customer's key that opens under any key of the ring."""
    with closing(sqlite3.connect(folder / "node.db")) as database:
        rows = database.execute("SELECT id, wrapped FROM subjects").fetchall()
    assert len(rows) >= len(NUMBERS) - 1
    return [key for row in rows for wrapping in ring.keys if (key := unwrapped(wrapping, *row))]


def unwrapped(wrapping: subject.WrappingKey, row: int, wrapped: bytes) -> bytes | None:
    try:
        return wrapping.unwrap(b"subject" + row.to_bytes(8, "big"), wrapped)
    except SubjectKeyError:
        return None


def linked(scene: Scene, ring: Keyring) -> bool:
    keys = [key for folder in (scene.after, scene.backup) for key in keys_in(folder, ring)]
    return scene.pseudonym in {pseudonym_of(key) for key in keys}


def evidence(scene: Scene) -> bytes:
    return canonical.encode({"v": 1, "customer": VICTIM, "record": scene.record.document()})


def test_the_attack_succeeds_with_the_keys_of_that_time(scene: Scene) -> None:
    assert linked(scene, scene.keys_then)


def test_the_present_keys_open_nothing_of_the_backup(scene: Scene) -> None:
    now = ring_in(scene.after)
    assert len(keys_in(scene.after, now)) == len(NUMBERS) - 1
    assert keys_in(scene.backup, now) == []
    assert not linked(scene, now)


def test_the_backup_holds_no_keys_of_keys(scene: Scene) -> None:
    assert list((scene.backup / "unbacked").iterdir()) == [scene.backup / "unbacked" / "CACHEDIR.TAG"]
    old = scene.keys_then.newest.key
    assert not [data for data in files(scene.backup, scene.after) if old in data or old.hex().encode() in data]


def test_no_bytes_anywhere_are_the_customers_key_or_salt(scene: Scene) -> None:
    guess, commitment = evidence(scene), scene.change.body["payload_commit"]
    name = bytes.fromhex(scene.pseudonym)
    for window in windows(scene.backup, scene.after):
        assert hmac.digest(window, b"v1", "sha256") != name
        assert Opening(window, guess).commitment != commitment


def windows(*folders: Path) -> set[bytes]:
    """All that could be a key: every 32 bytes in a row."""
    return {data[start : start + 32] for data in files(*folders) for start in range(len(data) - 31)}


def test_the_customer_number_is_nowhere_but_in_the_banks_own_tables(scene: Scene) -> None:
    assert not [data for data in files(scene.backup, scene.after) if VICTIM.encode() in data]
    found = keys_in(scene.backup, scene.keys_then)
    assert len(found) == len(NUMBERS)


def test_no_row_names_what_the_log_names(scene: Scene) -> None:
    hashes = [hashlib.sha256(scene.record.canonical()).digest(), bytes.fromhex(scene.pseudonym)]
    for folder in (scene.backup, scene.after):
        for path in folder.glob("node.db*"):
            data = path.read_bytes()
            assert not [one for one in hashes if one in data or one.hex().encode() in data]
            moment = scene.record.effective_ms
            assert str(moment).encode() not in data
            assert moment.to_bytes(6, "big") not in data


def test_the_row_is_not_found_by_the_present_keys(scene: Scene) -> None:
    tags = {key.tag(VICTIM) for key in ring_in(scene.after).keys}
    for folder in (scene.backup, scene.after):
        with closing(sqlite3.connect(folder / "node.db")) as database:
            assert not tags & {tag for (tag,) in database.execute("SELECT tag FROM subjects")}


def test_no_set_of_customers_has_the_erased_one(scene: Scene) -> None:
    def ids(folder: Path) -> set[bytes]:
        with closing(sqlite3.connect(folder / "node.db")) as database:
            return {row.to_bytes(8, "little") for (row,) in database.execute("SELECT id FROM subjects")}

    (gone,) = ids(scene.backup) - ids(scene.after)
    assert any(gone in data for data in files(scene.backup))
    assert not any(gone in path.read_bytes() for path in scene.after.glob("node.db*"))


def test_the_root_of_an_import_confirms_no_guess(scene: Scene) -> None:
    """Even to somebody who knows every other leaf, and what the bank's table said of this customer."""
    given = scene.given
    with opened(scene.after) as tools:
        (imported,) = entries(tools, "consent.imported")
        others = [consents_of(tools).find(number) for number in NUMBERS if number != VICTIM]
    pairs = [pair(other.pseudonym, other.consents[PURPOSE, "notice"][0].commitment) for other in others]
    kept = (scene.after / "pairs" / imported.body["detail"]["root"]).read_bytes()
    assert all(other in kept for other in pairs)

    def root(commitment: bytes) -> str:
        return consent_tree.root(consent_tree.ordered([*pairs, pair(scene.pseudonym, commitment)]))

    then = [
        bytes.fromhex(prove(key, given.canonical()).commitment) for key in keys_in(scene.backup, scene.keys_then)
    ]
    assert imported.body["detail"]["root"] in map(root, then)
    guesses = [
        hashlib.sha256(given.canonical()).digest(),
        bytes.fromhex(Opening(b"", given.canonical()).commitment),
    ]
    now = [bytes.fromhex(prove(key, given.canonical()).commitment) for key in [bytes(32), *(o.key for o in others)]]
    assert imported.body["detail"]["root"] not in map(root, [*guesses, *now])


def test_rows_do_not_lie_in_the_order_in_which_they_came(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.backup / "node.db")) as database:
        names = "SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%'"
        assert {name for (name,) in database.execute(names)} == {"subjects", "payloads", "cohort_parts"}
        lying = [row for (row,) in database.execute("SELECT id FROM subjects")]
    assert lying == sorted(lying)


def test_every_entry_of_before_is_as_it_was_and_verifies(scene: Scene) -> None:
    before, after = verify_folder(scene.backup), verify_folder(scene.after)
    assert (before.summary, after.summary) == ("verified", "verified")
    assert after.entries > before.entries
    old, new = (b"".join(sorted_segments(folder)) for folder in (scene.backup, scene.after))
    assert new.startswith(old)


def sorted_segments(folder: Path) -> Iterator[bytes]:
    return (path.read_bytes() for path in sorted((folder / "log" / "segments").iterdir()))
