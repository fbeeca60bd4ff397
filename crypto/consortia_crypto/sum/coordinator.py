"""The coordinator's side of the lattice engine: it adds what it can't read.

It holds the public context only; one that comes with its secret key raises PrivateKeyMaterialError and is not
loaded. Its answer is right or refused at the institutions; it is trusted for nothing but being there.
"""

from collections.abc import Mapping

from consortia_crypto.errors import SumError
from consortia_crypto.he.evaluate import Evaluator
from consortia_crypto.he.params import SUM
from consortia_crypto.sum import packing
from consortia_crypto.sum.policy import Sealed, SumPolicy

_MAKER = "the institution that sent the public context"


class LatticeCoordinator:
    """Adds uploads under one policy and one public context."""

    def __init__(self, policy: SumPolicy, public_context: bytes, sender: str = _MAKER) -> None:
        """``sender`` is who made the context, for the errors. Raises CiphertextError, PrivateKeyMaterialError."""
        self._policy = policy
        self._evaluator = Evaluator(SUM, public_context, sender)

    def add(self, uploads: Mapping[str, Sealed]) -> Sealed:
        """The total of exactly one upload from each institution of the roster. Raises SumError, CiphertextError."""
        self._check(uploads)
        return Sealed(
            tuple(
                self._evaluator.add({name: uploads[name].blocks[place] for name in self._policy.roster})
                for place in range(packing.blocks(self._policy))
            )
        )

    def _check(self, uploads: Mapping[str, Sealed]) -> None:
        missing = [name for name in self._policy.roster if name not in uploads]
        if missing:
            raise _refused(f"no upload came from {', '.join(missing)}", ", ".join(missing))
        if len(uploads) != len(self._policy.roster):
            raise _refused("an upload came from outside the roster", "whoever sent it")
        for name in self._policy.roster:
            if len(uploads[name].blocks) != packing.blocks(self._policy):
                raise _refused(f"the upload of {name} has the wrong number of blocks", name)


def _refused(why: str, blame: str) -> SumError:
    return SumError(
        f"uploads were not added: {why}",
        blame=blame,
        remedy="compare the sum policy on both sides with the job specification, then run the round again",
    )
