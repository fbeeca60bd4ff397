"""Letters between the parties of one job: sealed, opened and logged; a letter is logged before it leaves.

A letter's place (job, step, turn, sender, recipient) is bound into its envelope, so that the coordinator can
neither redirect it nor pass an old one off as new.
"""

import hashlib

from consortia_common.content import Content
from consortia_crypto.audit.entry import Entry
from consortia_crypto.envelope import seal, unseal
from consortia_crypto.errors import EnvelopeError
from consortia_crypto.keys import PublicIdentity
from consortia_node.accepted import AcceptedJob, identity
from consortia_node.tools import Tools


def seal_letter(tools: Tools, job: AcceptedJob, step: str, recipient: str, plaintext: bytes) -> bytes:
    """An envelope for the party ``recipient``."""
    return seal_for(tools, job, step, recipient, identity(tools, job, recipient), plaintext)


def seal_for(
    tools: Tools,
    job: AcceptedJob,
    step: str,
    whose: str,
    recipient: PublicIdentity,
    plaintext: bytes,
    *,
    sequence: int = 0,
) -> bytes:
    """An envelope for ``recipient``, ``whose`` in the log; ``sequence`` tells apart those of one step."""
    envelope = seal(
        plaintext,
        sender=tools.identity,
        recipient=recipient,
        purpose=job.spec.purpose,
        job=job.job_id,
        step=step,
        sequence=sequence,
    )
    log_letter(tools, "envelope.sealed", job, step, whose, envelope)
    return envelope


def open_letter(tools: Tools, job: AcceptedJob, step: str, sender: str, envelope: object) -> bytes:
    """What ``sender`` sealed for this institution in ``step``. Raises EnvelopeError."""
    if not isinstance(envelope, bytes) or not envelope:
        raise EnvelopeError(
            f"the letter that {sender} sealed in step {step} did not come",
            blame=f"the coordinator, or {sender}",
            remedy="submit the job again; if it persists, compare both institutions' logs",
        )
    tools.witnessed(log_letter(tools, "envelope.opened", job, step, sender, envelope))
    return unseal(
        envelope,
        sender=identity(tools, job, sender),
        recipient=tools.identity,
        purpose=job.spec.purpose,
        job=job.job_id,
        step=step,
        sequence=0,
    )


def log_letter(tools: Tools, event: str, job: AcceptedJob, step: str, peer: str, letter: bytes) -> Entry:
    """Log that a letter to or from ``peer`` was sealed or opened."""
    return tools.log.append(
        event,
        job=job.job_id,
        purpose=job.spec.purpose,
        step=step,
        peer=peer,
        digest=hashlib.sha256(letter).hexdigest(),
        bytes=len(letter),
    )


def open_content(tools: Tools, job: AcceptedJob, step: str, sender: str, envelope: object) -> Content:
    """As ``open_letter``, for a letter that holds a Content. Raises ExchangeError for one that holds none."""
    return Content.from_bytes(open_letter(tools, job, step, sender, envelope), sender)
