"""Agreeing on the key of a job's sealed sums: the first party makes it and seals it to each of the others.

The coordinator gets the public part and carries envelopes; it never holds what opens a sum.
"""

from consortia_common.content import Content
from consortia_common.documents.jobspec import EPOCH_MAKE
from consortia_crypto.errors import CiphertextError
from consortia_crypto.sum import institution as sums
from consortia_node.accepted import AcceptedJob
from consortia_node.answers import Answer
from consortia_node.errors import BadCiphertextError
from consortia_node.letters import open_letter, seal_letter
from consortia_node.step import SUM_KEY
from consortia_node.store.jobs import JobStore
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2 as pb


class Epochs:
    """Answers the steps "epoch.make" and "epoch.join"."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def make(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """Make the key: the public part in the clear, the key itself in one envelope for each other party."""
        del task, content
        secret = sums.new_secret()
        self._tools.log.append("epoch.opened", job=job.job_id, roster=job.spec.parties)
        config: dict[str, bytes] = {"public": sums.public_part(secret)}
        for party in job.spec.parties:
            if party != self._tools.institution:
                config[f"envelope.{party}"] = seal_letter(self._tools, job, EPOCH_MAKE, party, secret)
        return Answer(Content(config=config), store=lambda c: JobStore(c).put(job.job_id, SUM_KEY, secret))

    def join(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """Take the key that the first party sealed for this one."""
        del task
        leader = job.spec.parties[0]
        secret = open_letter(self._tools, job, EPOCH_MAKE, leader, content.config.get("envelope"))
        _check_key(secret, leader)
        self._tools.log.append("epoch.opened", job=job.job_id, roster=job.spec.parties)
        return Answer(Content(), store=lambda c: JobStore(c).put(job.job_id, SUM_KEY, secret))


def _check_key(secret: bytes, leader: str) -> None:
    try:
        sums.public_part(secret)
    except CiphertextError as error:
        raise BadCiphertextError(
            f"the key that {leader} made for the job's sums can't be used: {error.what}",
            blame=leader,
            remedy=f"submit the job again; if it persists, {leader} must look to its node",
        ) from error
