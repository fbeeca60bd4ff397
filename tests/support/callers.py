"""Who calls a service, without a connection: what a certificate names, and how a call was refused."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import grpc
import pytest

from consortia_common import rpc
from consortia_common.tls import Peer
from consortia_coordinator.store.members import ACTIVE, MembersStore
from consortia_coordinator.store.tables import members
from consortia_crypto import canonical
from consortia_crypto.keys import PrivateIdentity

NEVER = datetime(2999, 1, 1, tzinfo=UTC)


class RefusedCallError(Exception):
    """What the caller would be told."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.told = json.loads(details)


@dataclass(frozen=True)
class Caller:
    """Stands for a call's context."""

    institution: str
    role: str
    name: str
    network: str = "lab"
    not_after: datetime = NEVER
    key: str = "key"

    @classmethod
    def of(cls, identity: PrivateIdentity) -> "Caller":
        return cls(identity.institution, identity.role, identity.name)

    def auth_context(self) -> Any:
        return self

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        raise RefusedCallError(code, details)


def know_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have services read who calls from a Caller."""

    def peer_of(caller: Caller) -> Peer:
        return Peer(caller.network, caller.institution, caller.role, caller.name, caller.not_after, caller.key)

    monkeypatch.setattr(rpc, "peer_of", peer_of)


def admit(store: MembersStore, *identities: PrivateIdentity, state: str = ACTIVE) -> None:
    """Make each identity a member."""
    with store._engine.begin() as connection:
        for identity in identities:
            key = {"institution": identity.institution, "role": identity.role, "name": identity.name}
            row = {"identity": canonical.encode(identity.public.document()), "state": state, "enrolled_ms": 1}
            row |= {"tls_key": "key", "issuer": "issuer", "not_after_ms": 1}
            connection.execute(members.insert().values(key | row))


async def everything(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]
