"""Institutions that witness each other's logs without a network: questions go straight to the desks."""

import atexit
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp

from consortia_common import keyfiles, witness_keys
from consortia_common.audit_log import AuditLog
from consortia_common.errors import ExchangeError
from consortia_common.witness_alarms import Alarms
from consortia_common.witness_desk import Desk
from consortia_common.witness_owners import Owners
from consortia_common.witness_policy import PolicyFile
from consortia_common.witness_rounds import Means, Rounds
from consortia_common.witness_store import WitnessStore
from consortia_crypto import canonical
from consortia_crypto.audit.entry import Entry
from consortia_crypto.audit.witness import AddCheckpoint
from consortia_crypto.audit.witnesskeys import policy_of
from consortia_crypto.keys import PrivateIdentity
from consortia_node.store.database import open_database
from consortia_node.store.tables import witnessed
from consortia_proto.v1 import witness_pb2 as pb

NAMES = ("bank-a", "bank-b", "bank-c")


class StoppedError(ExchangeError):
    """What whoever waits gets when its rounds are closed."""


@dataclass
class Party:
    """One institution: a log, a desk, rounds."""

    folder: Path
    identity: PrivateIdentity
    log: AuditLog
    desk: Desk
    alarms: Alarms
    store: WitnessStore
    pins: dict[str, str] = field(default_factory=dict)
    told: list[pb.Contradiction] = field(default_factory=list)
    rounds: Rounds = field(init=False)

    @property
    def name(self) -> str:
        return self.identity.institution

    @property
    def owner(self) -> pb.LogOwner:
        document = canonical.encode(self.identity.public.document())
        return pb.LogOwner(identity=document, keys=self.log.folder.vkeys.read_bytes())

    def write(self, count: int = 1) -> Entry:
        """Entries on its own log; the last of them."""
        return [self.log.append("message.refused", reason="for a test") for _ in range(count)][-1]

    def request(self, old: int = 0, proof: Sequence[bytes] = ()) -> bytes:
        """What it would ask of a witness for its newest checkpoint."""
        return AddCheckpoint(old, tuple(proof), self.log.checkpoint().note.raw).raw

    def events(self, name: str) -> list[dict[str, object]]:
        return [dict(entry.body) for entry in map(Entry.parse, self.log.read()) if entry.type == name]


Meddle = Callable[[str, pb.CosignAnswer], pb.CosignAnswer | None]
"""What becomes of a witness's answer on its way; None: it is lost."""


@dataclass
class Lab:
    """The institutions, and the carrier between them, which may meddle."""

    parties: dict[str, Party]
    meddle: Meddle = lambda _, answer: answer
    away: set[str] = field(default_factory=set)
    asked: list[pb.CosignRequest] = field(default_factory=list)

    def __getitem__(self, name: str) -> Party:
        return self.parties[name]

    def carry(self, request: pb.CosignRequest) -> pb.CosignResponse:
        self.asked.append(request)
        response = pb.CosignResponse()
        for question in request.questions:
            if question.institution in self.away:
                continue
            desk = self.parties[question.institution].desk
            desk.look(request.seen)
            answer = self.meddle(question.institution, desk.answer(request.owner, question.request))
            if answer is not None:
                answer.institution = question.institution
                response.answers.append(answer)
        return response

    def policy(self, name: str, quorum: int) -> None:
        others = [party.desk.signer.statement for party in self.parties.values() if party.name != name]
        keyfiles.write_file(self[name].folder / "witness.policy", policy_of(others, quorum).raw)


@contextmanager
def lab(root: Path, quorum: int = 2, seconds: float = 5) -> Iterator[Lab]:
    """Three institutions that know each other's fingerprints; ``rounds`` are not started."""
    with ExitStack() as stack:
        parties = {
            name: party(stack, root / name, PrivateIdentity.generate("lab", name, "node", "node")) for name in NAMES
        }
        made = Lab(parties)
        for one in parties.values():
            one.pins |= {other.name: other.identity.public.fingerprint for other in parties.values()}
            made.policy(one.name, quorum)
            one.rounds = rounds(made, one, seconds)
            stack.callback(one.rounds.close)
        yield made


def party(stack: ExitStack, folder: Path, identity: PrivateIdentity) -> Party:
    """An institution in ``folder``, made if there is none."""
    clock = partial(datetime.now, UTC)
    keyfiles.make_folder(folder)
    log = stack.enter_context(AuditLog.open(folder / "log", identity, identity.institution, clock))
    if not (folder / "node.db").exists():
        shutil.copy(_database(), folder / "node.db")
    engine = open_database(folder / "node.db")
    stack.callback(engine.dispose)
    store, alarms, pins, told = (
        WitnessStore(engine, witnessed),
        Alarms(log),
        dict[str, str](),
        list[pb.Contradiction](),
    )
    owners = Owners("lab", lambda name: {pins[name]} if name in pins else set())
    desk = Desk(witness_keys.load_or_make(folder, identity), store, owners, alarms, clock, told.append)
    return Party(folder, identity, log, desk, alarms, store, pins, told)


def rounds(made: Lab, one: Party, seconds: float = 5, ahead: float = 0) -> Rounds:
    """The rounds of an institution's own log, whose clock is ``ahead`` by so many seconds."""
    return Rounds(
        Means(
            log=one.log,
            policy=PolicyFile(one.folder / "witness.policy", one.log),
            alarms=one.alarms,
            ask=made.carry,
            seen=one.store.notes,
            seconds=seconds,
            clock=lambda: datetime.now(UTC) + timedelta(seconds=ahead),
            stopping=lambda: StoppedError("stopped", blame="the test", remedy="none"),
        )
    )


@cache
def _identity(name: str) -> PrivateIdentity:
    return PrivateIdentity.generate("lab", name, "node", "node")


@cache
def _database() -> Path:
    """An empty database in its newest shape."""
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder)
    open_database(folder / "node.db").dispose()
    return folder / "node.db"
