"""One round of the sealed sum, by the very code and files that node and coordinator have, without a network.

Quantising and what comes of the opened sum are in the figures; the epoch, once per job, has one of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from os import urandom
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.sum.alone import Ledger, Shape
from benchmarks.sum.vectors import CLIP, PIECE, pieces, require
from consortia_common.sealed import BATCH
from consortia_coordinator.adding import Here
from consortia_coordinator.totals import FileTotals, Totals
from consortia_crypto.sum import collector, member, opening
from consortia_crypto.sum.collector import Collector
from consortia_crypto.sum.lattice import collector_group
from consortia_crypto.sum.lattice_secret import member_group, new_secret, public_part
from consortia_crypto.sum.member import Member
from consortia_crypto.sum.quantise import dequantise, quantise
from consortia_crypto.sum.terms import Engine, Scale, SumPolicy
from consortia_crypto.sum.vector import FileVector, FrameSink, frames
from tests.support.sums import PREVIOUS, Keys, agree, roster

WORD_BITS = 32


def play(ledger: Ledger, folder: Path, engine: Engine) -> None:
    """One round, from which nobody drops out."""
    shape = ledger.shape
    setup = Ledger(shape, ledger.apart)
    secret, public = setup.run("institution", _secret) if engine == "lattice" else (b"", b"")
    keys = setup.run("institution", agree, roster(shape.institutions), secret)
    _Round(ledger, policy_of(shape, engine), keys, folder, secret, public).run()


def epoch_cost(institutions: int) -> float:
    """CPU seconds that agreeing on keys takes one institution, once per job."""
    ledger = Ledger(Shape(institutions, 1))
    ledger.run("institution", agree, roster(institutions), b"")
    return ledger.cost().cpu["institution"]


def policy_of(shape: Shape, engine: Engine) -> SumPolicy:
    """Words of 32 bits, a third of the institutions but one colluding: what a job has unless it says otherwise."""
    return SumPolicy(
        session="bench",
        roster=roster(shape.institutions),
        colluding=max(1, (shape.institutions - 1) // 3),
        word_bits=WORD_BITS,
        length=shape.length,
        engine=engine,
        scales=(Scale(shape.length, CLIP),),
    )


def _secret() -> tuple[bytes, bytes]:
    secret = new_secret()
    return secret, public_part(secret)


@dataclass
class _Round:
    """The parties' states cross as bytes, like their messages."""

    ledger: Ledger
    policy: SumPolicy
    keys: Keys
    folder: Path
    secret: bytes
    public: bytes
    states: dict[str, bytes] = field(default_factory=dict)
    heard: dict[str, list[Any]] = field(default_factory=dict)

    def run(self) -> None:
        """R1 to R5."""
        start = collector.start(self.policy, 1, self.keys.documents, PREVIOUS)
        for name in self.policy.roster:
            self._ask(name, self._share)
        state, lists = self._coordinate(start, collector.shared, collector.close_sharing)
        for number, name in enumerate(self.policy.roster):
            self._ask(name, self.seal, lists[name])
            self.ledger.run("coordinator", self._take, number, name)
        self.ledger.sent += len(self.policy.roster) * self._layout_size()
        state, proposal = self._coordinate(
            state, lambda now, said: collector.uploaded(now, said, said.digest.hex()), collector.close_uploading
        )
        for name in self.policy.roster:
            self._ask(name, self._sign, proposal)
        state, _ = self._coordinate(state, collector.signed, collector.close_setting)
        total = self.ledger.run("coordinator", self._close, state)
        for name in self.policy.roster:
            self.ledger.received += len(total.to_bytes()) + self._layout_size()
            self.ledger.run("institution", self._open, name, total)
        self._check()

    def _ask(self, name: str, act: Any, *shown: Any) -> None:
        """Have an institution answer; what it says and what it was shown are counted, its state is kept."""
        self.states[name], *self.heard[name] = self.ledger.run("institution", act, name, *shown)
        self.ledger.received += sum(len(one.to_bytes()) for one in shown)
        self.ledger.sent += sum(len(one.to_bytes()) for one in self.heard[name])

    def _coordinate(self, state: Collector, take: Any, close: Any) -> tuple[Collector, Any]:
        """The coordinator takes what all have said, and closes the step."""

        def act() -> Any:
            now = state
            for message, *_ in self.heard.values():
                now = take(now, message)
            return close(now)

        return cast("tuple[Collector, Any]", self.ledger.run("coordinator", act))

    def _share(self, name: str) -> Any:
        state, message = member.share(self.policy, 1, self.keys.secrets[name], urandom, None)
        return state.to_bytes(), message

    def seal(self, name: str, lists: Any) -> Any:
        """Fixed point, masks, tag; the upload is a file."""
        state, plan = member.lists(self._state(name), lists, PREVIOUS)
        group = member_group(self.policy, self.secret or None)
        with FileVector.creating(self.folder / "summand", group.values.size) as summand:
            place = 0
            for piece in pieces(self.folder / "update"):
                scale = (Scale(len(piece), CLIP),)
                octets = group.values.octets(quantise(piece.astype(np.float64), scale, self.policy.limit))
                summand.write(place, octets)
                place += octets.nbytes
        with (
            FileVector.reading(self.folder / "summand") as values_file,
            FileVector.creating(self.folder / "upload", group.wire.size) as sink,
        ):
            digest, tag = opening.seal(self.policy, group, values_file, sink, plan)
        state, message = member.uploaded(state, digest, tag)
        return state.to_bytes(), message

    def _sign(self, name: str, proposal: Any) -> Any:
        """Nobody is missing: what opens the sum goes with the signature."""
        state, signed, revealed = member.set_proposed(self._state(name), proposal)
        return state.to_bytes(), signed, revealed

    def _open(self, name: str, total: Any) -> None:
        """Take the sealed total's frames, open it, read it as real numbers."""
        group = member_group(self.policy, self.secret or None)
        plan = member.opening(self.policy, self.keys.secrets[name], PREVIOUS, total, self._state(name))
        with FileVector.creating(self.folder / "sealed", group.wire.size) as sealed:
            sink = FrameSink(sealed, group.wire, "the coordinator")
            for first in range(0, group.wire.frames, BATCH):
                for number, frame in enumerate(self._totals(0).frames(first), first):
                    sink.take(number, frame)
            sink.finish()
        with (
            FileVector.reading(self.folder / "sealed") as sealed,
            FileVector.creating(self.folder / "opened", group.values.size) as opened,
        ):
            opening.open_total(group, sealed, opened, plan)
        with (self.folder / "back").open("wb") as file:
            for integers in _integers(self.folder / "opened"):
                dequantise(integers, (Scale(len(integers), CLIP),), self.policy.limit).tofile(file)

    def _take(self, number: int, name: str) -> None:
        totals = self._totals(number)
        with FileVector.reading(self.folder / "upload") as upload:
            if totals.receive(name, frames(upload, totals.layout), "") != self.heard[name][0].digest.hex():
                raise RuntimeError("the upload is not the one that was signed")
        totals.add(name)
        totals.settle()

    def _close(self, state: Collector) -> Any:
        for _, revealed in self.heard.values():
            state = collector.revealed(state, revealed)
        state, plan = collector.close_revealing(state)
        self._totals(len(self.policy.roster)).unmask(plan)
        return collector.total(state)

    def _state(self, name: str) -> Member:
        return Member.from_bytes(self.states[name], self.policy, self.keys.secrets[name])

    def _totals(self, added: int) -> Totals:
        group = collector_group(self.policy, self.public or None, self.policy.roster[0])
        return FileTotals(self.folder / "totals", Here(group), added)

    def _layout_size(self) -> int:
        return (self.folder / "upload").stat().st_size

    def _check(self) -> None:
        """The opened total is as many times the summand as there are institutions."""
        pairs = zip(_integers(self.folder / "opened"), _integers(self.folder / "summand"), strict=True)
        count = len(self.policy.roster)
        require(right=all((total == count * one).all() for total, one in pairs), system="Consortia")


def _integers(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        while len(piece := np.fromfile(file, "<i4", PIECE)):
            yield piece
