"""A job's plan: what each institution's gate would say, what the job takes, and what everybody learns from it.

The answers are the institutions' own, sealed to the analyst; bytes and rounds follow from the spec.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from consortia_client import page_parts
from consortia_client.errors import ResultError
from consortia_client.offering import Offering
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.plan import PlanAnswer, PlanQuestion
from consortia_common.documents.receipt import Receipt
from consortia_common.traffic import Traffic, before_receipts, traffic
from consortia_crypto.envelope import unseal
from consortia_crypto.keys import PrivateIdentity, PublicIdentity
from consortia_proto.v1 import exchange_pb2
from consortia_proto.v1 import network_pb2 as pb

COLUMNS = ("party", "its gate", "customers", "bytes up", "bytes down")
"""Of the table of parties."""


@dataclass(frozen=True)
class PlannedParty:
    """One institution in a plan: what its node answered, or why it did not, and the bytes to and from it."""

    institution: str
    answer: PlanAnswer | None
    failure: exchange_pb2.Failure | None
    traffic: Traffic

    @property
    def accepts(self) -> bool:
        """Whether its gate would let the job in."""
        return self.answer is not None and self.answer.accepts

    @property
    def verdict(self) -> str:
        """What its gate would say, in one line."""
        if self.answer is None:
            return f"no answer: {self.failure.what if self.failure else 'nothing came'}"
        if not self.answer.accepts:
            return f"refuses by {self.answer.clause}"
        waits = self.answer.officers
        return f"accepts, once {waits} of its officers approve" if waits else "accepts"

    @property
    def customers(self) -> str:
        """Of how many customers consent stands, as it told."""
        reads = self.answer.reads if self.answer else ()
        bands = [one.customers for one in reads if one.customers]
        return f"{bands[0].low:,} to {bands[0].high:,}" if bands else "–"


@dataclass(frozen=True, repr=False)
class Plan:
    """What a job would do."""

    spec: JobSpec
    parties: tuple[PlannedParty, ...]
    unlike: tuple[str, ...] = ()
    """Columns that the parties declare differently, each with what they say; their sums would mean nothing."""

    @property
    def ready(self) -> bool:
        """Whether every gate would let the job in and its columns mean the same everywhere."""
        return self.accepted and not self.unlike

    @property
    def accepted(self) -> bool:
        """Whether every institution's gate would let the job in."""
        return all(party.accepts for party in self.parties)

    @cached_property
    def bytes(self) -> Traffic:
        """Through the coordinator, of all parties together."""
        return sum((party.traffic for party in self.parties), Traffic(0, 0))

    @property
    def rounds(self) -> int:
        """How many sealed sums the job adds, one after the other."""
        return len(self.spec.summed())

    @property
    def seconds(self) -> float:
        """About how long it takes: the slowest node, which the others wait for."""
        return max((float(party.answer.seconds) for party in self.parties if party.answer), default=0.0)

    @property
    def time(self) -> str:
        """The same in words, with how far it may be off."""
        slowest = max(
            (one.answer for one in self.parties if one.accepts and one.answer), key=_seconds, default=None
        )
        if slowest is None:
            return "unknown, as no node would run it"
        about, jobs = f"{self.seconds:.1f} s", slowest.past_jobs
        if not jobs:
            return f"{about}, reckoned for a quiet machine: no job of this kind has ended there yet"
        if jobs == 1:
            return f"{about}, by the one job of this kind that has ended there"
        return (
            f"{about}; of the last {jobs} jobs of this kind there, three in four were within {slowest.factor} times"
        )

    @property
    def memory_mib(self) -> int:
        """About the most that the job takes at any node."""
        return max((party.answer.memory_mib for party in self.parties if party.answer), default=0)

    @property
    def learns(self) -> Mapping[str, str]:
        """What each learns from the job, the coordinator included."""
        return self.spec.parameters.learns()

    @property
    def reads(self) -> str:
        """The columns that would be read, by dataset, as the parties that accept say."""
        told = [party.answer.reads for party in self.parties if party.answer and party.accepts]
        found = dict.fromkeys(f"{', '.join(one.columns)} of {one.dataset}" for reads in told for one in reads)
        return "; ".join(found)

    @property
    def budgets(self) -> dict[str, str]:
        """What the job would use of each of the agreement's budgets, in words."""
        told = [budget for party in self.parties if party.answer for budget in party.answer.budgets]
        return {one.name: f"{one.used:,} used, {one.cost:,} more, of {one.limit:,}" for one in told}

    @property
    def refusals(self) -> list[dict[str, str]]:
        """Who would refuse, by which clause, why, and who can grant it; those alike together."""
        told: dict[tuple[str, str, str], list[str]] = {}
        for party in self.parties:
            if party.answer is not None and not party.accepts:
                answer = party.answer
                told.setdefault((answer.clause, answer.sentence, answer.remedy), []).append(party.institution)
        return [
            {"refused by": ", ".join(parties), "clause": clause, "why": sentence, "what to do": remedy}
            for (clause, sentence, remedy), parties in told.items()
        ]

    @property
    def facts(self) -> dict[str, str]:
        """What it says of the job as a whole."""
        count = self.rounds
        return {
            **({"reads": self.reads} if self.reads else {}),
            "sealed sums": f"{count}, one after the other" if count else "none",
            "bytes": f"{self.bytes.up:,} up, {self.bytes.down:,} down",
            **(
                {"takes about": self.time, "memory": f"about {self.memory_mib} MiB at a node"} if self.reads else {}
            ),
            **{f"budget {name}": used for name, used in self.budgets.items()},
        }

    def __repr__(self) -> str:
        return f"<Plan of {self.spec.name}: {'ready' if self.ready else 'not ready'}>"

    def _repr_html_(self) -> str:
        rows = [
            (one.institution, one.verdict, one.customers, one.traffic.up, one.traffic.down) for one in self.parties
        ]
        told = {
            "question": f"{self.spec.name} ({self.spec.kind})",
            **self.facts,
            **{f"{who} learns": what for who, what in self.learns.items()},
            **({"not the same everywhere": "; ".join(self.unlike)} if self.unlike else {}),
        }
        parts = [*map(page_parts.facts, self.refusals), page_parts.facts(told)]
        return page_parts.table("plan", COLUMNS, rows) + "".join(parts)

    def document(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "job": self.spec.name,
            "kind": self.spec.kind,
            "accepted": self.accepted,
            "unlike": list(self.unlike),
            "rounds": self.rounds,
            "bytes_up": self.bytes.up,
            "bytes_down": self.bytes.down,
            "memory_mib": self.memory_mib,
            "seconds": self.seconds,
            "parties": [_party(party) for party in self.parties],
            "learns": dict(self.learns),
        }


def unlike_columns(spec: JobSpec, offering: Offering) -> Iterator[str]:
    """The columns that ``spec`` reads and whose owners declare them differently."""
    datasets = {dataset.name: dataset for dataset in offering.datasets}
    asked = {
        (reads.dataset, column)
        for party in spec.parties
        for reads in spec.parameters.reads(party)
        for column in reads.columns
    }
    for name, column in sorted(asked):
        for offered in datasets[name].columns if name in datasets else ():
            if offered.name == column and offered.differs:
                yield f"{name}.{column} is not the same everywhere: {offered.differs}"


def planned_bytes(spec: JobSpec, receipts: Iterable[Receipt]) -> dict[str, Traffic]:
    """What the job should have taken at each party before its receipt, for as many rows as the receipts say."""
    rows = {one.institution: max((part.rows_used for part in one.cohorts), default=0) for one in receipts}
    return before_receipts(spec, rows)


def against_plan(spec: JobSpec, receipts: Sequence[Receipt]) -> str:
    """What a job took at all who gave receipts, against what it should have taken, in one line."""
    planned = planned_bytes(spec, receipts)
    of_all = sum((planned[one.institution] for one in receipts), Traffic(0, 0))
    up, down = (sum(getattr(one.took, name) for one in receipts) for name in ("bytes_up", "bytes_down"))
    return f"{up:,} up and {down:,} down before receipts; planned {of_all.up:,} and {of_all.down:,}"


def checked(
    question: PlanQuestion,
    answers: Iterable[pb.SignedAnswer],
    identities: Mapping[str, PublicIdentity],
    analyst: PrivateIdentity,
) -> Plan:
    """The plan that these answers make. Raises CryptoError, DocumentError or ResultError for one that is not its
    institution's, or that answers another question."""
    came = {item.institution: item for item in answers}
    found = {
        party: _answer(question, came[party], identities[party], analyst)
        for party in question.spec.parties
        if party in came and came[party].document
    }
    known = {
        party: [one.customers.high for one in answer.reads if one.customers] for party, answer in found.items()
    }
    carried = traffic(question.spec, {party: max(rows) for party, rows in known.items() if rows})
    failures = {party: item.failure for party, item in came.items() if party not in found}
    parties = question.spec.parties
    return Plan(
        question.spec,
        tuple(PlannedParty(party, found.get(party), failures.get(party), carried[party]) for party in parties),
    )


def _answer(
    question: PlanQuestion, item: pb.SignedAnswer, identity: PublicIdentity, analyst: PrivateIdentity
) -> PlanAnswer:
    document = unseal(
        item.document,
        sender=identity,
        recipient=analyst,
        purpose=question.spec.purpose,
        job=question.question_id,
        step=PlanQuestion.STEP,
        sequence=0,
    )
    answer = PlanAnswer.from_canonical(document, f"the plan of {identity.institution}")
    said = (answer.network, answer.institution, answer.question)
    if said != (question.network, identity.institution, question.hash()):
        raise ResultError(
            f"what came as the plan of {identity.institution} answers another question",
            blame="the coordinator",
            remedy="ask again; if it persists, tell the network's operator",
        )
    return answer


def _seconds(answer: PlanAnswer) -> float:
    return float(answer.seconds)


def _party(party: PlannedParty) -> dict[str, Any]:
    plain = {"institution": party.institution, "bytes_up": party.traffic.up, "bytes_down": party.traffic.down}
    if party.answer is not None:
        return plain | party.answer.model_dump(mode="json", exclude={"v", "network", "institution", "question"})
    failure = party.failure or exchange_pb2.Failure()
    return plain | {"accepts": False, "what": failure.what, "blame": failure.blame, "remedy": failure.remedy}
