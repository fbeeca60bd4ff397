"""The coordinator's side of a job's sealed sums: it carries the parties' messages and adds what it can't read.

The protocol is consortia_crypto.sum.collector; here its messages meet the exchange. What was decided (who is in a
sum, whose signatures certify it) is a memo, from which a restarted coordinator finds the same again in the
journalled answers: whom a sum is over is never decided twice. A power cut may take the newest memos, but of what
was decided none once the certificate is out: what nodes are then asked again they answer as before, and the sum of
the same uploads is added again. First messages are asked for in shares.py; the vectors are in uploads.py.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from consortia_common import sealed
from consortia_coordinator.adding import Adder, Apart, Here, LatticeKey
from consortia_coordinator.attempt import REVEAL, SHARE, SIGN, UPLOAD, Attempt, Waiting
from consortia_coordinator.epochs import Epoch
from consortia_coordinator.errors import PartiesRefusedError, TooFewError
from consortia_coordinator.replies import said
from consortia_coordinator.shares import Shares
from consortia_coordinator.totals import FileTotals, MemoryTotals, Totals
from consortia_coordinator.uploads import Frames, give
from consortia_crypto import canonical
from consortia_crypto.sum import collector
from consortia_crypto.sum.collector import Collector
from consortia_crypto.sum.messages import Message, Revealed, SetSigned, Shared, Uploaded
from consortia_crypto.sum.plans import RemovePlan
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.words import Words
from consortia_proto.v1 import exchange_pb2

if TYPE_CHECKING:
    from consortia_coordinator.jobrun import JobRun

ATTEMPTS = 3
"""How often a sum is tried in which too many parties were lost before any key was revealed."""
_M = TypeVar("_M", bound=Message)


class SumRuns:
    """The sums of one job, in the order of its course."""

    def __init__(self, run: "JobRun") -> None:
        self._run = run
        self._waiting = Waiting(run)
        self._shares = Shares(run.job_id, run.spec, self._waiting)
        self._epoch = Epoch({}, b"")
        self._before = sealed.NOTHING_BEFORE
        self._listed: dict[str, Collector] = {}
        self._last: tuple[str, ...] = run.spec.parties
        self._added: list[str] = []

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

    def follow(self, name: str, turn: int, step: str) -> None:
        """Ask for the first attempt's uploads, behind ``step``, which must have been posted before."""
        attempt = self._about(name, turn, step, 1)
        if self._memo(attempt, "abandoned") is None:
            with self._another_attempt_after(attempt):
                self._list(attempt)

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
        given, totals = self._memo(attempt, "given"), self._totals(attempt, 0)
        if given is None:
            given = self._add(attempt)
            self._keep(attempt, "given", given, lasting=totals.lasting)  # else it is added again from what is kept
        self._forget_before(attempt)
        self._before = sealed.chained(self._before, given["digest"])
        self._last = tuple(given["institutions"])
        totals.remove()

    def _forget_before(self, attempt: Attempt) -> None:
        """Erase the uploads of the sum before: that its total was given outlasts a power cut by now."""
        self._waiting.drop(self._added)
        self._added = [self._waiting.task_id(party, UPLOAD, attempt) for party in self._run.spec.parties]

    def _add(self, attempt: Attempt) -> dict[str, Any]:
        state, totals, added = self._collect(attempt, self._list(attempt))
        state, plan = self._open(attempt, state)
        digest = totals.unmask(plan)
        self._log(attempt, added, digest, totals.layout.size)
        give(self._waiting, attempt, collector.total(state), totals)
        return {"digest": digest, "institutions": list(added)}

    def _list(self, attempt: Attempt) -> Collector:
        """U1: those whose first message came. Each is told of all, and asked for its upload; once."""
        if attempt.key in self._listed:
            return self._listed[attempt.key]
        begun = collector.start(attempt.policy, attempt.number, self._epoch.documents, self._before)
        state = self._heard(attempt, SHARE, self._waiting.left, begun, Shared, collector.shared)
        state, lists = collector.close_sharing(state)
        self._waiting.post(
            UPLOAD, attempt, {party: {"message": message.to_bytes()} for party, message in lists.items()}
        )
        self._listed[attempt.key] = state
        return state

    def _collect(self, attempt: Attempt, state: Collector) -> tuple[Collector, Totals, dict[str, str]]:
        """U2: those whose upload came whole and as they signed it; each is added when it is, with its SHA-256."""
        kept: dict[str, str] = self._memo(attempt, "added") or {}
        totals = self._totals(attempt, len(kept))
        added = kept if totals.lasting else {}
        asked = self._memo(attempt, UPLOAD) or collector.missing(state)
        answers = self._waiting.answers(attempt, UPLOAD, asked)
        frames = Frames(self._waiting, attempt, totals.layout, answers)
        for party, content in answers.items():
            with self._waiting.losing(attempt, UPLOAD, party):
                message = said(content, "message", party, Uploaded)
                if party not in added:
                    digest = totals.receive(party, frames.of(party))
                    collector.uploaded(state, message, digest)
                    totals.add(party)
                    added[party] = digest
                    if totals.lasting:
                        self._keep(attempt, "added", added, lasting=True)  # what went into it is erased now
                        frames.drop(party)
                    totals.settle()
                state = collector.uploaded(state, message, added[party])
        self._waiting.require(attempt, added)
        self._keep(attempt, UPLOAD, sorted(added))
        return state, totals, {party: added[party] for party in self._run.spec.parties if party in added}

    def _open(self, attempt: Attempt, state: Collector) -> tuple[Collector, RemovePlan]:
        """R3 and R4. Once the certificate is out there is no other attempt: whoever has revealed is spent."""
        state, proposal = collector.close_uploading(state)
        members = tuple(proposal.uploads)
        proposed = {"message": proposal.to_bytes()}
        self._waiting.post(SIGN, attempt, dict.fromkeys(members, proposed))
        state = self._heard(attempt, SIGN, members, state, SetSigned, collector.signed)
        state, certificate = collector.close_setting(state)
        certified = {"message": certificate.to_bytes()}
        self._waiting.post(REVEAL, attempt, dict.fromkeys(members, certified))
        try:
            state = self._heard(attempt, REVEAL, members, state, Revealed, collector.revealed)
        except TooFewError as few:
            raise PartiesRefusedError(self._run.causes(few.failures)) from few
        return collector.close_revealing(state)

    def _heard(
        self,
        attempt: Attempt,
        step: str,
        parties: Collection[str],
        state: Collector,
        kind: type[_M],
        take: Callable[[Collector, _M], Collector],
    ) -> Collector:
        """The state after the messages of all who are there; who they are is decided once. Raises TooFewError."""
        answers_of = self._shares.answers if step == SHARE else partial(self._waiting.answers, step=step)
        answers = answers_of(attempt, parties=self._memo(attempt, step) or parties)
        heard = []
        for party, content in answers.items():
            with self._waiting.losing(attempt, step, party):
                state = take(state, said(content, "message", party, kind))
                heard.append(party)
        self._waiting.require(attempt, heard)
        self._keep(attempt, step, sorted(heard), lasting=step == SIGN)  # with all that was decided before it
        return state

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
