"""The jobs: joint statistics, a joint model while a customer withdraws, encrypted scoring, and a refusal."""

from typing import Any

from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds.train import Parameters
from examples.credit_risk import commands, consents, jobs, scoring
from examples.credit_risk.jobs import Job
from examples.credit_risk.reference import Training
from examples.credit_risk.scene import Scene, Summary
from examples.credit_risk.split import BANKS, SUBJECT
from examples.credit_risk.story import size

EDUCATION = {"1": "graduate school", "2": "university", "3": "high school", "4": "others"}
STATISTICS, TRAIN, SCORE, REFUSED = (
    "statistics-by-education",
    "train-default-model",
    "score-applicants",
    "refused-column",
)


def run(scene: Scene) -> Summary:
    """All jobs, in order; returns what the summary says of them."""
    story = scene.story
    with story.step("statistics", "Job: joint statistics"):
        first = _statistics(scene)
        _tell_statistics(scene, first)
    with story.step("train", "Job: one model from all three banks"):
        trained = _train(scene)
        auc = _compare(scene, trained)
    with story.step("statistics_again", "The same statistics, one consent fewer"):
        again = _statistics(scene)
        _tell_difference(scene, first, again)
    with story.step("score", "Job: scoring on encrypted features"):
        scored, error = scoring.run(scene, SCORE)
    with story.step("refused", "Job: one that asks for too much"):
        refused = _refused(scene)
    done = {STATISTICS: first, TRAIN: trained, f"{STATISTICS}-again": again, SCORE: scored, refused.name: refused}
    clauses = sorted({str(refusal["clause"]) for refusal in refused.refusals})
    return {
        "auc": auc,
        "score_max_abs_error": error,
        "withdrawn_rows": _count(first) - _count(again),
        "train_job": trained.id,
        "refused": [{"job": refused.name, "clause": clause} for clause in clauses],
        "bytes": {name: job.travelled for name, job in done.items()},
    }


def _statistics(scene: Scene) -> Job:
    with scene.story.working("the banks add up their tables, sealed") as tell:
        return jobs.run(STATISTICS, scene.places.analyst, tell)


def _tell_statistics(scene: Scene, job: Job) -> None:
    story, groups = scene.story, job.result["groups"]
    named = [(EDUCATION.get(code, "any other"), group) for code, group in groups.items()]
    rows = [_line(name, group) for name, group in [*named, ("all", job.result["overall"])]]
    story.table(("education", "clients", "defaulted", "limit, mean", "± std", "age, mean", "± std"), rows)
    story.remark("kept", "every bank: its own table; nobody but its node saw it")
    story.remark("travelled", f"{size(job.travelled)}: each bank's table, under masks that only the sum sheds")
    story.remark(
        "travelled", "the sum of the three, to the banks, who opened it and sealed the result to the analyst"
    )
    story.remark("proved", f"by every bank's receipt: {job.sealing}")
    expected = sum(len(rows.labels) for rows in scene.market.train.values())
    if _count(job) == expected:
        story.remark(
            "proved", f"the count is exact: {expected:,} clients with consent, counted outside the network"
        )


def _count(statistics: Job) -> int:
    """How many rows the statistics are over."""
    return int(statistics.result["overall"]["count"])


def _line(name: str, group: dict[str, Any]) -> tuple[str, ...]:
    limit, age = group["columns"]["limit_bal"], group["columns"]["age"]
    numbers = [f"{float(value):,.0f}" for value in (limit["mean"], limit["std"])]
    ages = [f"{float(value):.1f}" for value in (age["mean"], age["std"])]
    return name, f"{group['count']:,}", f"{float(group['label_rate']):.1%}", *numbers, *ages


def _train(scene: Scene) -> Job:
    """Train; and in the middle of it a customer of bank-a changes their mind."""
    places = scene.places
    with scene.story.working("training") as tell:
        job = jobs.submit(TRAIN, places.analyst)
        jobs.watch(job, places.analyst, tell, until=lambda status: str(status["stage"]).startswith("round"))
        about = ("--purpose", consents.PURPOSE, "--config", places.node("bank-a"))
        commands.run("consent", "withdraw", _someone(scene), *about)
        tell("a customer of bank-a withdraws consent")
        return jobs.finish(job, places.analyst, tell)


def _compare(scene: Scene, job: Job) -> dict[str, Any]:
    """The job's model beside those that this demo fits outside the network."""
    story, market, training = scene.story, scene.market, _training()
    with story.working("computing the references outside the network"):
        pooled, unsealed = market.auc(market.pooled()), market.auc(market.federated(training))
        alone = {bank: round(market.auc(market.alone(bank)), 6) for bank in BANKS}
    federated = float(job.result["evaluation"]["auc"])
    rows = [
        ("federated: what the job returned", f"{federated:.4f}"),
        ("the same training in plain sight *", f"{unsealed:.4f}"),
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
        f"{size(job.travelled)} in {training.rounds} rounds: masked updates, which the coordinator added unread",
    )
    story.remark("proved", f"by every bank's receipt: {job.sealing}")
    story.remark(
        "proved", f"the joint model is within {abs(pooled - federated):.4f} of the one from pooled records"
    )
    story.remark(
        "noted", "meanwhile a customer of bank-a withdrew consent, and was left out from the next round on"
    )
    return {"federated": federated, "pooled": round(pooled, 6), "alone": alone}


def _tell_difference(scene: Scene, first: Job, again: Job) -> None:
    before, now = _count(first), _count(again)
    scene.story.remark("travelled", f"{size(again.travelled)}, sealed as before")
    scene.story.remark(
        "proved", f"{before:,} customers before the withdrawal, {now:,} after it: {before - now} fewer"
    )


def _refused(scene: Scene) -> Job:
    story = scene.story
    with story.working("asking for statistics by marital status, which the agreement does not name") as tell:
        job = jobs.run(REFUSED, scene.places.analyst, tell, expected="refused")
    for clause, what in sorted({(refusal["clause"], refusal["what"]) for refusal in job.refusals}):
        banks = ", ".join(sorted(refusal["institution"] for refusal in job.refusals if refusal["what"] == what))
        story.remark("refused", f"by {banks}: {what} (clause {clause})")
    story.remark("kept", "everything: no row was read, and each bank logged its refusal")
    return job


def _someone(scene: Scene) -> str:
    """A customer of bank-a whose consent stands: the first by number."""
    subjects = sorted(scene.parts["bank-a", "clients"][SUBJECT].to_pylist())
    states = consents.standing(subjects)
    return next(str(subject) for subject, state in zip(subjects, states, strict=True) if state == consents.GIVEN)


def _training() -> Training:
    """The settings in the train job's spec."""
    spec = JobSpec.from_yaml((jobs.SPECS / f"{TRAIN}.yaml").read_text(), TRAIN)
    asked = spec.parameters
    if not isinstance(asked, Parameters):
        raise TypeError(TRAIN)
    return Training(asked.rounds, asked.local_steps, float(asked.learning_rate), float(asked.l2), float(asked.clip))
