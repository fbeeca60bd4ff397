"""Proofs about one customer's consent: the pairs behind every root on the log, and the opening of exactly one.

For each root over consents on the log, the file ``pairs/<root>`` has the pairs beneath it (see
consortia_common.consent_tree); they say nothing about anybody without that customer's key. What was in a
record at the time is in the customer's own row, so once the customer is erased nobody can open that pair any more.
"""

from pathlib import Path

from consortia_common import consent_tree, keyfiles
from consortia_common.audit_segments import records
from consortia_common.audit_verify import find_log
from consortia_common.consent_proof import ConsentProof
from consortia_common.consent_tree import ConsentOpening
from consortia_crypto import subject as keys
from consortia_crypto.audit.entry import Entry
from consortia_node.errors import StoreError
from consortia_node.store.subject_record import Held
from consortia_node.store.subjects import Subject
from consortia_node.tools import Tools

FOLDER = "pairs"


def keep_pairs(folder: Path, pairs: bytes) -> str:
    """Keep the pairs, and return the root over them; equal ones are kept once."""
    root = consent_tree.root(pairs)
    path = keyfiles.make_folder(folder / FOLDER) / root
    if not path.exists():
        keyfiles.write_file(path, pairs)
    return root


def prove(tools: Tools, subject: Subject, job_id: str) -> dict[str, ConsentProof]:
    """By dataset of which the job used the customer's row, the newest proof that consent stood.

    Raises StoreError if the job relied on no consent of this customer, LogStorageError if no checkpoint covers the
    entry yet.
    """
    newest: dict[str, ConsentProof] = {}
    versions = [held for versions in subject.consents.values() for held in versions]
    for shard in find_log(tools.settings.audit_folder).shards():
        for entry in map(Entry.parse, records(shard)):
            if entry.type != "access.cohort" or entry.body["job"] != job_id:
                continue
            root = entry.body["consent_ref"]
            openings = (open_version(tools.settings.folder, subject, held, root) for held in versions)
            opening = next(filter(None, openings), None)
            if opening is not None:
                newest[entry.body["dataset"]] = ConsentProof.make(shard, entry, opening)
    if not newest:
        raise StoreError(
            f"no row of this customer was used in {job_id[:80]} by consent",
            blame="whoever asked for it",
            remedy="`consortia consent show` names the jobs that used the customer's rows",
        )
    return newest


def open_version(folder: Path, subject: Subject, held: Held, root: str) -> ConsentOpening | None:
    """The opening of that version of the customer's record under ``root``; None if it is not there."""
    path = folder / FOLDER / root
    if not path.exists():
        return None
    record = held.record.canonical()
    return consent_tree.prove(path.read_bytes(), subject.pseudonym, keys.prove(subject.key, record).salt, record)
