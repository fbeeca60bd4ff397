"""What all check alike: who took part, on which set of summands they agreed, and that enough of them signed it.

Everything here was relayed by the coordinator, which is trusted for none of it. Signatures are those of the epoch's
round keys, which ``keys`` holds by institution.
"""

from collections.abc import Collection, Mapping

from consortia_crypto.errors import SumError
from consortia_crypto.sum.messages import Certificate, Head, Listed, SetProposal, check_head, check_set_signature
from consortia_crypto.sum.terms import SumPolicy


def in_roster_order(policy: SumPolicy, names: Collection[str]) -> tuple[str, ...]:
    """``names`` as they stand in the roster."""
    return tuple(name for name in policy.roster if name in names)


def padders(policy: SumPolicy, participants: Collection[str]) -> tuple[str, ...]:
    """Pad: the first |U1| − t + 1 of U1, so that of any t of U1 at least one has put a pad on its upload."""
    return in_roster_order(policy, participants)[: len(participants) - policy.threshold + 1]


def check_participants(
    policy: SumPolicy, rid: bytes, heads: Mapping[str, Head] | Mapping[str, Listed], keys: Mapping[str, bytes]
) -> None:
    """Return if ``heads`` are U1 of round ``rid``: at least t of the roster, each with its signed R1."""
    check_members(policy, heads, policy.roster, "the list of participants")
    for name in heads:
        check_head(rid, name, heads[name], keys[name])


def check_proposal(policy: SumPolicy, ctx: bytes, participants: Collection[str], proposal: SetProposal) -> None:
    """Return if ``proposal`` is a set of at least t participants of the round ``ctx``."""
    if proposal.ctx != ctx:
        raise lied("the set of summands belongs to another round, or to another list of participants")
    check_members(policy, proposal.uploads, participants, "the set of summands")


def is_whole(participants: Collection[str], proposal: SetProposal) -> bool:
    """Whether everybody on the list has uploaded: then no pair secret is asked for."""
    return set(proposal.uploads) == set(participants)


def check_certificate(
    policy: SumPolicy,
    ctx: bytes,
    participants: Collection[str],
    certificate: Certificate,
    keys: Mapping[str, bytes],
) -> None:
    """Return if at least t members of one set of participants signed exactly that set."""
    check_proposal(policy, ctx, participants, certificate.proposal)
    check_members(policy, certificate.signatures, certificate.proposal.uploads, "the list of signers")
    for name, signature in certificate.signatures.items():
        check_set_signature(certificate.proposal, name, signature, keys[name])


def check_members(policy: SumPolicy, names: Collection[str], among: Collection[str], what: str) -> None:
    """Return if ``names`` are at least t, all ``among`` those who may be there; else raise SumError."""
    if strangers := sorted(set(names) - set(among)):
        raise lied(f"{what} names {', '.join(strangers)}, who can't be there")
    if len(names) < policy.threshold:
        raise lied(f"{what} has {len(names)} institutions, and at least {policy.threshold} are needed")


def lied(why: str) -> SumError:
    """What is raised for something that no honest coordinator says."""
    return SumError(
        f"a sealed sum was refused: {why}",
        blame="the coordinator",
        remedy="stop the job and compare the logs of this round",
    )
