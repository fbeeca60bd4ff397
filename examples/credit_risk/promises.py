"""What customers consented to and what the banks promise each other: three nodes and three officers sign it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from examples.credit_risk import agreement, commands, consents, network
from examples.credit_risk.network import NAMED_OFFICERS, OFFICERS, Places, User
from examples.credit_risk.scene import Scene
from examples.credit_risk.split import BANKS


def run(scene: Scene) -> Scene:
    """Import the consents, sign the agreement; the scene with its reference."""
    story = scene.story
    with story.working("importing each bank's consent table"):
        counts = dict(zip(BANKS, network.together(lambda bank: _consents(scene, bank), BANKS), strict=True))
    states = (consents.GIVEN, consents.REFUSED, consents.WITHDRAWN, consents.EXPIRED)
    rows = [(bank, *(f"{counts[bank][state]:,}" for state in states)) for bank in BANKS]
    story.table((f"consent to “{consents.PURPOSE}”", *states), rows)
    with story.working("proposing the agreement; each bank's node and each bank's officer sign it"):
        waited, active = _sign(scene)
    _tell(scene, waited, active)
    return replace(scene, agreement=active["reference"])


def _consents(scene: Scene, bank: str) -> dict[str, int]:
    path = scene.places.data(bank) / "consent.parquet"
    counts = consents.write([scene.parts[bank, name] for name in network.DATASETS], path)
    commands.run("consent", "notice", consents.TEMPLATE, "--config", scene.places.node(bank))
    commands.run("consent", "import", path, "--config", scene.places.node(bank))
    return dict(counts)


def _sign(scene: Scene) -> tuple[Any, Any]:
    """Propose at bank-a, sign everywhere; the agreement as it waited for the officers, and as it is in force."""
    places = scene.places
    path = places.root / "agreement.yaml"
    agreement.write(agreement.build(agreement.TEMPLATE.read_text(), scene.fingerprints), path)
    commands.run("agreement", "propose", path, "--config", places.node("bank-a"))
    network.together(lambda bank: _sign_as_node(places, bank), BANKS[1:])
    waited = _await(places, "bank-a", lambda known: len(known["signers"]) == len(BANKS))
    network.together(lambda officer: _sign_as_officer(places, officer), OFFICERS)
    active = network.together(lambda bank: _await(places, bank, lambda known: known["state"] == "active"), BANKS)
    return waited, active[0]


def _sign_as_node(places: Places, bank: str) -> None:
    found = _await(places, bank, lambda known: known["state"] == "proposed")
    commands.run("agreement", "sign", found["reference"], "--config", places.node(bank))


def _sign_as_officer(places: Places, officer: User) -> None:
    """As a person does who has read the text at their own bank: the coordinator is not believed."""
    found = _await(places, officer.institution, lambda known: known["state"] == "proposed")
    commands.run("agreement", "sign", found["reference"], "--profile", places.profile(officer))


def _tell(scene: Scene, waited: Any, active: Any) -> None:
    story = scene.story
    story.say(
        "\nThe agreement names the purpose, the columns, the kinds of job, the smallest groups, and everybody's "
        f"keys. It binds once every bank's node and officer have signed it: {active['reference'][:26]}…"
    )
    story.remark(
        "noted",
        f"signed by three nodes it was {waited['state']}, and missed signatures of {', '.join(waited['missing'])}: "
        f"their officers'. Signed by {NAMED_OFFICERS} as well, with their own keys, it is {active['state']}",
    )
    story.remark("kept", "each bank: who consented to what; every node decides by its own copy")
    story.remark(
        "travelled",
        f"the agreement and {len(active['signers'])} signatures, through the coordinator, which can't alter them",
    )


def _await(places: Places, bank: str, ready: Callable[[Any], bool]) -> Any:
    """The agreement as ``bank``'s node has it, once it is ``ready``."""
    question = ("agreement", "list", "--config", places.node(bank))
    return commands.until(question, ready, f"the agreement did not become at {bank} what it should")
