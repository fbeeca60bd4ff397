"""Whose cosignatures this party's own checkpoints need: the policy file, read anew for each round, on the log.

An operator may edit the file; what is in force is what stands in it, and each change is logged with the policy
attached before anything is released under it. A missing or damaged file lets nothing be released.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Literal, NoReturn

from consortia_common import keyfiles
from consortia_common.audit_log import AuditLog
from consortia_common.errors import CommonError, WitnessError
from consortia_crypto import canonical
from consortia_crypto.audit.notekeys import VerifierKey
from consortia_crypto.audit.policy import Log, Policy
from consortia_crypto.errors import PolicyError

NONE: Literal["none"] = "none"
"""The setting of those who release without witnesses, and say so."""
_NOBODY = Policy((), (), (), NONE)
_WITNESS = "/witness"


@dataclass
class PolicyFile:
    """The policy in the file ``where``, or that nobody's cosignature is needed."""

    where: Path | Literal["none"]
    log: AuditLog
    _logged: bytes | None = field(default=None, init=False)
    _one_at_a_time: Lock = field(default_factory=Lock, init=False)

    def read(self) -> Policy:
        """The policy in force; logged if it is not the one that was read before. Raises WitnessError."""
        raw, policy = (b"", _NOBODY) if self.where == NONE else self._parse(Path(self.where))
        with self._one_at_a_time:
            if raw != self._logged:
                self._put_down(raw, policy)
                self._logged = raw
        return policy

    def _put_down(self, raw: bytes, policy: Policy) -> None:
        attached = canonical.encode({"v": 1, "policy": raw.decode("utf-8", "replace")})
        self.log.append(
            "witness.policy",
            payload_commit=self.log.attach(attached),
            quorum=policy.quorum,
            witnesses=[item.name for item in policy.witnesses],
        )

    def _parse(self, path: Path) -> tuple[bytes, Policy]:
        try:
            raw = keyfiles.read_file(path)
            return raw, Policy.parse(raw)
        except (CommonError, PolicyError) as error:
            _refuse(path, error)


def for_log(policy: Policy, keys: Sequence[VerifierKey]) -> Policy:
    """The same policy for one log, whose checkpoints ``keys`` sign; what the file says of logs does not matter."""
    return replace(policy, logs=tuple(Log(key) for key in keys))


def institution_of(key: VerifierKey, network: str) -> str:
    """Whose witness key it is by its name; empty if it is of another network or no institution's."""
    name = key.name.removeprefix(f"consortia.{network}/")
    return name.removesuffix(_WITNESS) if name != key.name and name.endswith(_WITNESS) else ""


def _refuse(path: Path, error: CommonError | PolicyError) -> NoReturn:
    raise WitnessError(
        f"nothing is released here, because there is no good witness policy: {error.what}",
        blame="whoever runs this process",
        remedy=f"write {path.name} with `consortia node witnesses` or `consortia coordinator witnesses`, or set "
        'witnesses = "none" to release without any, which the log then says',
    ) from error
