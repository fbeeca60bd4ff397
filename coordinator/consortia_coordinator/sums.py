"""The coordinator's side of a job's sealed sums: it carries the parties' messages and adds what it can't read.

The protocol is consortia_crypto.sum.collector; here its messages meet the exchange. What was decided (who is in a
sum, whose signatures certify it) is a memo, from which a restarted coordinator finds the same again in the
journalled answers: whom a sum is over is never decided twice. A power cut may take the newest memos and answers,
but no memo of whom institutions were told of: what they are then asked again they answer as before, the sum of the
same uploads is added again, and one of them that is away then is not left out in silence. A total rides with the step that comes next, the lists of a sum with the step that
makes its summand. First messages are asked for in shares.py; the vectors are in uploads.py.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from consortia_common import sealed
from consortia_common.content import Content
from consortia_common.documents.kinds import Turn
from consortia_coordinator.adding import Adder, Apart, Here, LatticeKey
from consortia_coordinator.attempt import REVEAL, SHARE, SIGN, UPLOAD, Attempt, Waiting, words_of
from consortia_coordinator.epochs import Epoch
from consortia_coordinator.errors import CoordinatorError, PartiesRefusedError, TooFewError
from consortia_coordinator.replies import said
from consortia_coordinator.shares import Shares
from consortia_coordinator.totals import FileTotals, MemoryTotals, Totals
from consortia_coordinator.uploads import Frames, give
from consortia_crypto import canonical
from consortia_crypto.sum import collector
from consortia_crypto.sum.collector import Collector
from consortia_crypto.sum.messages import Lists, Message, Revealed, SetSigned, Shared, Uploaded
from consortia_crypto.sum.plans import RemovePlan
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.words import Words
from consortia_proto.v1 import exchange_pb2

if TYPE_CHECKING:
    from consortia_coordinator.jobrun import JobRun

ATTEMPTS = 3
"""How often a sum is tried in which too many parties were lost before any key was revealed."""
_M = TypeVar("_M", bound=Message)


@dataclass(frozen=True)
class _Asked(Generic[_M]):
    """A message of each institution: the step that asks for it, and under which name it stands in the answer."""

    kind: type[_M]
    step: str
    field: str = "message"
    told: bool = False
    """Whether institutions are told of whom it came, so that it must be of the same ones after a power cut."""

    @property
    def memo(self) -> str:
        """Of whom it came."""
        return self.kind.__name__.lower()


_SHARED = _Asked(Shared, SHARE, told=True)
_SIGNED, _REVEALED = _Asked(SetSigned, SIGN), _Asked(Revealed, REVEAL)
_REVEALED_AT_ONCE = _Asked(Revealed, SIGN, "revealed")


@dataclass(frozen=True)
class _Given:
    """A sum that is added: ``words`` ride with the next step, and once they are sent ``memo`` is kept."""

    attempt: Attempt
    memo: Mapping[str, Any]
    totals: Totals
    words: Mapping[str, Any]


class SumRuns:
    """The sums of one job, in the order of its course."""

    def __init__(self, run: "JobRun") -> None:
        self._run = run
        self._waiting = Waiting(run)
        self._shares = Shares(run.job_id, run.spec, self._waiting)
        self._epoch = Epoch({}, b"")
        self._before = sealed.NOTHING_BEFORE
        self._listed: dict[str, tuple[Collector, Mapping[str, Lists]]] = {}
        self._given: _Given | None = None
        self._last: tuple[str, ...] = run.spec.parties
        self._added: list[str] = []
        turns = run.spec.parameters.turns(run.spec.parties[0]) if run.spec.parameters.sums() else ()
        self._gives = {turn: turn.gives for turn in turns if turn.gives}

    def begin(self, epoch: Epoch) -> None:
        """Keep what is known of the parties' keys."""
        self._epoch = epoch

    @property
    def present(self) -> tuple[str, ...]:
        """The parties whose uploads were in the last sum, and whose job has not ended since."""
        return tuple(party for party in self._last if party in self._waiting.left)

    def lose(self, failures: Mapping[str, exchange_pb2.Failure]) -> None:
        """These parties have dropped out of the job."""
        self._waiting.lose(failures)

    def share(self, name: str, turn: int, number: int = 1) -> None:
        """Ask every party for its first message (R1); may be done long before its summand is ready."""
        self._shares.ask(self._about(name, turn, "", number))

    def loaded(self, step: str, turn: int, asked: Mapping[str, Content]) -> Mapping[str, Content]:
        """The requests of a step with what rides with them: the total before it, the lists of the sum behind it."""
        lists = self._lists(Turn(step, turn))
        if not lists and not self._given:
            return asked
        before = self._given.words if self._given else {}
        return {
            party: replace(content, config={**content.config, **before, **lists.get(party, {})})
            for party, content in asked.items()
        }

    def require_given(self) -> None:
        """Return if every total is on its way. Raises CoordinatorError if no step came behind the last sum."""
        if self._given:
            raise CoordinatorError(
                f"the total of {self._given.attempt.name} was given to nobody: no step of the kind came behind it",
                blame=f"the job kind {self._run.spec.kind}",
                remedy="have the kind conclude behind its last sum",
            )

    def sent(self) -> None:
        """What was loaded is journalled."""
        if self._given:
            self._settle(self._given.attempt, self._given.memo, self._given.totals)
            self._given = None

    def _lists(self, turn: Turn) -> dict[str, dict[str, Any]]:
        """U1 of the sum for which a step makes the summand, by party; none if that is for a later attempt."""
        name = self._gives.get(turn)
        if name is None:
            return {}
        attempt = self._about(name, turn.round, turn.step, 1)
        if self._memo(attempt, "abandoned") is None:
            with self._another_attempt_after(attempt):
                _, lists = self._list(attempt)
                said = {party: words_of(attempt, message=message.to_bytes()) for party, message in lists.items()}
                return {party: sealed.riding(sealed.BEHIND, words) for party, words in said.items()}
        return {}

    def aggregate(self, name: str, turn: int, step: str) -> None:
        """Add the uploads and give every party the sealed total. Raises PartiesRefusedError if too few are left."""
        for number in range(1, ATTEMPTS + 1):
            attempt = self._about(name, turn, step, number)
            if number > 1:
                self.share(name, turn, number)
            if self._memo(attempt, "abandoned") is not None:
                continue
            with self._another_attempt_after(attempt):
                self._take(attempt)
                return

    @contextmanager
    def _another_attempt_after(self, attempt: Attempt) -> Iterator[None]:
        """Give the attempt up if too few parties are left in it. Raises PartiesRefusedError if it was the last."""
        try:
            yield
        except TooFewError as few:
            self._keep(attempt, "abandoned", sorted(few.failures))
            if attempt.number == ATTEMPTS or len(self._waiting.left) < attempt.policy.threshold:
                raise PartiesRefusedError(self._run.causes(few.failures)) from few

    def _take(self, attempt: Attempt) -> None:
        """R1 to R5, or what came of them before a restart. Raises TooFewError while another attempt may be made."""
        totals = self._totals(attempt, 0)
        given = self._memo(attempt, "given")
        if given is None:
            self._given = self._add(attempt)
            given = self._given.memo
        else:
            self._forget(attempt, totals)
        self._before = sealed.chained(self._before, given["digest"])
        self._last = tuple(given["institutions"])

    def _settle(self, attempt: Attempt, given: Mapping[str, Any], totals: Totals) -> None:
        """Keep that the total is on its way; a power cut may take that if the sum can be added again."""
        self._keep(attempt, "given", given, lasting=totals.lasting)
        self._forget(attempt, totals)

    def _forget(self, attempt: Attempt, totals: Totals) -> None:
        """Erase the total here, and the uploads of the sum before, whose total outlasts a power cut by now."""
        self._waiting.drop(self._added)
        self._added = [self._waiting.upload_id(party, attempt) for party in self._run.spec.parties]
        totals.remove()

    def _add(self, attempt: Attempt) -> "_Given":
        begun, lists = self._list(attempt)
        if attempt.number > 1:
            said = {party: {"message": message.to_bytes()} for party, message in lists.items()}
            self._waiting.post(UPLOAD, attempt, said)
        state, totals, added = self._collect(attempt, begun)
        state, plan = self._open(attempt, state)
        digest = totals.unmask(plan)
        self._log(attempt, added, digest, totals.layout.size)
        last = give(self._waiting, attempt, collector.total(state), totals)
        words = words_of(attempt, round=attempt.turn, **last)
        memo = {"digest": digest, "institutions": list(added)}
        return _Given(attempt, memo, totals, sealed.riding(sealed.BEFORE, words))

    def _list(self, attempt: Attempt) -> tuple[Collector, Mapping[str, Lists]]:
        """U1: those whose first message came; each of them is to be told of all. Decided once."""
        if attempt.key not in self._listed:
            begun = collector.start(attempt.policy, attempt.number, self._epoch.documents, self._before)
            state = self._heard(attempt, _SHARED, self._waiting.left, begun, collector.shared)
            self._listed[attempt.key] = collector.close_sharing(state)
        return self._listed[attempt.key]

    def _collect(self, attempt: Attempt, state: Collector) -> tuple[Collector, Totals, dict[str, str]]:
        """U2: those whose upload came whole and as they signed it; each is added when it is, with its SHA-256."""
        kept: dict[str, str] = self._memo(attempt, "added") or {}
        totals = self._totals(attempt, len(kept))
        added = kept if totals.lasting else {}
        decided = self._memo(attempt, UPLOAD)
        wanted, need = self._wanted(attempt, UPLOAD, collector.missing(state), told=True)
        answers = self._waiting.uploads(attempt, wanted, need)
        frames = Frames(self._waiting, attempt, totals.layout, answers)
        for party, content in answers.items():
            with self._waiting.losing(attempt, UPLOAD, party):
                message = said(content, "message", party, Uploaded)
                if party not in added:
                    digest = totals.receive(party, frames.of(party), frames.digest(party))
                    collector.uploaded(state, message, digest)
                    totals.add(party)
                    added[party] = digest
                    if totals.lasting:
                        self._keep(attempt, "added", added, lasting=True)  # what went into it is erased now
                        frames.drop(party)
                    totals.settle()
                state = collector.uploaded(state, message, added[party])
        with self._no_other_attempt() if decided else nullcontext():
            self._waiting.require(attempt, added, need)
        self._keep(attempt, UPLOAD, sorted(added), lasting=True)  # with all that was decided before it
        return state, totals, {party: added[party] for party in self._run.spec.parties if party in added}

    def _open(self, attempt: Attempt, state: Collector) -> tuple[Collector, RemovePlan]:
        """R3 and R4, in one task if nobody is missing."""
        state, proposal = collector.close_uploading(state)
        members, whole = tuple(proposal.uploads), collector.is_whole(state)
        proposed = {"message": proposal.to_bytes()}
        self._waiting.post(SIGN, attempt, dict.fromkeys(members, proposed))
        with self._no_other_attempt() if whole else nullcontext():
            state = self._heard(attempt, _SIGNED, members, state, collector.signed)
        state, certificate = collector.close_setting(state)
        if not whole:
            certified = {"message": certificate.to_bytes()}
            self._waiting.post(REVEAL, attempt, dict.fromkeys(members, certified))
        asked, signers = _REVEALED_AT_ONCE if whole else _REVEALED, collector.missing(state)
        with self._no_other_attempt():
            state = self._heard(attempt, asked, signers, state, collector.revealed)
        return collector.close_revealing(state)

    @contextmanager
    def _no_other_attempt(self) -> Iterator[None]:
        """Whoever may have revealed is spent: with too few left the job is over. Raises PartiesRefusedError."""
        try:
            yield
        except TooFewError as few:
            raise PartiesRefusedError(self._run.causes(few.failures)) from few

    def _heard(
        self,
        attempt: Attempt,
        asked: _Asked[_M],
        parties: Collection[str],
        state: Collector,
        take: Callable[[Collector, _M], Collector],
    ) -> Collector:
        """The state after the messages of all who are there; who they are is decided once. Raises TooFewError."""
        answers_of = self._shares.answers if asked is _SHARED else partial(self._waiting.answers, step=asked.step)
        wanted, need = self._wanted(attempt, asked.memo, parties, told=asked.told)
        answers, heard = answers_of(attempt, parties=wanted, need=need), []
        for party, content in answers.items():
            with self._waiting.losing(attempt, asked.step, party):
                state = take(state, said(content, asked.field, party, asked.kind))
                heard.append(party)
        self._waiting.require(attempt, heard, need)
        self._keep(attempt, asked.memo, sorted(heard), lasting=asked.told)
        return state

    def _wanted(
        self, attempt: Attempt, memo: str, parties: Collection[str], *, told: bool
    ) -> tuple[Collection[str], int]:
        """Whose messages are waited for, and how many must come: all, if who they are was decided and institutions
        were told. If a power cut took what had come of one, and it is late now, it takes another attempt."""
        decided = self._memo(attempt, memo)
        return decided or parties, len(decided) if decided and told else attempt.policy.threshold

    def _log(self, attempt: Attempt, added: Mapping[str, str], digest: str, size: int) -> None:
        """Once for each sum: whose uploads are in it, and who dropped out."""
        about: dict[str, Any] = {"round": attempt.turn, "step": attempt.name}
        for party in attempt.policy.roster:
            if party not in added:
                reason = self._waiting.reason(attempt, party)
                self._run.log_once(
                    f"{attempt.key}/dropped/{party}", "sum.dropped", **about, institution=party, reason=reason
                )
        self._run.log_once(
            f"{attempt.key}/logged",
            "sum.added",
            **about,
            institutions=list(added),
            parts=list(added.values()),
            digest=digest,
            bytes=size,
        )

    def _about(self, name: str, turn: int, step: str, number: int) -> Attempt:
        return Attempt(name, turn, step, number, sealed.policy_of(self._run.job_id, self._run.spec, name, turn))

    def _totals(self, attempt: Attempt, added: int) -> Totals:
        words = Words(attempt.policy) if attempt.policy.engine == "masked" else None
        if words is not None and words.wire.frames <= sealed.BATCH:
            return MemoryTotals(words)
        adder = Here(words) if words is not None else self._apart(attempt.policy)
        return FileTotals(self._run.tools.sums / self._run.job_id / attempt.key, adder, added)

    def _apart(self, policy: SumPolicy) -> Adder:
        key = LatticeKey(self._run.job_id, self._epoch.context, self._run.spec.parties[0])
        return Apart(self._run.tools.workers, policy, key)

    def _memo(self, attempt: Attempt, what: str) -> Any:
        kept = self._run.memos.get(f"{attempt.key}/{what}")
        return None if kept is None else canonical.decode(kept)

    def _keep(self, attempt: Attempt, what: str, value: Any, *, lasting: bool = False) -> None:
        self._run.memos.keep(f"{attempt.key}/{what}", canonical.encode(value), lasting=lasting)
