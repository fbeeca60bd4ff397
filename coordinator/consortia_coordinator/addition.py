"""One attempt at a sealed sum: from the parties' first messages to the sealed total that each of them gets.

The protocol is consortia_crypto.sum.collector; here its messages meet the exchange. What was decided (who is in the
sum, whose signatures certify it) is a memo, from which a restarted coordinator finds the same again in the
journalled answers: whom a sum is over is never decided twice. A power cut may take the newest memos and answers,
but no memo of whom institutions were told of: what they are then asked again they answer as before, the sum of the
same uploads is added again, and one of them that is away then is not left out in silence.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Generic, TypeVar

from consortia_common import sealed
from consortia_coordinator.adding import Adder, Apart, Here, LatticeKey
from consortia_coordinator.attempt import REVEAL, SHARE, SIGN, UPLOAD, Attempt, Waiting, words_of
from consortia_coordinator.epochs import Epoch
from consortia_coordinator.errors import PartiesRefusedError, TooFewError
from consortia_coordinator.jobtasks import JobTasks
from consortia_coordinator.replies import said
from consortia_coordinator.shares import Shares
from consortia_coordinator.totals import FileTotals, MemoryTotals, Totals
from consortia_coordinator.uploads import Frames, give
from consortia_crypto import canonical
from consortia_crypto.sum import collector
from consortia_crypto.sum.collector import Collector
from consortia_crypto.sum.messages import Lists, Message, Revealed, SetSigned, Shared, Uploaded
from consortia_crypto.sum.plans import RemovePlan
from consortia_crypto.sum.words import Words

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
class Given:
    """A sum that is added: ``words`` ride with the next step, and once they are sent ``memo`` is kept."""

    addition: "Addition"
    memo: Mapping[str, Any]
    totals: Totals
    words: Mapping[str, Any]


class Addition:
    """One attempt of a job; ``before`` stands for the totals before it."""

    def __init__(
        self, run: JobTasks, waiting: Waiting, shares: Shares, epoch: Epoch, attempt: Attempt, before: str
    ) -> None:
        self.attempt = attempt
        self._run = run
        self._waiting = waiting
        self._shares = shares
        self._epoch = epoch
        self._before = before

    def add(self) -> Given:
        """R1 to R4, and of R5 all but what rides. Raises TooFewError while another attempt may be made, and else
        PartiesRefusedError."""
        begun, lists = self.listed
        if self.attempt.number > 1:
            said = {party: {"message": message.to_bytes()} for party, message in lists.items()}
            self._waiting.post(UPLOAD, self.attempt, said)
        state, totals, added = self._collect(begun)
        state, plan = self._open(state)
        digest = totals.unmask(plan)
        self._log(added, digest, totals.layout.size)
        last = give(self._waiting, self.attempt, collector.total(state), totals)
        words = words_of(self.attempt, round=self.attempt.turn, **last)
        memo = {"digest": digest, "institutions": list(added)}
        return Given(self, memo, totals, sealed.riding(sealed.BEFORE, words))

    @cached_property
    def listed(self) -> tuple[Collector, Mapping[str, Lists]]:
        """U1: those whose first message came; each is to be told of all. Decided once. Raises TooFewError."""
        begun = collector.start(self.attempt.policy, self.attempt.number, self._epoch.documents, self._before)
        state = self._heard(_SHARED, self._waiting.left, begun, collector.shared)
        return collector.close_sharing(state)

    def memo(self, what: str) -> Any:
        """What was kept of this attempt; None if nothing was."""
        kept = self._run.memos.get(f"{self.attempt.key}/{what}")
        return None if kept is None else canonical.decode(kept)

    def keep(self, what: str, value: Any, *, lasting: bool) -> None:
        """Keep it for a rerun; unless it is ``lasting`` a power cut may take it."""
        self._run.memos.keep(f"{self.attempt.key}/{what}", canonical.encode(value), lasting=lasting)

    def totals(self, added: int) -> Totals:
        """The total in which so many uploads are."""
        words = Words(self.attempt.policy) if self.attempt.policy.engine == "masked" else None
        if words is not None and words.wire.frames <= sealed.BATCH:
            return MemoryTotals(words)
        adder = Here(words) if words is not None else self._apart
        return FileTotals(self._run.tools.sums / self._run.job_id / self.attempt.key, adder, added)

    def _collect(self, state: Collector) -> tuple[Collector, Totals, dict[str, str]]:
        """U2: those whose upload came whole and as they signed it; each is added when it is, with its SHA-256."""
        kept: dict[str, str] = self.memo("added") or {}
        totals = self.totals(len(kept))
        added = kept if totals.lasting else {}
        decided = self.memo(UPLOAD)
        wanted, need = self._wanted(UPLOAD, collector.missing(state), told=True)
        answers = self._waiting.uploads(self.attempt, wanted, need)
        frames = Frames(self._waiting, self.attempt, totals.layout, answers)
        for party, content in answers.items():
            with self._waiting.losing(self.attempt, UPLOAD, party):
                message = said(content, "message", party, Uploaded)
                if party not in added:
                    digest = totals.receive(party, frames.of(party), frames.digest(party))
                    collector.uploaded(state, message, digest)
                    totals.add(party)
                    added[party] = digest
                    if totals.lasting:
                        self.keep("added", added, lasting=True)  # what went into it is erased now
                        frames.drop(party)
                    totals.settle()
                state = collector.uploaded(state, message, added[party])
        with self._no_other_attempt() if decided else nullcontext():
            self._waiting.require(self.attempt, added, need)
        self.keep(UPLOAD, sorted(added), lasting=True)  # with all that was decided before it
        return state, totals, {party: added[party] for party in self._run.spec.parties if party in added}

    def _open(self, state: Collector) -> tuple[Collector, RemovePlan]:
        """R3 and R4, in one task if nobody is missing."""
        state, proposal = collector.close_uploading(state)
        members, whole = tuple(proposal.uploads), collector.is_whole(state)
        proposed = {"message": proposal.to_bytes()}
        self._waiting.post(SIGN, self.attempt, dict.fromkeys(members, proposed))
        with self._no_other_attempt() if whole else nullcontext():
            state = self._heard(_SIGNED, members, state, collector.signed)
        state, certificate = collector.close_setting(state)
        if not whole:
            certified = {"message": certificate.to_bytes()}
            self._waiting.post(REVEAL, self.attempt, dict.fromkeys(members, certified))
        asked, signers = _REVEALED_AT_ONCE if whole else _REVEALED, collector.missing(state)
        with self._no_other_attempt():
            state = self._heard(asked, signers, state, collector.revealed)
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
        asked: _Asked[_M],
        parties: Collection[str],
        state: Collector,
        take: Callable[[Collector, _M], Collector],
    ) -> Collector:
        """The state after the messages of all who are there; who they are is decided once. Raises TooFewError."""
        answers_of = self._shares.answers if asked is _SHARED else partial(self._waiting.answers, step=asked.step)
        wanted, need = self._wanted(asked.memo, parties, told=asked.told)
        answers, heard = answers_of(self.attempt, parties=wanted, need=need), []
        for party, content in answers.items():
            with self._waiting.losing(self.attempt, asked.step, party):
                state = take(state, said(content, asked.field, party, asked.kind))
                heard.append(party)
        self._waiting.require(self.attempt, heard, need)
        self.keep(asked.memo, sorted(heard), lasting=asked.told)
        return state

    def _wanted(self, memo: str, parties: Collection[str], *, told: bool) -> tuple[Collection[str], int]:
        """Whose messages are waited for, and how many must come: all, if who they are was decided and institutions
        were told. If a power cut took what had come of one, and it is late now, it takes another attempt."""
        decided = self.memo(memo)
        return decided or parties, len(decided) if decided and told else self.attempt.policy.threshold

    def _log(self, added: Mapping[str, str], digest: str, size: int) -> None:
        """Once for each sum: whose uploads are in it, and who dropped out."""
        about: dict[str, Any] = {"round": self.attempt.turn, "step": self.attempt.name}
        for party in self.attempt.policy.roster:
            if party not in added:
                reason = self._waiting.reason(self.attempt, party)
                self._run.log_once(
                    f"{self.attempt.key}/dropped/{party}", "sum.dropped", **about, institution=party, reason=reason
                )
        self._run.log_once(
            f"{self.attempt.key}/logged",
            "sum.added",
            **about,
            institutions=list(added),
            parts=list(added.values()),
            digest=digest,
            bytes=size,
        )

    @property
    def _apart(self) -> Adder:
        key = LatticeKey(self._run.job_id, self._epoch.context, self._run.spec.parties[0])
        return Apart(self._run.tools.workers, self.attempt.policy, key)
