"""Between jobs, which run in threads and wait, and the exchange, which runs in an event loop and must not.

Trusted for: a task is on disk before ``post`` returns, a reply before it is acknowledged; a reply counts only if
the institution whose certificate brought it is the one that was asked, and only the first one counts. A task whose
node answers with something that is no reply to it is answered with a Failure, so that its job ends with a reason
instead of waiting for ever.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path

from google.protobuf.message import DecodeError
from sqlalchemy import Engine

from consortia_common.content import Beside, Body, Bytes
from consortia_common.contents import Held, Message, in_memory
from consortia_common.errors import ExchangeError
from consortia_common.inbox import Inbox
from consortia_common.stream import MESSAGE_LIMIT, check_size, refusal
from consortia_coordinator.errors import StoppingError
from consortia_coordinator.store.tasks import ANSWERED, FAILED, Entry, Posted, TaskJournal
from consortia_proto.v1 import exchange_pb2 as pb

Wake = Callable[[], None]
_NONE: Mapping[str, int] = {}
Post = tuple[pb.Task, str, Beside | None]
"""A task, for which institution, and the body to which spans in it point, if it has one; neighbours share it."""


class Mailbox:
    """Tasks out, replies in. Every method may be called from any thread.

    ``folder`` is where long contents are; ``clock`` counts seconds for timeouts and never goes back.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        limit: int = MESSAGE_LIMIT,
    ) -> None:
        self._journal = TaskJournal(engine, folder)
        self._clock = clock
        self._limit = limit
        self._changed = threading.Condition()
        self._closed = False
        self._listeners: dict[str, list[Wake]] = {}
        self._waiting: list[dict[str, str]] = []
        """What each wait has been told of, by task."""

    def resume(self) -> None:
        """At start: have everything sent again that has no answer; a power cut may have taken the answer."""
        self._journal.mend()
        self._journal.sweep()
        self._journal.requeue()

    def repeat(self, institution: str) -> None:
        """Have everything sent to ``institution`` again that it has not answered: its node was started anew."""
        self._journal.requeue(institution)

    def post(self, posts: Iterable[Post]) -> None:
        """Queue tasks for institutions, in one transaction; of one whose id is there already, the first stands.

        Raises ExchangeError, queueing none, if one is too large to travel.
        """
        made = []
        for body, sharing in groupby(posts, key=lambda post: post[2]):
            tasks = [(task, institution) for task, institution, _ in sharing]
            held = self._held([task for task, _ in tasks], body)
            made += [
                Posted(task.task_id, task.job_id, institution, content)
                for (task, institution), content in zip(tasks, held, strict=True)
            ]
        added = self._journal.add(made) if made else []
        for institution in dict.fromkeys(post.institution for post in added):
            for wake in self._woken(institution):
                wake()

    def inbox(self, institution: str) -> Inbox:
        """What comes from ``institution`` on a new stream; a stream before it brings nothing any more."""
        return self._journal.inbox(institution)

    def replies(
        self,
        task_ids: Iterable[str],
        timeout: float | None,
        stop: Callable[[], bool] = lambda: False,
        *,
        every: bool = False,
    ) -> dict[str, pb.Reply]:
        """As ``answers``, without what follows the replies."""
        answers = self.answers(task_ids, timeout, stop, every=every)
        return {task_id: reply for task_id, (reply, _) in answers.items()}

    def answers(
        self, task_ids: Iterable[str], timeout: float | None, stop: Callable[[], bool], *, every: bool
    ) -> dict[str, tuple[pb.Reply, Body]]:
        """The replies to these tasks and their bodies; waits until all are there or ``timeout`` seconds are over.

        One failure ends the wait too, unless ``every`` reply is wanted. One that was erased is empty.

        ``stop`` is asked when an answer may end a wait or ``wake`` was called: if it says true, or if the mailbox
        is closed, the wait ends with StoppingError.
        """
        wanted = tuple(dict.fromkeys(task_ids))
        there = self._await(wanted, None if timeout is None else self._clock() + timeout, stop, every)
        found = self._journal.replies(there) if there else {}
        return {task_id: (_parsed(found.get(task_id)), found.get(task_id) or Bytes()) for task_id in there}

    def first_failure(self, job_id: str, institution: str) -> pb.Reply | None:
        """With what ``institution`` gave up the job; None if it has not."""
        found = self._journal.first_failure(job_id, institution)
        return _parsed(found) if found else None

    def notices(self, job_id: str) -> int:
        """How many statements about the job have been queued for nodes."""
        return self._journal.notices(job_id)

    def erase(self, job_id: str) -> None:
        """Erase what the messages of a job that has ended held."""
        self._journal.erase(job_id)

    def drop(self, task_ids: Iterable[str]) -> None:
        """Erase what these answered tasks and their replies held, because nobody will ask for it again."""
        self._journal.empty(tuple(task_ids))

    def wait_for(self, done: Callable[[], bool], seconds: float) -> bool:
        """Whether ``done`` became true in so many seconds; asked after each ``wake``. Raises StoppingError."""
        deadline = self._clock() + seconds
        with self._changed:
            while not done():
                if self._closed:
                    raise _stopped()
                left = deadline - self._clock()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return True

    def wake(self) -> None:
        """Have everybody who waits ask again whether to stop."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End every wait, now and later, with StoppingError. What is journalled stays."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def listen(self, institution: str, wake: Wake) -> Callable[[], None]:
        """Call ``wake`` after each new task for ``institution``, until the function returned is called."""
        with self._changed:
            self._listeners.setdefault(institution, []).append(wake)
        return partial(self._unlisten, institution, wake)

    def outgoing(
        self, institution: str, under_way: Collection[str] = (), busy: Collection[str] = ()
    ) -> Message | None:
        """The oldest task that ``institution`` has not acknowledged, but for those ids and for ``busy`` jobs."""
        return self._journal.first_queued(institution, under_way, busy)

    def waiting(self, institution: str) -> int:
        """How many tasks ``institution`` has not answered."""
        return self._journal.waiting(institution)

    def delivered(self, institution: str, sizes: Mapping[str, int]) -> None:
        """The node of ``institution`` has stored these tasks, so long as they were sent."""
        self._journal.deliver(institution, sizes)

    def receive(self, institution: str, message: Message, delivered: Mapping[str, int] = _NONE) -> None:
        """Store what ``institution`` answers to a task, and that it has those ``delivered``.

        An answer after the first changes nothing.

        Raises ExchangeError for an answer to a task that this institution was never given, and, when the answer
        is no reply to its task, after a Failure has been stored in its place.
        """
        task_id, content = message.message_id, message.content
        entry = self._journal.find(task_id)
        if entry is None or entry.institution != institution:
            self._journal.deliver(institution, delivered)
            self._journal.contents.discard(content)
            raise refusal("it answers a task that it was not given", institution)
        try:
            outcome = _check_reply(content.head(), entry)
        except ExchangeError as error:
            self._journal.contents.discard(content)
            failure = pb.Failure(code="failed", what=error.what, blame=error.blame, remedy=error.remedy)
            reply = pb.Reply(task_id=task_id, job_id=entry.job_id, failure=failure)
            self._store(entry, in_memory(reply.SerializeToString()), content.total, FAILED, delivered)
            raise
        self._store(entry, content, content.total, outcome, delivered)

    def _store(self, entry: Entry, reply: Held, size: int, outcome: str, delivered: Mapping[str, int]) -> None:
        task_id = entry.task_id
        if self._journal.answer(entry, reply, size, outcome, delivered):
            with self._changed:
                concerned = [told for told in self._waiting if task_id in told]
                for told in concerned:
                    told[task_id] = outcome
                if outcome == FAILED or any(all(told.values()) for told in concerned):
                    self._changed.notify_all()  # else nobody's wait can be over

    def _held(self, tasks: Sequence[pb.Task], body: Beside | None) -> list[Held]:
        heads = [task.SerializeToString(deterministic=True) for task in tasks]
        check_size(max(map(len, heads)) + (body.size if body else 0), self._limit, "this coordinator's job")
        return self._journal.contents.make_all(heads, body)

    def _await(
        self, wanted: tuple[str, ...], deadline: float | None, stop: Callable[[], bool], every: bool
    ) -> Collection[str]:
        with self._changed, self._told(wanted) as told:
            while True:
                if self._closed or stop():
                    raise _stopped()
                there = {task_id: outcome for task_id, outcome in told.items() if outcome}
                left = None if deadline is None else deadline - self._clock()
                over = len(there) == len(wanted) or (FAILED in there.values() and not every)
                if over or (left is not None and left <= 0):
                    return there.keys()
                self._changed.wait(left)

    @contextmanager
    def _told(self, wanted: tuple[str, ...]) -> Iterator[dict[str, str]]:
        """The outcomes of these tasks, "" while there is none; later ones appear by themselves.

        So the journal is asked once: to ask it again at each of N replies would be N² looks. Use it with
        ``_changed`` held.
        """
        told = dict.fromkeys(wanted, "")
        self._waiting.append(told)
        try:
            told |= self._journal.answered(wanted)
            yield told
        finally:
            self._waiting[:] = [other for other in self._waiting if other is not told]

    def _woken(self, institution: str) -> tuple[Wake, ...]:
        with self._changed:
            return tuple(self._listeners.get(institution, ()))

    def _unlisten(self, institution: str, wake: Wake) -> None:
        with self._changed:
            self._listeners[institution].remove(wake)


def _parsed(reply: Held | None) -> pb.Reply:
    """A stored reply; an empty one if it was erased."""
    return pb.Reply.FromString(reply.head()) if reply else pb.Reply()


def _check_reply(data: bytes, entry: Entry) -> str:
    """Whether the reply is an answer or a failure. Raises ExchangeError if it is no reply to its task."""
    try:
        reply = pb.Reply.FromString(data)
    except DecodeError as error:
        raise refusal("a reply can't be decoded", entry.institution) from error
    if (reply.task_id, reply.job_id) != (entry.task_id, entry.job_id):
        raise refusal("a reply names another task or job than it answers", entry.institution)
    if reply.WhichOneof("outcome") is None:
        raise refusal("a reply says neither what came out nor what failed", entry.institution)
    return FAILED if reply.HasField("failure") else ANSWERED


def _stopped() -> StoppingError:
    return StoppingError(
        "the wait for replies was ended before they came",
        blame="nobody: the job was cancelled or the coordinator is stopping",
        remedy="after a restart the job goes on by itself; a cancelled job must be submitted anew",
    )
