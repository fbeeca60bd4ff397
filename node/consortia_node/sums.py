"""The institution's side of a sealed sum: the protocol's messages over the exchange, its states in the database.

What is decided is consortia_crypto.sum.member; here a state is stored in the transaction that stores the message it
stands for, so that no crash and no second asking makes this node say two things of one round. The vectors pass
through files (sumfiles.py) and the job's worker, frame by frame. A total is logged before it is opened, and once
this node has revealed what opens it, its own summand is spent: it is removed, and never sent again.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from consortia_common import keyfiles, sealed
from consortia_common.content import Content
from consortia_common.database import reading
from consortia_common.documents.receipt import Missing, SumsUsed
from consortia_common.errors import ExchangeError
from consortia_crypto.errors import SumError
from consortia_crypto.sum import member
from consortia_crypto.sum.epoch import EpochSecrets
from consortia_crypto.sum.member import Member
from consortia_crypto.sum.messages import Certificate, Lists, Message, SetProposal, Shared, Total
from consortia_crypto.sum.terms import SumPolicy, check_offer
from consortia_crypto.sum.vector import FileVector, Layout, frame_of
from consortia_crypto.sum.wire import PARAMETERS, wire_layout
from consortia_node.accepted import AcceptedJob
from consortia_node.answers import Answer
from consortia_node.epochs import secrets_of
from consortia_node.errors import RefusedError, StateError
from consortia_node.step import MaskRequest, OpenRequest
from consortia_node.store.jobs import JobStore
from consortia_node.store.sums import StoredSum, SumStore
from consortia_node.sumfiles import SumFiles
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2 as pb

Handler = Callable[[AcceptedJob, pb.Task, Content], Answer]
_TOTALS = "sum.totals"
"""The name under which a job keeps what stands for all totals so far."""
_COORDINATOR = "the coordinator"
_M = TypeVar("_M", bound=Message)


class Sums:
    """Answers the steps of the sealed-sum protocol."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        answers: tuple[Handler, ...] = (
            self._share, self._upload, self._frame, self._sign, self._reveal, self._total,
        )  # fmt: skip
        self.steps: Mapping[str, Handler] = dict(zip(sealed.STEPS, answers, strict=True))

    def _share(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """R1 of a sum and of the next ones, if the coordinator's terms are this node's own.

        An earlier attempt is given up for good.
        """
        first, terms = self._asked(job, task, content), _terms(content)
        place = job.spec.summed().index((first.name, first.turn))
        sums = job.spec.summed()[place : place + len(terms)]
        if len(sums) < len(terms):
            raise _bad_task("a task asks about more sealed sums than there are")
        made = [
            _shared(self._sum(job, *each, first.attempt), *said) for each, said in zip(sums, terms, strict=True)
        ]

        def store(connection: Connection) -> None:
            for stored, _ in made:
                SumStore(connection).put(stored)

        return Answer(Content(config={"messages": [message.to_bytes() for _, message in made]}), store=store)

    def _upload(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """R2: the summand under its masks, with the first batch of its frames."""
        asked = self._asked(job, task, content)
        if not asked.files.summand.exists():
            raise _out_of_turn(asked, "its summand is not there")
        state, plan = member.lists(self._require(asked), _message(content, Lists), asked.totals)
        made = self._tools.workers.run(
            MaskRequest(
                job.job_id, task.step, self._tools.institution, asked.policy, plan, asked.files, asked.secret
            )
        )
        state, said = member.uploaded(state, made.digest, made.tag)
        self._tools.log.append(
            "update.sealed",
            job=job.job_id,
            step=asked.name,
            round=asked.turn,
            digest=made.digest,
            bytes=made.wire.size,
            length=asked.policy.length,
        )
        first = _frames_in(asked.files.upload, made.wire, 0)
        return self._kept(asked, state, {"message": said.to_bytes(), "frames": first})

    def _frame(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """Another batch of frames; the same however often it is asked for, until the upload is spent."""
        asked = self._asked(job, task, content)
        self._require(asked)
        if not asked.files.upload.exists():
            raise _out_of_turn(asked, "its upload is not there, or spent")
        first = _number(content, "first")
        return Answer(Content(config={"frames": _frames_in(asked.files.upload, asked.wire, first)}))

    def _sign(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """R3: this node's one signature on whose uploads the sum is over; enough of them for the agreement."""
        asked = self._asked(job, task, content)
        proposal = _message(content, SetProposal)
        if len(proposal.uploads) < job.agreement.min_parties:
            raise RefusedError(
                "min_parties",
                f"The sum would be over {len(proposal.uploads)} institutions; "
                f"the agreement asks for {job.agreement.min_parties}.",
            )
        state, said = member.set_proposed(self._require(asked), proposal)
        self._log_set("sum.agreed", asked, proposal)
        return self._kept(asked, state, {"message": said.to_bytes()})

    def _reveal(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """R4: the shares that open the sum over the certified set, after which the summand is spent."""
        asked = self._asked(job, task, content)
        certificate = _message(content, Certificate)
        state, said = member.certificate(self._require(asked), certificate)
        self._log_set("sum.revealed", asked, certificate.proposal)
        asked.files.spend()
        return self._kept(asked, state, {"message": said.to_bytes()})

    def _total(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """R5: a batch of frames of the sealed total; with the last one it is opened, if it is the sum."""
        asked = self._asked(job, task, content)
        digest = _take(asked, _number(content, "first"), content.config.get("frames"))
        if digest is None:
            return Answer(Content())
        total = _message(content, Total)
        state = asked.member
        plan = member.opening(asked.policy, asked.epoch, asked.totals, total, state)
        opened_at = self._tools.log.append(
            "sum.opened",
            job=job.job_id,
            step=asked.name,
            round=asked.turn,
            institutions=plan.contributors,
            digest=digest,
            length=asked.policy.length,
        )
        self._tools.witnessed(opened_at)
        self._tools.workers.run(
            OpenRequest(
                job.job_id, task.step, self._tools.institution, asked.policy, plan, asked.files, asked.secret
            )
        )
        opened = StoredSum(job.job_id, asked.name, asked.turn, total.attempt, b"", plan.contributors)

        def store(connection: Connection) -> None:
            SumStore(connection).put(opened)
            JobStore(connection).put(job.job_id, _TOTALS, sealed.chained(asked.totals, digest).encode())

        return Answer(Content(), store=store)

    def _asked(self, job: AcceptedJob, task: pb.Task, content: Content) -> "_Asked":
        """What sum a task is about, with what this node has of it. Raises ExchangeError, StateError."""
        name = _text(content, "sum")
        sealed.require_sum(job.spec, name, task.round, _COORDINATOR)
        return self._sum(job, name, task.round, _number(content, "attempt"))

    def _sum(self, job: AcceptedJob, name: str, turn: int, attempt: int) -> "_Asked":
        """A sum of the job, with what this node has of it. Raises StateError if it is open."""
        with reading(self._tools.engine) as connection:
            values = JobStore(connection).values(job.job_id)
            stored = SumStore(connection).get(job.job_id, name, turn)
        if stored is not None and stored.institutions:
            raise StateError(
                f"sum {name} of round {turn} is opened at {self._tools.institution}, and can't be added again",
                blame=_COORDINATOR,
                remedy="submit the job again; if it persists, compare the institutions' logs of it",
            )
        folder = sum_folder(self._tools, job.job_id)
        policy = sealed.policy_of(job.job_id, job.spec, name, turn)
        return _Asked(job.job_id, policy, SumFiles(folder, name, turn), attempt, values, stored)

    def _require(self, asked: "_Asked") -> Member:
        """This node's state in the attempt that is asked about. Raises StateError."""
        state = asked.member
        if state is None or state.attempt != asked.attempt:
            raise _out_of_turn(asked, "this node has no part in this attempt")
        return state

    def _kept(self, asked: "_Asked", state: Member, say: Mapping[str, object]) -> Answer:
        stored = _stored(asked, state)
        return Answer(Content(config=dict(say)), store=lambda connection: SumStore(connection).put(stored))

    def _log_set(self, event: str, asked: "_Asked", proposal: SetProposal) -> None:
        self._tools.log.append(
            event,
            job=asked.job_id,
            step=asked.name,
            round=asked.turn,
            attempt=asked.attempt,
            institutions=sorted(proposal.uploads),
            digest=proposal.hash().hex(),
        )


@dataclass(frozen=True)
class _Asked:
    """A sum of a job, and what this node keeps for it."""

    job_id: str
    policy: SumPolicy
    files: SumFiles
    attempt: int
    values: Mapping[str, bytes]
    stored: StoredSum | None

    @property
    def name(self) -> str:
        return self.files.name

    @property
    def turn(self) -> int:
        return self.files.turn

    @property
    def epoch(self) -> EpochSecrets:
        return secrets_of(self.values, self.job_id)

    @property
    def secret(self) -> bytes | None:
        """The shared key of the engine "lattice"."""
        return self.epoch.attachment or None

    @property
    def member(self) -> Member | None:
        """Where this node stands in the sum, if it has begun."""
        if self.stored is None:
            return None
        return Member.from_bytes(self.stored.state, self.policy, self.epoch)

    @property
    def totals(self) -> str:
        """What stands for the job's totals so far."""
        return self.values.get(_TOTALS, sealed.NOTHING_BEFORE.encode()).decode()

    @property
    def wire(self) -> Layout:
        """How the sealed vector is cut into frames."""
        return wire_layout(self.policy)


def sum_folder(tools: Tools, job_id: str) -> Path:
    """Where a job keeps the vectors of its sums; removed with its rows when it ends."""
    return tools.settings.folder / "work" / job_id / "sums"


def sums_used(job: AcceptedJob, opened: Sequence[StoredSum]) -> SumsUsed | None:
    """What the receipt says of the job's sums."""
    shapes = job.spec.parameters.sums()
    if not shapes:
        return None
    policy = sealed.policy_of(job.job_id, job.spec, *job.spec.summed()[0])
    widths = " and ".join(str(bits) for bits in sorted({shape.word_bits for shape in shapes.values()}))
    return SumsUsed(
        engine=job.spec.engine,
        parameters=f"{PARAMETERS[job.spec.engine]}; words of {widths} bits",
        institutions=len(policy.roster),
        threshold=policy.threshold,
        colluding=policy.colluding,
        opened=len(opened),
        missing=tuple(
            Missing(sum=f"{stored.name}/{stored.turn}" if stored.turn else stored.name, institutions=left_out)
            for stored in sorted(opened, key=lambda item: job.spec.summed().index((item.name, item.turn)))
            if (left_out := tuple(party for party in policy.roster if party not in stored.institutions))
        ),
    )


def _stored(asked: _Asked, state: Member) -> StoredSum:
    return StoredSum(asked.job_id, asked.name, asked.turn, state.attempt, state.to_bytes())


def _shared(asked: _Asked, rid: str, policy: str) -> tuple[StoredSum, Shared]:
    """R1 of a sum, if the coordinator's terms are this node's own."""
    check_offer(asked.policy, asked.attempt, rid, policy)
    state, message = member.share(asked.policy, asked.attempt, asked.epoch, secrets.token_bytes, asked.member)
    return _stored(asked, state), message


def _terms(content: Content) -> list[tuple[str, str]]:
    """R0 of each sum that is asked about: its rid, and its policy's digest."""
    rids, policies = content.config.get("rids"), content.config.get("policies")
    if not isinstance(rids, list) or not isinstance(policies, list) or len(rids) != len(policies):
        raise _bad_task("the terms of a sealed sum did not come")
    if not 0 < len(rids) <= sealed.TOGETHER:
        raise _bad_task("a task asks about too many sealed sums, or none")
    return list(zip(rids, policies, strict=True))


def _take(asked: _Asked, first: int, frames: object) -> str | None:
    """Keep a batch of frames of the sealed total; the SHA-256 of the whole once the last one is there."""
    layout, path = asked.wire, asked.files.sealed
    if not isinstance(frames, list) or not 0 < len(frames) <= sealed.BATCH or first + len(frames) > layout.frames:
        raise _bad_task("the frames of a total are too many, or none")
    if any(not isinstance(data, bytes) or len(data) != layout.length(first + n) for n, data in enumerate(frames)):
        raise _bad_task("a frame of a total has the wrong length")
    keyfiles.make_folder(path.parent)
    with path.open("r+b" if first else "w+b") as file:
        if file.seek(0, os.SEEK_END) < layout.offset(first):
            raise _bad_task("a frame of a total is missing")
        file.seek(layout.offset(first))
        file.writelines(frames)
        if first + len(frames) < layout.frames:
            return None
        if not first:
            return _digest(frames)
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(frames: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for data in frames:
        digest.update(data)
    return digest.hexdigest()


def _frames_in(path: Path, layout: Layout, first: int) -> list[bytes]:
    last = min(first + sealed.BATCH, layout.frames)
    if first >= last:
        raise _bad_task("frames were asked for that an upload does not have")
    with FileVector.reading(path) as vector:
        return [frame_of(vector, layout, frame).tobytes() for frame in range(first, last)]


def _message(content: Content, kind: type[_M]) -> _M:
    value = content.config.get("message")
    if not isinstance(value, bytes):
        raise _bad_task("a message of a sealed sum did not come")
    try:
        return kind.from_bytes(value)
    except SumError as error:
        raise SumError(error.what, blame=_COORDINATOR, remedy=error.remedy) from error


def _number(content: Content, name: str) -> int:
    value = content.config.get(name)
    if type(value) is not int or value < 0:
        raise _bad_task(f"a task of a sealed sum has no {name}")
    return value


def _text(content: Content, name: str) -> str:
    value = content.config.get(name)
    if not isinstance(value, str):
        raise _bad_task(f"a task of a sealed sum has no {name}")
    return value


def _bad_task(why: str) -> ExchangeError:
    return ExchangeError(
        why, blame=_COORDINATOR, remedy="coordinator and nodes must run compatible versions of Consortia"
    )


def _out_of_turn(asked: _Asked, why: str) -> StateError:
    return StateError(
        f"sum {asked.name} of round {asked.turn}, attempt {asked.attempt}: {why}",
        blame=_COORDINATOR,
        remedy="submit the job again; if it persists, compare the institutions' logs of it",
    )
