"""Passes questions to the nodes that witness and their answers back; also answers as a witness itself.

Nothing is kept: who is not connected, or does not answer within seconds, is absent, and what was asked of it is
withdrawn. The coordinator decides nothing here. It can drop what passes, which stops releases and can't be hidden;
it can't make up a cosignature, since these verify under keys that the institutions' own identities signed.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Collection
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from consortia_common import keyfiles, rpc, witness_keys
from consortia_common.audit_log import AuditLog
from consortia_common.errors import ExchangeError
from consortia_common.stream import refusal
from consortia_common.tls import Peer
from consortia_common.witness_alarms import Alarms
from consortia_common.witness_desk import Desk
from consortia_common.witness_owners import Owners
from consortia_common.witness_policy import NONE, PolicyFile
from consortia_common.witness_rounds import Means, Rounds
from consortia_common.witness_store import WitnessStore
from consortia_coordinator import metrics
from consortia_coordinator.config import INSTITUTION, CoordinatorSettings
from consortia_coordinator.errors import CoordinatorError, StoppingError
from consortia_coordinator.members import Members
from consortia_coordinator.store.database import open_database
from consortia_coordinator.store.tables import witnessed
from consortia_coordinator.store.witnesses import WitnessesStore
from consortia_coordinator.witnesslines import ANSWER_SECONDS, MAX_BYTES, Line, read, write
from consortia_crypto import canonical
from consortia_crypto.audit.witnesskeys import WitnessKeys, policy_of
from consortia_crypto.keys import PrivateIdentity, PublicIdentity
from consortia_proto.v1 import witness_pb2 as pb
from consortia_proto.v1 import witness_pb2_grpc

HELLO_SECONDS = 10.0
MAX_QUESTIONS = 64
WARNINGS = 4
"""Each finder's newest warnings that nodes are told which were not there when they were given: so whoever warns
of nothing drives out no warning but its own."""


@rpc.guarded
class WitnessService(witness_pb2_grpc.WitnessingServicer):
    """Serves Witnessing. ``attended`` is called when a node has come to witness."""

    def __init__(
        self,
        members: Members,
        store: WitnessesStore,
        desk: Desk,
        identity: PublicIdentity,
        attended: Callable[[], None],
    ) -> None:
        self._members = members
        self._store = store
        self._desk = desk
        self._identity = identity
        self._attended = attended
        self._lines: dict[str, Line] = {}
        self._warnings = defaultdict[str, deque[pb.Contradiction]](partial(deque, maxlen=WARNINGS))
        self._warnings[INSTITUTION].extend(desk.warnings())  # those that were found to be true come first
        self._closed = False

    def close(self) -> None:
        """End every stream. Call it in the event loop."""
        self._closed = True
        for line in self._lines.values():
            line.close()

    def drop(self, institution: str) -> None:
        """End the stream of a node that belongs no more. Call it in the event loop."""
        if (line := self._lines.get(institution)) is not None:
            line.close()

    # grpc.aio also serves a coroutine that reads and writes by itself, which the generated stub can't say
    async def Attend(self, _answers: Any, context: Any) -> None:  # type: ignore[override]
        """One node's service as a witness, until either end stops."""
        peer = self._members.require(context, "node")
        await self._introduce(peer, context)
        line = Line()
        if (older := self._lines.get(peer.institution)) is not None:
            older.close()
        self._lines[peer.institution] = line
        for warning in chain.from_iterable(self._warnings.values()):
            _tell(line, peer.institution, warning)
        if self._closed:
            line.close()
        left = (peer.not_after - self._members.clock()).total_seconds()
        expiry = asyncio.get_running_loop().call_later(left, line.close)
        self._attended()
        parts = [asyncio.create_task(part) for part in (write(line, context), read(line, context, peer))]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            expiry.cancel()
            line.close()
            if self._lines.get(peer.institution) is line:
                del self._lines[peer.institution]
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def Cosign(self, request: pb.CosignRequest, context: Any) -> pb.CosignResponse:
        """What the witnesses say to a node's own checkpoint."""
        peer = self._members.require(context, "node")
        if len(request.questions) > MAX_QUESTIONS or request.ByteSize() > MAX_BYTES:
            raise refusal("it asks too much of the witnesses at once", peer.institution)
        return await self.ask(request)

    async def Warn(self, request: pb.Contradiction, context: Any) -> pb.WarnResponse:
        """Tell all other witnesses of a contradiction that a node found."""
        peer = self._members.require(context, "node")
        if request.ByteSize() > MAX_BYTES:
            raise refusal("its warning is too long", peer.institution)
        request.finder = peer.institution
        self.warn(request)
        await asyncio.to_thread(self._desk.warned, request)
        return pb.WarnResponse()

    async def Witnesses(self, request: pb.WitnessesRequest, context: Any) -> pb.WitnessList:
        """What each member says its witness keys are; whoever asks checks the identities' fingerprints."""
        del request
        self._members.require(context, "node", "analyst", "regulator")
        statements = await asyncio.to_thread(self._store.all)
        mine = pb.WitnessStatement(
            identity=canonical.encode(self._identity.document()), statement=self._desk.signer.statement.raw
        )
        return pb.WitnessList(statements=[*statements, mine])

    async def ask(self, request: pb.CosignRequest) -> pb.CosignResponse:
        """Ask every witness that ``request`` names, at the same time."""
        asked = {question.institution: question.request for question in request.questions}
        parts = (self._ask(name, question, request) for name, question in asked.items())
        return pb.CosignResponse(answers=await asyncio.gather(*parts))

    def warn(self, contradiction: pb.Contradiction) -> None:
        """Tell every node but the finder's, those that come later too. Call it in the event loop."""
        self._warnings[contradiction.finder].append(contradiction)
        for institution, line in self._lines.items():
            _tell(line, institution, contradiction)

    async def _ask(self, institution: str, question: bytes, request: pb.CosignRequest) -> pb.CosignAnswer:
        line = self._lines.get(institution)
        if institution == INSTITUTION:
            answer = await asyncio.to_thread(self._answer, question, request)
        elif line is not None:
            answer = await line.ask(pb.WitnessQuestion(owner=request.owner, request=question, seen=request.seen))
        else:
            answer = pb.CosignAnswer()
        answer.institution = institution  # who answers is what the certificate says
        return answer

    def _answer(self, question: bytes, request: pb.CosignRequest) -> pb.CosignAnswer:
        """As a witness itself."""
        self._desk.look(request.seen)
        return self._desk.answer(request.owner, question)

    async def _introduce(self, peer: Peer, context: Any) -> None:
        """Keep what the node says its institution's witness keys are, if its enrolled identity signed that."""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                first = await context.read()
        except TimeoutError as error:
            raise refusal("it did not say with which keys it witnesses", peer.institution) from error
        if not isinstance(first, pb.WitnessAnswer):
            raise refusal("it did not say with which keys it witnesses", peer.institution)
        identity = await asyncio.to_thread(self._members.identity_of, peer)
        keys = WitnessKeys.parse(first.statement, identity)
        await asyncio.to_thread(self._store.keep, peer.institution, keys.raw)


class Witnessing:
    """What the coordinator does as a witness, to pass others' questions on, and to be witnessed (``rounds``).

    Make it in the event loop that serves; its threads ask and warn through that.
    """

    def __init__(
        self,
        settings: CoordinatorSettings,
        identity: PrivateIdentity,
        log: AuditLog,
        engine: Engine,
        members: Members,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.lost = asyncio.Event()
        """Set when a witness has shown that this coordinator's log was put back from an old copy."""
        store, alarms = WitnessStore(engine, witnessed), Alarms(log, metrics.CONTRADICTIONS.inc)
        owners = Owners(settings.network, partial(_pins, members))
        signer = witness_keys.load_or_make(settings.folder, identity)
        desk = Desk(signer, store, owners, alarms, members.clock, self._tell)
        self.rounds = Rounds(
            Means(
                log=log,
                policy=PolicyFile(settings.witnesses, log),
                alarms=alarms,
                ask=self._ask,
                seen=store.notes,
                seconds=settings.witness_seconds,
                clock=members.clock,
                stopping=_stopping,
                lost=partial(self._loop.call_soon_threadsafe, self.lost.set),
            )
        )
        self.service = WitnessService(members, WitnessesStore(engine), desk, identity.public, self.rounds.ask_soon)

    def drop(self, institution: str) -> None:
        """End a node's stream, from any thread."""
        self._loop.call_soon_threadsafe(self.service.drop, institution)

    async def close(self) -> None:
        """End the streams and the rounds."""
        self.service.close()
        await asyncio.to_thread(self.rounds.close)

    def _ask(self, request: pb.CosignRequest) -> pb.CosignResponse:
        """Ask the witnesses, from a thread. Raises ExchangeError."""
        future = asyncio.run_coroutine_threadsafe(self.service.ask(request), self._loop)
        try:
            return future.result(ANSWER_SECONDS + 1)
        except TimeoutError as error:
            raise ExchangeError(
                "the witnesses could not be asked in time", blame="the load of this machine", remedy="try again"
            ) from error

    def _tell(self, contradiction: pb.Contradiction) -> None:
        """Warn every node, from a thread."""
        self._loop.call_soon_threadsafe(self.service.warn, contradiction)


def write_policy(settings: CoordinatorSettings, quorum: int) -> list[str]:
    """Write the policy that asks for ``quorum`` of the members; who they are. Raises ConsortiaError."""
    if settings.witnesses == NONE:
        raise CoordinatorError(
            'this coordinator is set to publish without witnesses (witnesses = "none")',
            blame="whoever wrote coordinator.toml",
            remedy="name a file there, restart the coordinator, and run this again",
        )
    engine = open_database(settings.database_file)
    try:
        said = WitnessesStore(engine).all()
    finally:
        engine.dispose()
    identities = [PublicIdentity.from_document(canonical.decode(one.identity)) for one in said]
    keys = [WitnessKeys.parse(one.statement, who) for one, who in zip(said, identities, strict=True)]
    keyfiles.write_file(Path(settings.witnesses), policy_of(keys, quorum).raw)
    return [one.institution for one in keys]


def _pins(members: Members, institution: str) -> Collection[str]:
    """The coordinator knows its members by whom it has enrolled."""
    return {one.fingerprint for one in members.identities() if (one.institution, one.role) == (institution, "node")}


def _tell(line: Line, institution: str, warning: pb.Contradiction) -> None:
    if institution != warning.finder:
        line.tell(pb.WitnessQuestion(warning=warning))


def _stopping() -> StoppingError:
    return StoppingError(
        "the result was not witnessed before the coordinator stopped",
        blame="nobody: the coordinator was told to stop",
        remedy="start the coordinator again; the job goes on by itself",
    )
