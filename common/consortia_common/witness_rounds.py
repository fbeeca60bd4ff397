"""Has this party's own checkpoints cosigned, and lets nothing be released before they are.

    release = append, then ``witnessed(entry)``, then do it

One thread asks all witnesses of the policy at once for the newest checkpoint, so one round serves all who wait and
all entries that there are by then. What has the quorum is put into log/cosigned/ before anybody goes on. Trusted
for: ``witnessed`` returns only when a checkpoint that covers the entry, with the quorum of the policy in force,
is on disk, and while there is no unacknowledged contradiction here. If a witness shows that this log has lost
entries, nothing is released any more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from statistics import median_low
from threading import Condition, Thread
from typing import NoReturn

from consortia_common import logs
from consortia_common.audit_log import AuditLog
from consortia_common.errors import WitnessError
from consortia_common.witness_alarms import Alarms
from consortia_common.witness_answers import Lost
from consortia_common.witness_policy import PolicyFile, for_log
from consortia_common.witness_round import Ask, Result, Round
from consortia_crypto.audit.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from consortia_crypto.audit.entry import Entry
from consortia_crypto.audit.policy import NO_QUORUM, Policy
from consortia_crypto.errors import ConsortiaError, TileError

AGAIN_SECONDS = 0.25
"""After a round without a quorum, the next one is tried so much later while somebody waits."""
OVERTAKEN_SECONDS = 0.02
"""The same after one that the log overtook, so that its tiles were replaced."""
FUTURE_SECONDS = 300
"""So far a witness's clock may be ahead of this one, and of the clocks of the witnesses in the middle."""
MAX_SEEN = 64


@dataclass(frozen=True)
class Means:
    """What rounds work with. ``stopping``: what is raised to whoever waits when the process stops."""

    log: AuditLog
    policy: PolicyFile
    alarms: Alarms
    ask: Ask
    seen: Callable[[int], list[bytes]]
    seconds: float
    clock: Callable[[], datetime]
    stopping: Callable[[], ConsortiaError]
    lost: Callable[[], object] = bool
    """Told, in the thread of the rounds, when a witness has shown that this log has lost entries."""


@dataclass
class _State:
    """What is known by now; guarded by the condition."""

    best: Checkpoint | None = None
    """The newest checkpoint that had the quorum."""
    under: Policy | None = None
    """The policy that it had it under."""
    lost: str = ""
    cause: str = "no witness has been asked yet"
    waiting: int = 0
    due: bool = True
    closed: bool = False


class Rounds:
    """``witnessed`` may be called from any thread. ``start`` begins the rounds; ``close`` ends them."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._state = _State()
        self._changed = Condition()
        self._known: dict[tuple[str, str], int] = {}
        self._thread = Thread(target=self._run, name="witness-rounds", daemon=True)

    def start(self) -> None:
        """Ask for each new checkpoint from now on."""
        self._means.log.on_checkpoint(lambda _: self.ask_soon())
        self._thread.start()

    def close(self) -> None:
        """Let go of whoever waits, and end."""
        with self._changed:
            self._state.closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def witnessed(self, entry: Entry) -> None:
        """Return when the quorum has cosigned a checkpoint that covers ``entry``. Raises WitnessError."""
        self._means.alarms.check()
        policy = self._means.policy.read()
        if policy.quorum == NO_QUORUM:
            return
        wanted = self._means.log.checkpointed(entry).checkpoint
        state = self._state
        with self._changed:
            state.waiting += 1
            if not self._covers(wanted, policy):
                state.due = True
                self._changed.notify_all()
            self._changed.wait_for(
                lambda: state.closed or state.lost or self._covers(wanted, policy), self._means.seconds
            )
            state.waiting -= 1
            if not self._covers(wanted, policy) or state.lost:
                self._refuse()
        self._means.alarms.check()

    def compare_at_start(self) -> None:
        """Ask the witnesses what they saw of this log, before it goes on.

        Raises WitnessError if it has lost entries. Nothing is released while nobody could be asked.
        """
        try:
            self._round()
        except ConsortiaError as error:
            self._failed(error)
        self.require_whole()

    def require_whole(self) -> None:
        """Return if no witness has shown that this log lost entries. Raises WitnessError."""
        if self._state.lost:
            raise _restored(self._state.lost)

    def ask_soon(self) -> None:
        """Begin a round, because there is a new checkpoint or another witness."""
        with self._changed:
            self._state.due = True
            self._changed.notify_all()

    def _run(self) -> None:
        while self._next():
            try:
                self._round()
            except Exception as error:  # whatever went wrong, whoever waits is told in the end
                self._failed(error)

    def _next(self) -> bool:
        """Wait until a round is due; False at the end."""
        state = self._state
        with self._changed:
            self._changed.wait_for(lambda: state.closed or state.due)
            state.due = False
            return not state.closed

    def _round(self) -> None:
        """Ask all witnesses for the newest checkpoint, and keep it if it has the quorum."""
        means = self._means
        asked = Round.of(means.log, means.policy.read())
        result = asked.run(means.ask, self._known, [] if self._state.waiting else means.seen(MAX_SEEN))
        if result.lost is not None:
            self._losing(asked, *result.lost)
        else:
            self._conclude(asked, result)

    def _conclude(self, asked: Round, result: Result) -> None:
        signed = open_checkpoint(result.note.raw, asked.policy.keys)
        judgement = asked.policy.weigh(signed, latest_of(signed, int(self._means.clock().timestamp())))
        if judgement.satisfied and self._means.log.keep_cosigned(result.note, asked.origin):
            with self._changed:
                self._state.best, self._state.under = asked.signed.checkpoint, asked.policy
                self._changed.notify_all()
            return
        told = "; ".join(f"{name}: {why}" for name, why in result.lacking.items())
        self._lacking(told or judgement.cause or "the year of the log has just changed")

    def _lacking(self, cause: str, again: float = AGAIN_SECONDS) -> None:
        """Remember why there was no quorum, and try again soon if somebody waits."""
        with self._changed:
            self._state.cause = cause
            self._changed.wait_for(lambda: self._state.closed, again if self._state.waiting else 0)
            self._state.due = self._state.due or self._state.waiting > 0

    def _failed(self, error: BaseException) -> None:
        """A round that could not be had. That the log has gone on meanwhile is no reason to wait long."""
        if isinstance(error, TileError | OSError):
            self._lacking("the log has gone on, or its tiles can't be read", OVERTAKEN_SECONDS)
            return
        if not isinstance(error, ConsortiaError):
            logs.failure("witness.failed", error)
        self._lacking(error.what if isinstance(error, ConsortiaError) else "a round failed unexpectedly")

    def _losing(self, asked: Round, name: str, lost: Lost) -> None:
        cause = (
            f"{name} cosigned {lost.size} entries of {asked.origin}, which are not in this log; it has "
            f"{self._means.log.size}"
        )
        logs.warning("log.restored", reason=cause, peer=name)
        with self._changed:
            self._state.lost = cause
            self._changed.notify_all()
        self._means.lost()

    def _covers(self, wanted: Checkpoint, policy: Policy) -> bool:
        best, under = self._state.best, self._state.under
        return (
            best is not None
            and under is not None
            and best.origin == wanted.origin
            and best.size >= wanted.size
            and for_log(policy, ()) == for_log(under, ())
        )

    def _refuse(self) -> NoReturn:
        if self._state.closed:
            raise self._means.stopping()
        if self._state.lost:
            raise _restored(self._state.lost)
        raise WitnessError(
            f"nothing was released: the log's checkpoint was not cosigned by the quorum in "
            f"{self._means.seconds:g} s ({self._state.cause})",
            blame="the witnesses that are named, or the network between",
            remedy="see that their nodes run and know this institution's fingerprint, and that all clocks agree",
        )


def latest_of(signed: SignedCheckpoint, now: int) -> int:
    """PURE: the last moment (seconds since 1970) that a cosignature may name; readers count no later ones.

    The present is what this clock says, ``now``, or the middle one of the witnesses' times if that is later. So a
    clock here that is behind keeps nothing back, and few witnesses that are ahead do not count.
    """
    times = {item.key.name: item.timestamp for item in signed.cosigned if item.timestamp}
    return max(now, median_low(times.values() or [now])) + FUTURE_SECONDS


def _restored(cause: str) -> WitnessError:
    return WitnessError(
        f"this log was put back from an old copy: {cause}",
        blame="whoever restored it, or this machine's disk",
        remedy="put the newest copy of the log in its place. If that is lost, see “A log that lost entries” in "
        "docs/audit-log.md",
    )
