"""What a handler hands back for a task: what to say, and what to store in the same transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from consortia_common.content import Beside, Content
from consortia_crypto.errors import ConsortiaError
from consortia_node.errors import RefusedError
from consortia_proto.v1 import exchange_pb2 as pb


@dataclass(frozen=True)
class Answer:
    """``say`` is stored as the task's reply in the transaction in which ``store`` changes the database; ``files``
    are those written for it, which must then be on disk.
    """  # fmt: skip

    say: Content | pb.Failure
    store: Callable[[Connection], object] = lambda _: None
    files: tuple[Path, ...] = ()

    def joined(self, other: "Answer", prefix: str = "") -> "Answer":
        """Both: what ``other`` says under names with this prefix, and what both store, in this order."""
        if isinstance(self.say, pb.Failure) or isinstance(other.say, pb.Failure):
            raise TypeError("what failed is said alone")
        config = {**self.say.config, **{prefix + name: value for name, value in other.say.config.items()}}
        arrays, metrics = {**self.say.arrays, **other.say.arrays}, {**self.say.metrics, **other.say.metrics}

        def store(connection: Connection) -> None:
            self.store(connection)
            other.store(connection)

        return Answer(Content(arrays, config, metrics), store, (*self.files, *other.files))

    def reply(self, task: pb.Task, body: Beside | None = None) -> pb.Reply:
        """The reply to ``task``; what is long in it is put into ``body``, if there is one."""
        if isinstance(self.say, pb.Failure):
            return pb.Reply(task_id=task.task_id, job_id=task.job_id, failure=self.say)
        return pb.Reply(task_id=task.task_id, job_id=task.job_id, content=self.say.to_proto(body))


def refused_by(error: RefusedError) -> pb.Failure:
    """A refusal by the gate, with its clause."""
    return pb.Failure(code="refused", what=error.what, blame=error.blame, remedy=error.remedy, clause=error.clause)


def failed_by(error: ConsortiaError) -> pb.Failure:
    """Anything else that went wrong."""
    return pb.Failure(code="failed", what=error.what, blame=error.blame, remedy=error.remedy)
