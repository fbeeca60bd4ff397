"""What a profile remembers: the jobs it submitted, and the institutions' identities as it first saw them.

A job's id binds every byte of its submission, so the copy kept here tells what was really asked, whatever the
coordinator says later. An identity is pinned at first sight: another one under the same name is refused, because
a coordinator that swaps keys could otherwise pass its own results off as an institution's.
"""

from pathlib import Path

from consortia_client.errors import ResultError
from consortia_common import keyfiles
from consortia_common.documents.jobspec import Submission
from consortia_crypto.keys import PublicIdentity


class Keepsakes:
    """Files in the profile's folder."""

    def __init__(self, folder: Path) -> None:
        self._jobs = folder / "jobs"
        self._institutions = folder / "institutions"

    def keep_submission(self, submission: Submission) -> None:
        """Remember what was asked, before it is sent."""
        keyfiles.make_folder(self._jobs)
        keyfiles.write_file(self._jobs / f"{submission.job_id}.json", submission.canonical())

    def has_submission(self, job_id: str) -> bool:
        """Whether this profile submitted the job."""
        return self._submission(job_id).exists()

    def submission(self, job_id: str) -> Submission:
        """What was asked. Raises ResultError if this profile did not submit the job."""
        path = self._submission(job_id)
        if not path.exists():
            raise ResultError(
                f"this profile did not submit job {job_id[:80]}",
                blame="whoever asked for its result",
                remedy="use the profile folder from which the job was submitted",
            )
        return Submission.from_canonical(keyfiles.read_file(path), "the kept submission")

    def _submission(self, job_id: str) -> Path:
        return self._jobs / f"{Path(job_id).name}.json"

    def pin(self, identity: PublicIdentity) -> PublicIdentity:
        """``identity``, if it is the one that was seen first under its institution's name. Raises ResultError."""
        path = self._institutions / f"{identity.institution}.json"
        if not path.exists():
            keyfiles.make_folder(self._institutions)
            keyfiles.save_public_identity(path, identity)
        pinned = keyfiles.load_public_identity(path)
        if pinned.fingerprint != identity.fingerprint:
            raise ResultError(
                f"{identity.institution} appears with another key than before",
                blame=f"the coordinator, or {identity.institution} if it changed its keys",
                remedy=f"compare the fingerprint with {identity.institution} by telephone; if it did change its "
                f"keys, remove {path} and try again",
            )
        return pinned
