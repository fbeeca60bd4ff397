"""A coordinator that does as it likes: it hands made-up tasks straight to real nodes' agents, without a network.

The nodes have everything that they have in service (keys, journal, database, log, workers, customers); only the
exchange between them and the coordinator is left out, so that a test says exactly what reaches whom.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from consortia_common import keyfiles, sealed
from consortia_common.content import Content
from consortia_common.contents import REPLY, in_memory
from consortia_common.database import reading
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_crypto import canonical
from consortia_crypto.audit.entry import Entry
from consortia_crypto.envelope import unseal
from consortia_crypto.keys import PrivateIdentity
from consortia_crypto.sum.epoch_messages import KeyDocument
from consortia_node import config
from consortia_node.agent import Agent
from consortia_node.assembly import close_tools, open_tools
from consortia_node.consent_desk import ConsentDesk
from consortia_node.control import ControlService
from consortia_node.model_desk import ModelDesk
from consortia_node.notices import Notices
from consortia_node.store.jobs import JobStore
from consortia_node.tools import Tools
from consortia_node.withdrawals import Withdrawals
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.consortium import Consortium, consent_notice, consent_table, make_agreement
from tests.support.hostile_sums import Round
from tests.support.spoilt import in_this_process

SUBMISSION_DOMAIN = "job"


@dataclass(frozen=True)
class Bank:
    """A node without its connection."""

    tools: Tools
    notices: Notices
    agent: Agent
    desk: ConsentDesk
    models: ModelDesk
    control: ControlService

    def ask(
        self, step: str, content: Content | None = None, *, job: str = "", turn: int = 0, task: str = ""
    ) -> pb.Reply:
        """What the node answers. As in service, a task id that it has seen before is not worked on again."""
        task_id = task or f"{job}/{step}/{turn}/{self.tools.institution}/{secrets.token_hex(4)}"
        asked = pb.Task(
            task_id=task_id, job_id=job, step=step, round=turn, content=(content or Content()).to_proto()
        )
        if self.tools.tasks.receive(asked, in_memory(asked.SerializeToString())):
            return self._whole(self.agent.handle(asked))
        return pb.Reply()

    def _whole(self, reply: pb.Reply) -> pb.Reply:
        """The reply with what was stored behind it in its place."""
        with reading(self.tools.engine) as connection:
            stored = self.tools.tasks.contents.get(connection, reply.task_id, REPLY)
        if stored is not None and reply.HasField("content"):
            content = Content.from_proto(reply.content, self.tools.institution, stored)
            reply.content.CopyFrom(content.to_proto())
        return reply

    def entries(self, event: str = "") -> list[dict[str, Any]]:
        """The bodies of the log's entries, of one type or all."""
        bodies = [Entry.parse(data).body for data in self.tools.log.read()]
        return [body for body in bodies if event in ("", body["type"])]

    def reasons(self, event: str) -> str:
        """The reasons of all entries of that type, for a test to look into."""
        return "\n".join(str(body.get("reason", "")) for body in self.entries(event))


@dataclass(frozen=True)
class Deal:
    """A signed submission and what an offer of it carries; ``dataclasses.replace`` makes it a lie."""

    spec: JobSpec
    document: bytes
    signature: bytes
    identities: list[bytes]

    @property
    def job_id(self) -> str:
        return Submission.from_canonical(self.document, "the test's submission").job_id

    def offer(self) -> Content:
        return Content(
            config={"submission": self.document, "signature": self.signature, "identities": self.identities}
        )


@dataclass
class Hostile:
    """The coordinator's seat: all that it may know, and the nodes' agents within reach."""

    root: Path
    banks: dict[str, Bank]
    agreement: Agreement
    analyst: PrivateIdentity
    public: dict[str, bytes] = field(default_factory=dict)
    """The public context of each job's sums with the engine "lattice"."""
    documents: dict[str, dict[str, KeyDocument]] = field(default_factory=dict)
    """The parties' public keys of each job's epoch."""
    totals: dict[str, str] = field(default_factory=dict)
    """What stands for each job's totals so far."""

    def identity(self, who: str) -> PrivateIdentity:
        """A bank's or the analyst's own keys: for tests that play that part."""
        return keyfiles.load_identity(self.root / who / "identity.key")

    def restart(self, name: str) -> Bank:
        """Stop a bank's node and start it again; what is on disk is all that it knows."""
        close_tools(self.banks[name].tools)
        self.banks[name] = _started(self.banks[name].tools.settings.folder / "node.toml")
        return self.banks[name]

    def deal(self, spec: JobSpec, analyst: PrivateIdentity | None = None) -> Deal:
        """A submission of ``spec``, signed, with the identities that an honest coordinator would add."""
        signer = analyst or self.analyst
        submission = Submission(
            network="lab",
            spec=spec,
            nonce=secrets.token_hex(16),
            submitted_ms=int(datetime.now(UTC).timestamp() * 1000),
            analyst=signer.public.fingerprint,
        )
        document = submission.canonical()
        known = [signer.public, *(self.identity(bank).public for bank in spec.parties if bank in self.banks)]
        identities = [canonical.encode(identity.document()) for identity in known]
        return Deal(spec, document, signer.sign(SUBMISSION_DOMAIN, document), identities)

    def accepted(self, spec: JobSpec) -> Deal:
        """A job that every party has accepted."""
        deal = self.deal(spec)
        for party in spec.parties:
            content_of(self.banks[party].ask("offer", deal.offer(), job=deal.job_id))
        return deal

    def begun(self, spec: JobSpec) -> Deal:
        """A job of sums, accepted, whose parties have agreed on keys."""
        deal = self.accepted(spec)
        made = self.everyone(deal, "epoch.key")
        self.public[deal.job_id] = made[spec.parties[0]].config.get("context", b"")
        keys = {party: made[party].config["key"] for party in spec.parties}
        self.documents[deal.job_id] = {party: KeyDocument.from_bytes(key) for party, key in keys.items()}
        seeded = self.everyone(deal, "epoch.seed", Content(config={"keys": list(keys.values())}))
        joined = {party: self.ask(deal, party, "epoch.join", letters(seeded, party)) for party in spec.parties}
        confirms = [content.config["confirm"] for content in joined.values()]
        self.everyone(deal, "epoch.confirm", Content(config={"confirms": confirms}))
        return deal

    def ask(self, deal: Deal, party: str, step: str, content: Content | None = None, turn: int = 0) -> Content:
        """What a node answers; fails the test if it refuses."""
        return content_of(self.banks[party].ask(step, content, job=deal.job_id, turn=turn))

    def everyone(self, deal: Deal, step: str, content: Content | None = None, turn: int = 0) -> dict[str, Content]:
        """The answers of all parties to one step."""
        return {party: self.ask(deal, party, step, content, turn) for party in deal.spec.parties}

    def opened(self, deal: Deal, answers: Mapping[str, Content]) -> dict[str, Any]:
        """The result that the first party sealed to the analyst."""
        reporter = deal.spec.parties[0]
        plaintext = unseal(
            answers[reporter].config["envelope.analyst"],
            sender=self.identity(reporter).public,
            recipient=self.analyst,
            purpose=deal.spec.purpose,
            job=deal.job_id,
            step="result",
            sequence=0,
        )
        return dict(json.loads(plaintext))

    def round(self, deal: Deal, name: str, step: str, turn: int = 0) -> Round:
        """A sum that nobody has begun."""
        return Round(self, deal, name, step, turn, before=self.totals.get(deal.job_id, sealed.NOTHING_BEFORE))

    def summed(self, deal: Deal, name: str, step: str, turn: int = 0) -> Round:
        """A sum that was added as by an honest coordinator, and opened by all."""
        return self.round(deal, name, step, turn).until("opened")

    def concluded(self, deal: Deal) -> dict[str, Content]:
        """The answers of all parties to the last step, of which the first one reports."""
        return {
            party: self.ask(
                deal, party, "query.conclude", Content(config={"report": party == deal.spec.parties[0]})
            )
            for party in deal.spec.parties
        }


def letters(sent: Mapping[str, Content], recipient: str) -> Content:
    """What all others sealed for ``recipient``, as an honest coordinator passes it on."""
    return Content(
        config={
            f"envelope.{sender}": content.config[f"envelope.{recipient}"]
            for sender, content in sent.items()
            if sender != recipient
        }
    )


def fresh(institution: str, role: str = "node", name: str = "node") -> PrivateIdentity:
    """Keys that the coordinator made up under somebody's name."""
    return PrivateIdentity.generate("lab", institution, role, name)


def content_of(reply: pb.Reply) -> Content:
    """What a node answered; fails the test if it refused."""
    assert reply.WhichOneof("outcome") == "content", reply
    return Content.from_proto(reply.content, "a node")


def failure_of(reply: pb.Reply) -> pb.Failure:
    """Why a node refused; fails the test if it did not."""
    assert reply.WhichOneof("outcome") == "failure", "the node did as it was told"
    return reply.failure


def step_refused(bank: Bank, deal: Deal, step: str, content: Content | None = None, turn: int = 0) -> str:
    """The node takes no such step; why."""
    return ended(bank, deal, step, failure_of(bank.ask(step, content, job=deal.job_id, turn=turn)))


def ended(bank: Bank, deal: Deal, step: str, failure: pb.Failure) -> str:
    """The job is over here: the node says why on its log, with the step, and keeps neither key nor rows."""
    assert failure.what
    (entry,) = (entry for entry in bank.entries("job.failed") if entry["job"] == deal.job_id)
    assert entry.get("detail", {}).get("step", "") == step
    with bank.tools.engine.connect() as connection:
        jobs = JobStore(connection)
        assert jobs.values(deal.job_id) == {}
        assert getattr(jobs.get(deal.job_id), "state", "") == "failed"
    assert not (bank.tools.settings.folder / "work" / deal.job_id).exists()
    return str(entry["reason"])


def blamed(bank: Bank, deal: Deal, step: str) -> list[str]:
    """Whom the node's log names for what it refused in this step."""
    entries = [entry for entry in bank.entries("ciphertext.refused") if entry["job"] == deal.job_id]
    return [entry["detail"]["peer"] for entry in entries if entry["detail"]["step"] == step]


def counted(bank: Bank, event: str, deal: Deal) -> int:
    return sum(entry.get("job") == deal.job_id for entry in bank.entries(event))


@contextmanager
def hostile(consortium: Consortium, **changes: Any) -> Iterator[Hostile]:
    """The built, not running, ``consortium``, with consent and agreement; ``changes`` alter the agreement."""
    with ExitStack() as stack:
        in_this_process(stack.enter_context(pytest.MonkeyPatch.context()))
        banks: dict[str, Bank] = {}
        stack.callback(_close, banks)
        for name in consortium.banks:
            banks[name] = _started(consortium.node_config(name))
            banks[name].desk.add_notice(consent_notice(recipients=consortium.banks))
            banks[name].desk.import_(consent_table(consortium.root / name))
        agreement = make_agreement(consortium, **changes)
        statements = [bank.notices.propose(agreement) for bank in banks.values()]
        for bank in banks.values():
            for statement in statements:
                if statement.institution != bank.tools.institution:
                    content_of(bank.ask("notice.statement", notice(consortium.root, statement)))
        analyst = keyfiles.load_identity(consortium.root / "analyst" / "identity.key")
        yield Hostile(consortium.root, banks, agreement, analyst)


def notice(root: Path, statement: Any, signer: PrivateIdentity | None = None) -> Content:
    """A published statement, as the coordinator relays it."""
    author = signer or keyfiles.load_identity(root / statement.institution / "identity.key")
    return Content(
        config={
            "document": statement.document,
            "signature": statement.signature,
            "identity": canonical.encode(author.public.document()),
        }
    )


def _close(banks: Mapping[str, Bank]) -> None:
    for bank in banks.values():
        close_tools(bank.tools)


def _started(config_file: Path) -> Bank:
    tools = open_tools(config.load(config_file).model_copy(update={"witnesses": "none"}))  # nobody is connected
    notices, withdrawals = Notices(tools), Withdrawals(tools)
    desk = ConsentDesk(tools, withdrawals, lambda: None)
    models = ModelDesk(tools, lambda: None)
    control = ControlService(tools, notices, desk, models, _unpublished, lambda: False)
    return Bank(tools, notices, Agent(tools, notices, withdrawals, models), desk, models, control)


async def _unpublished(statement: Any) -> None:
    del statement
