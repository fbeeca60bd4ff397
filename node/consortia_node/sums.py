"""The institution's side of a sealed sum: the protocol's messages over the exchange, its states in the database.

What is decided is consortia_crypto.sum.member; here a state is stored in the transaction that stores the message it
stands for, so that no crash and no second asking makes this node say two things of one round. The vectors pass
through files (sumfiles.py) and the job's worker, frame by frame. A total is logged before it is opened, and once
this node has revealed what opens it, its own summand is spent: it is removed, and masked for no other sum.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection

from consortia_common import sealed
from consortia_common.content import Content, HashedBlobs
from consortia_common.database import reading
from consortia_common.documents.kinds import Turn
from consortia_crypto.sum import member
from consortia_crypto.sum.member import Member
from consortia_crypto.sum.messages import Certificate, Lists, SetProposal, Shared, Total
from consortia_crypto.sum.terms import check_offer
from consortia_node.accepted import AcceptedJob
from consortia_node.answers import Answer
from consortia_node.errors import RefusedError, StateError
from consortia_node.keptsums import TOTALS, KeptSum, sum_folder
from consortia_node.step import MaskRequest, OpenRequest
from consortia_node.store.jobs import JobStore
from consortia_node.store.sums import StoredSum, SumStore
from consortia_node.sumfiles import SumFiles
from consortia_node.sumtasks import COORDINATOR, bad_task, frames_in, message, number, take, terms, text
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2 as pb

Handler = Callable[[AcceptedJob, pb.Task, Content], Answer]


class Sums:
    """Answers the steps of the sealed-sum protocol."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        answers: tuple[Handler, ...] = (
            self._share, self._upload, self._frame, self._sign, self._reveal, self._total,
        )  # fmt: skip
        self.steps: Mapping[str, Handler] = dict(zip(sealed.STEPS, answers, strict=True))

    def around(self, step: Handler, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """Take a step of the kind's, with what rides with it: a total that it may need is opened before; the
        summand that it makes is sealed behind, and goes out with its answer. All of that is stored together.
        """
        before, behind = (sealed.ridden(content, prefix) for prefix in (sealed.BEFORE, sealed.BEHIND))
        opened, totals = self._open_before(job, task, before) if before.config else (Answer(Content()), "")
        taken = step(job, task, sealed.bare(content))
        answer = opened.joined(replace(taken, files=self._made(job, task)))
        if not behind.config:
            return answer
        asked = self._asked(job, task, behind)
        return answer.joined(self._sealed(asked, task, behind, totals or asked.totals), sealed.BEHIND)

    def _made(self, job: AcceptedJob, task: pb.Task) -> tuple[Path, ...]:
        """The summand that a step of the kind's has made, if it makes one."""
        turns, folder = job.spec.parameters.turns(self._tools.institution), sum_folder(self._tools, job.job_id)
        names = [turn.gives for turn in turns if turn == Turn(task.step, task.round) and turn.gives]
        paths = (SumFiles(folder, name, task.round).summand for name in names)
        return tuple(path for path in paths if path.exists())

    def _share(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """R1 of a sum and of the next ones, if the coordinator's terms are this node's own.

        An earlier attempt is given up for good.
        """
        first, offered = self._asked(job, task, content), terms(content)
        place = job.spec.summed().index((first.name, first.turn))
        sums = job.spec.summed()[place : place + len(offered)]
        if len(sums) < len(offered):
            raise bad_task("a task asks about more sealed sums than there are")
        made = [
            _shared(self._sum(job, *each, first.attempt), *said) for each, said in zip(sums, offered, strict=True)
        ]

        def store(connection: Connection) -> None:
            for stored, _ in made:
                SumStore(connection).put(stored)

        return Answer(Content(config={"messages": [message.to_bytes() for _, message in made]}), store=store)

    def _upload(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """R2 of an attempt that rides with no step; only of a summand whose step has been answered, so that it
        is on disk whatever ended this node since."""
        asked = self._asked(job, task, content)
        course = job.spec.course(self._tools.institution)[: job.steps_taken]
        if (asked.name, asked.turn) not in ((turn.gives, turn.round) for turn in course):
            raise _out_of_turn(asked, "its summand is not there")
        return self._sealed(asked, task, content, asked.totals)

    def _sealed(self, asked: KeptSum, task: pb.Task, content: Content, totals: str) -> Answer:
        """The summand under its masks, with the first batch of its frames; ``totals`` stands for those before."""
        if not asked.files.summand.exists():
            raise _out_of_turn(asked, "its summand is not there")
        state, plan = member.lists(self._require(asked), message(content, Lists), totals)
        institution = self._tools.institution
        made = self._tools.workers.run(
            MaskRequest(asked.job_id, task.step, institution, asked.policy, plan, asked.files, asked.secret)
        )
        state, said = member.uploaded(state, made.digest, made.tag)
        self._tools.log.append(
            "update.sealed",
            job=asked.job_id,
            step=asked.name,
            round=asked.turn,
            digest=made.digest,
            bytes=made.wire.size,
            length=asked.policy.length,
        )
        upload = asked.files.masked.rename(asked.files.upload(made.digest))
        first = frames_in(upload, made.wire, 0)
        if len(first) < made.wire.frames:
            return self._kept(asked, state, {"message": said.to_bytes(), "frames": first}, upload)
        whole = HashedBlobs(first, made.digest)  # on disk with the answer
        return self._kept(asked, state, {"message": said.to_bytes(), "frames": whole})

    def _frame(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """Another batch of frames; the same however often it is asked for, until the upload is spent."""
        asked = self._asked(job, task, content)
        path = asked.files.upload(self._require(asked).upload)
        if not path.exists():
            raise _out_of_turn(asked, "its upload is not there, or spent")
        return Answer(Content(config={"frames": frames_in(path, asked.wire, number(content, "first"))}))

    def _sign(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """R3: this node's one signature on whose uploads the sum is over, enough of them for the agreement; if
        nobody is missing, R4 with it."""
        asked = self._asked(job, task, content)
        proposal = message(content, SetProposal)
        if len(proposal.uploads) < job.agreement.min_parties:
            raise RefusedError(
                "min_parties",
                f"The sum would be over {len(proposal.uploads)} institutions; "
                f"the agreement asks for {job.agreement.min_parties}.",
            )
        state, said, revealed = member.set_proposed(self._require(asked), proposal)
        if revealed is None:
            self._log_set(("sum.agreed",), asked, proposal)
            return self._kept(asked, state, {"message": said.to_bytes()})
        self._log_set(("sum.agreed", "sum.revealed"), asked, proposal)
        asked.files.spend()
        return self._kept(asked, state, {"message": said.to_bytes(), "revealed": revealed.to_bytes()})

    def _reveal(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """R4: the shares that open the sum over the certified set, after which the summand is spent."""
        asked = self._asked(job, task, content)
        certificate = message(content, Certificate)
        state, said = member.certificate(self._require(asked), certificate)
        self._log_set(("sum.revealed",), asked, certificate.proposal)
        asked.files.spend()
        return self._kept(asked, state, {"message": said.to_bytes()})

    def _total(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """R5: a batch of frames of the sealed total; with the last one it is opened, if it is the sum."""
        asked = self._asked(job, task, content)
        digest = take(asked.files.sealed, asked.wire, content)
        return self._opened(asked, task, content, digest)[0] if digest else Answer(Content())

    def _open_before(self, job: AcceptedJob, task: pb.Task, content: Content) -> tuple[Answer, str]:
        """R5, as it rides with the next step; with what stands for all totals then."""
        asked = self._sum(job, text(content, "sum"), number(content, "round"), number(content, "attempt"))
        digest = take(asked.files.sealed, asked.wire, content)
        if digest is None:
            raise bad_task("the total before a step is not whole")
        return self._opened(asked, task, content, digest)

    def _opened(self, asked: KeptSum, task: pb.Task, content: Content, digest: str) -> tuple[Answer, str]:
        """Log it, then open it. Raises TotalRefusedError if it is not the sum."""
        total = message(content, Total)
        plan = member.opening(asked.policy, asked.epoch, asked.totals, total, asked.member)
        opened_at = self._tools.log.append(
            "sum.opened",
            job=asked.job_id,
            step=asked.name,
            round=asked.turn,
            institutions=plan.contributors,
            digest=digest,
            length=asked.policy.length,
        )
        self._tools.witnessed(opened_at)
        institution = self._tools.institution
        self._tools.workers.run(
            OpenRequest(asked.job_id, task.step, institution, asked.policy, plan, asked.files, asked.secret)
        )
        opened = StoredSum(asked.job_id, asked.name, asked.turn, total.attempt, b"", plan.contributors)
        totals = sealed.chained(asked.totals, digest)

        def store(connection: Connection) -> None:
            SumStore(connection).put(opened)
            JobStore(connection).put(asked.job_id, TOTALS, totals.encode())

        return Answer(Content(), store, (asked.files.total,)), totals

    def _asked(self, job: AcceptedJob, task: pb.Task, content: Content) -> KeptSum:
        """What sum a task is about, with what this node has of it. Raises ExchangeError, StateError."""
        return self._sum(job, text(content, "sum"), task.round, number(content, "attempt"))

    def _sum(self, job: AcceptedJob, name: str, turn: int, attempt: int) -> KeptSum:
        """A sum of the job, with what this node has of it. Raises ExchangeError, and StateError if it is open."""
        sealed.require_sum(job.spec, name, turn, COORDINATOR)
        with reading(self._tools.engine) as connection:
            values = JobStore(connection).values(job.job_id)
            stored = SumStore(connection).get(job.job_id, name, turn)
        if stored is not None and stored.institutions:
            raise StateError(
                f"sum {name} of round {turn} is opened at {self._tools.institution}, and can't be added again",
                blame=COORDINATOR,
                remedy="submit the job again; if it persists, compare the institutions' logs of it",
            )
        folder = sum_folder(self._tools, job.job_id)
        policy = sealed.policy_of(job.job_id, job.spec, name, turn)
        return KeptSum(job.job_id, policy, SumFiles(folder, name, turn), attempt, values, stored)

    def _require(self, asked: KeptSum) -> Member:
        """This node's state in the attempt that is asked about. Raises StateError."""
        state = asked.member
        if state is None or state.attempt != asked.attempt:
            raise _out_of_turn(asked, "this node has no part in this attempt")
        return state

    def _kept(self, asked: KeptSum, state: Member, say: Mapping[str, object], *files: Path) -> Answer:
        stored = asked.storable(state)
        return Answer(Content(config=dict(say)), lambda connection: SumStore(connection).put(stored), files)

    def _log_set(self, events: Sequence[str], asked: KeptSum, proposal: SetProposal) -> None:
        about = {
            "job": asked.job_id,
            "step": asked.name,
            "round": asked.turn,
            "attempt": asked.attempt,
            "institutions": sorted(proposal.uploads),
            "digest": proposal.hash().hex(),
        }
        self._tools.log.append_many([(event, about) for event in events])


def _shared(asked: KeptSum, rid: str, policy: str) -> tuple[StoredSum, Shared]:
    """R1 of a sum, if the coordinator's terms are this node's own."""
    check_offer(asked.policy, asked.attempt, rid, policy)
    state, message = member.share(asked.policy, asked.attempt, asked.epoch, secrets.token_bytes, asked.member)
    return asked.storable(state), message


def _out_of_turn(asked: KeptSum, why: str) -> StateError:
    return StateError(
        f"sum {asked.name} of round {asked.turn}, attempt {asked.attempt}: {why}",
        blame=COORDINATOR,
        remedy="submit the job again; if it persists, compare the institutions' logs of it",
    )
