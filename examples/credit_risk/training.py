"""One model from all three banks: officers approve the job, and in the middle a customer withdraws consent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.credit_risk import commands, consents, jobs, network
from examples.credit_risk.jobs import Job
from examples.credit_risk.network import NAMED_OFFICERS, OFFICERS, Places, User
from examples.credit_risk.scene import Scene
from examples.credit_risk.split import BANKS, SUBJECT
from examples.credit_risk.story import minute, size


@dataclass(frozen=True)
class Trained:
    """The job, its AUC beside the references, and what the withdrawal in the middle of it reached."""

    job: Job
    auc: dict[str, Any]
    customer: str
    """Bank-a's number of the customer who withdrew."""
    reach: dict[str, Any]


def run(scene: Scene, spec: str) -> Trained:
    """Submit, have it approved, train while a customer withdraws, compare, and keep the proof of the job."""
    places, customer = scene.places, _someone(scene)
    job = jobs.submit(spec, places.analyst)
    approve(scene, job)
    with scene.story.working("training") as tell:
        jobs.watch(job, places.analyst, tell, until=lambda status: str(status["stage"]).startswith("round"))
        about = ("--purpose", consents.PURPOSE, "--config", places.node("bank-a"))
        commands.run("consent", "withdraw", customer, *about)
        tell("a customer of bank-a withdraws consent")
        done = jobs.finish(job, places.analyst, tell)
    auc = _compare(scene, done)
    commands.run("job", "receipt", job, "--profile", places.analyst, "--out", proof_of(places, job))
    return Trained(done, auc, customer, _reach(scene, customer))


def proof_of(places: Places, job: str) -> Path:
    """Where the analyst keeps the proof of a job."""
    return places.analyst / f"{job}.receipts.json"


def approve(scene: Scene, job: str) -> None:
    """Show where the job waits, and have one officer of each bank approve it."""
    story, places = scene.story, scene.places
    with story.working("the job waits for an officer of each bank"):
        waits = network.together(lambda bank: _waiting(places, bank, job), BANKS)
    rows = [
        (
            bank,
            one["submission"]["spec"]["kind"],
            f"{len(one['approved_by'])} of {one['officers']}",
            minute(one["until"]),
        )
        for bank, one in zip(BANKS, waits, strict=True)
    ]
    story.table((f"{job} waits at", "asks to", "approved", "until"), rows)
    story.remark(
        "noted", "each node's gate has accepted it; no row is read before an officer has approved it as well"
    )
    with story.working("the officers look at what it asks, and approve"):
        network.together(lambda officer: _sign_off(places, officer, job), OFFICERS)
    story.remark("travelled", f"three signatures over this very job: {NAMED_OFFICERS}")


def _waiting(places: Places, bank: str, job: str) -> Any:
    """The job as it waits at ``bank``."""
    question = ("job", "waiting", "--config", places.node(bank))
    return commands.until(question, lambda one: bool(one["job_id"] == job), f"{job} does not wait at {bank}")


def _sign_off(places: Places, officer: User, job: str) -> None:
    commands.run("job", "approve", job, "--profile", places.profile(officer))


def _reach(scene: Scene, customer: str) -> dict[str, Any]:
    """Tell what the withdrawal reached, once the recipients have acknowledged it."""
    story, config = scene.story, scene.places.node("bank-a")
    with story.working("waiting for the other banks to acknowledge the withdrawal"):
        found = commands.until(
            ("consent", "show", customer, "--config", config),
            lambda one: {told["institution"] for told in one["acknowledgements"]} >= set(one["recipients"]),
            "the recipients do not acknowledge the withdrawal",
        )
    story.say("In the middle of it a customer of bank-a withdrew consent. What bank-a's node says of its reach:")
    rows = [(name, ", ".join(found[key]) or "none") for name, key in _REACH]
    told = [f"{one['institution']}, {minute(one['received_at'])}" for one in found["acknowledgements"]]
    story.facts([*rows, ("acknowledged by", "; ".join(told))])
    story.remark("noted", "the job went on without the customer from the next round on, as the agreement says")
    story.remark("travelled", "to the other banks: which jobs relied on a consent that stands no more; not whose")
    return {name: found[key] for name, key in _REACH} | {"acknowledged": len(told)}


_REACH = (("jobs", "reached_jobs"), ("models", "models"), ("recipients", "recipients"))


def _compare(scene: Scene, job: Job) -> dict[str, Any]:
    """The job's model beside those that this demo fits outside the network."""
    story, market = scene.story, scene.market
    with story.working("computing the references outside the network"):
        pooled = market.auc(market.pooled())
        alone = {bank: round(market.auc(market.alone(bank)), 6) for bank in BANKS}
    federated = float(job.result["evaluation"]["auc"])
    rows = [
        ("federated: what the job returned", f"{federated:.4f}"),
        ("all records in one place, which nobody may do *", f"{pooled:.4f}"),
        *((f"{bank} alone *", f"{value:.4f}") for bank, value in alone.items()),
    ]
    story.table(("model, tested on the kept-back customers of all banks", "AUC"), rows)
    story.say(
        "AUC is the chance that a model puts a client who defaults above one who doesn't; 0.5 is guessing.\n"
        "* computed by this demo outside the network, to have something to compare with"
    )
    story.remark("kept", "every bank: its rows, and what it learned from them in each round")
    story.remark(
        "travelled",
        f"{size(job.travelled)}: masked sums of each Newton step, which the coordinator added unread",
    )
    story.remark("proved", f"by every bank's receipt: {job.sealing}")
    story.remark(
        "proved", f"the joint model's AUC differs from that of pooled records by {abs(pooled - federated):.6f}"
    )
    return {"federated": federated, "pooled": round(pooled, 6), "alone": alone}


def _someone(scene: Scene) -> str:
    """A customer of bank-a whose consent stands: the first by number."""
    subjects = sorted(scene.parts["bank-a", "clients"][SUBJECT].to_pylist())
    states = consents.standing(subjects)
    return next(str(subject) for subject, state in zip(subjects, states, strict=True) if state == consents.GIVEN)
