"""The node as a witness of others' logs, and as one whose log others witness; both through the coordinator.

Nothing here is journalled: a question that did not reach this node is asked again with a newer checkpoint. What is
believed of others leads back to fingerprints that this institution's people confirmed (``pins``); the coordinator
only carries.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

import grpc
import grpc.aio
from sqlalchemy import Engine

from consortia_common import keyfiles, logs, rpc, tls, witness_keys
from consortia_common.audit_log import AuditLog
from consortia_common.errors import NotPermittedError, UnauthenticatedError, WitnessError
from consortia_common.witness_alarms import Alarms
from consortia_common.witness_desk import Desk
from consortia_common.witness_owners import Owners, read_members
from consortia_common.witness_policy import NONE, PolicyFile
from consortia_common.witness_rounds import Means, Rounds
from consortia_common.witness_store import WitnessStore
from consortia_crypto import canonical
from consortia_crypto.audit.witnesskeys import WitnessKeys, policy_of
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PrivateIdentity, PublicIdentity
from consortia_node import metrics
from consortia_node.config import NodeSettings
from consortia_node.errors import StoppingError
from consortia_node.peers import PEERS_FOLDER, Peers
from consortia_node.store.agreements import AgreementStore
from consortia_node.store.tables import witnessed
from consortia_proto.v1 import witness_pb2 as pb
from consortia_proto.v1 import witness_pb2_grpc as stubs

COORDINATOR = "coordinator"
ASK_SECONDS = 8.0
AGAIN_SECONDS = 2.0
REFUSED_SECONDS = 60.0
"""Whoever is refused asks less often: each refusal is on the coordinator's log."""
AT_ONCE = 8
"""Questions that are answered at the same time."""


def pins_of(settings: NodeSettings, engine: Engine) -> Callable[[str], Collection[str]]:
    """The fingerprints that an institution may have, as far as this one's people have confirmed them.

    The coordinator's from enrolment; those in the members file; those in agreements that this institution signed.
    Keys that the network revoked are nobody's.
    """
    peers = Peers(settings.folder / PEERS_FOLDER)

    def confirmed(institution: str) -> Collection[str]:
        if institution == COORDINATOR:
            return {keyfiles.load_public_identity(settings.coordinator_file).fingerprint}
        told = read_members(settings.members).get(institution)
        if told is not None:
            return {told}
        signed = (item for item in AgreementStore(engine).all() if settings.institution in item.signatures)
        parties = (item.agreement.party(institution) for item in signed)
        return {party.key for party in parties if party is not None}

    def pins(institution: str) -> Collection[str]:
        return {key for key in confirmed(institution) if not peers.is_revoked(key)}

    return pins


def channel_of(settings: NodeSettings, clock: Callable[[], datetime]) -> grpc.Channel:
    """A connection for the node's threads, with the certificate that it has now."""
    credentials = tls.Credentials.load(settings.folder).require_valid(clock())
    return tls.client_channel(settings.coordinator, credentials, settings.network)


class Coordinator:
    """Carries this node's questions and warnings. From any thread; the connection is made anew when it fails."""

    def __init__(self, connect: Callable[[], grpc.Channel]) -> None:
        self._connect = connect
        self._lock = Lock()
        self._channel: grpc.Channel | None = None

    def ask(self, request: pb.CosignRequest) -> pb.CosignResponse:
        """What the witnesses say. Raises ConsortiaError."""
        with self._calling() as stub:
            answer: pb.CosignResponse = stub.Cosign(request, timeout=ASK_SECONDS)
            return answer

    def tell(self, contradiction: pb.Contradiction) -> None:
        """Have every other witness told; if that fails, the process log says so, and the evidence lies here."""
        try:
            with self._calling() as stub:
                stub.Warn(contradiction, timeout=ASK_SECONDS)
        except ConsortiaError as error:
            logs.failure("witness.unheard", error)

    def witnesses(self) -> list[pb.WitnessStatement]:
        """What each member says its witness keys are. Raises ConsortiaError."""
        with self._calling() as stub:
            return list(stub.Witnesses(pb.WitnessesRequest(), timeout=ASK_SECONDS).statements)

    def redial(self) -> None:
        """Make the next calls over a new connection; those under way end over the present one."""
        with self._lock:
            self._channel = None

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    @contextmanager
    def _calling(self) -> Iterator[stubs.WitnessingStub]:
        """The calls, over the connection that there is or a new one; one that failed is not used again."""
        with rpc.calling("the coordinator"):
            with self._lock:
                channel = self._channel = self._channel or self._connect()
            try:
                yield stubs.WitnessingStub(channel)
            except grpc.RpcError:
                self.close()
                raise


class Witnessing:
    """What the node does as a witness (``desk``), and to be witnessed (``rounds``)."""

    def __init__(
        self,
        settings: NodeSettings,
        identity: PrivateIdentity,
        log: AuditLog,
        engine: Engine,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._pins = pins_of(settings, engine)
        self._coordinator = Coordinator(lambda: channel_of(settings, clock))
        store, alarms = WitnessStore(engine, witnessed), Alarms(log, metrics.CONTRADICTIONS.inc)
        owners = Owners(settings.network, self._pins)
        signer = witness_keys.load_or_make(settings.folder, identity)
        self._policy = PolicyFile(settings.witnesses, log)
        self.desk = Desk(signer, store, owners, alarms, clock, self._coordinator.tell)
        self.rounds = Rounds(
            Means(
                log=log,
                policy=self._policy,
                alarms=alarms,
                ask=self._coordinator.ask,
                seen=store.notes,
                seconds=settings.witness_seconds,
                clock=clock,
                stopping=StoppingError,
            )
        )

    def write_policy(self, quorum: int) -> list[str]:
        """Write the policy that asks for ``quorum`` of the other members; who they are. Raises ConsortiaError.

        A member whose fingerprint was not confirmed here is left out.
        """
        statements = self._coordinator.witnesses()
        known = [keys for said in statements if (keys := self._confirmed(said)) is not None]
        keyfiles.write_file(self._file(), policy_of(known, quorum).raw)
        self._policy.read()
        self.rounds.ask_soon()
        return [keys.institution for keys in known]

    def redial(self) -> None:
        """Use the certificate that there is now."""
        self._coordinator.redial()

    def close(self) -> None:
        """End the rounds, and hang up."""
        self._coordinator.close()
        self.rounds.close()

    def _file(self) -> Path:
        if self._settings.witnesses == NONE:
            raise WitnessError(
                'this node is set to release without witnesses (witnesses = "none")',
                blame="whoever wrote node.toml",
                remedy="name a file there, restart the node, and run this again",
            )
        return Path(self._settings.witnesses)

    def _confirmed(self, said: pb.WitnessStatement) -> WitnessKeys | None:
        identity = PublicIdentity.from_document(canonical.decode(said.identity))
        own = identity.institution == self._settings.institution
        if own or identity.fingerprint not in self._pins(identity.institution):
            return None
        return WitnessKeys.parse(said.statement, identity)


class Attendance:
    """Serves as a witness for as long as ``run`` runs; connects anew when it is cut off."""

    def __init__(
        self,
        connect: Callable[[], grpc.aio.Channel],
        desk: Desk,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._connect = connect
        self._desk = desk
        self._sleep = sleep
        self._writing = asyncio.Lock()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            pause = AGAIN_SECONDS
            try:
                await self._attend()
            except ConsortiaError as error:
                logs.event("witness.away", reason=error.what)
                if isinstance(error, NotPermittedError | UnauthenticatedError):
                    pause = REFUSED_SECONDS
            await self._sleep(pause)

    async def _attend(self) -> None:
        channel = self._connect()
        call = stubs.WitnessingStub(channel).Attend()
        answering: set[asyncio.Task[None]] = set()
        try:
            with rpc.calling("the coordinator"):
                await call.write(pb.WitnessAnswer(statement=self._desk.signer.statement.raw))
                while isinstance(question := await call.read(), pb.WitnessQuestion):
                    await self._room.acquire()
                    task = asyncio.create_task(self._serve(call, question))
                    answering.add(task)
                    task.add_done_callback(answering.discard)
        except asyncio.InvalidStateError:  # the call was over before the first word
            return
        finally:
            call.cancel()
            await asyncio.gather(*answering, return_exceptions=True)
            await channel.close()

    async def _serve(self, call: Any, question: pb.WitnessQuestion) -> None:
        try:
            answer = await asyncio.to_thread(self._answer, question)
            if answer is not None:
                with suppress(Exception):  # the stream is gone; the question is asked again
                    async with self._writing:
                        await call.write(pb.WitnessAnswer(number=question.number, answer=answer))
        finally:
            self._room.release()

    def _answer(self, question: pb.WitnessQuestion) -> pb.CosignAnswer | None:
        try:
            if question.HasField("warning"):
                self._desk.warned(question.warning)
                return None
            self._desk.look(question.seen)
            return self._desk.answer(question.owner, question.request)
        except Exception as error:  # the database or the log failed; whoever asked is told no more than that
            logs.failure("witness.failed", error)
            return pb.CosignAnswer(outcome=pb.REFUSED, cause="the witness met an error that it did not expect")
