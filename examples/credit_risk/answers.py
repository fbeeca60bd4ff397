"""The jobs: joint statistics, a joint model while a customer withdraws, encrypted scoring, and two refusals."""

from typing import Any

from examples.credit_risk import attack, customer, jobs, scoring, training
from examples.credit_risk.jobs import Job
from examples.credit_risk.scene import Scene, Summary
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
        statistics = _statistics(scene)
    with story.step("train", "Job: one model from all three banks, approved by three people"):
        trained = training.run(scene, TRAIN)
    with story.step("attack", "The same statistics, one consent fewer: an attack"):
        attacked, shown = attack.run(scene, STATISTICS, [statistics, trained.job], trained.customer)
    with story.step("score", "Job: scoring on encrypted features"):
        scored, error = scoring.run(scene, SCORE)
    with story.step("refused", "Job: one that asks for too much"):
        refused = _refused(scene)
    with story.step("customer", "What the customer who withdrew is told"):
        told = customer.run(scene, trained.customer)
    travelled = {STATISTICS: statistics, TRAIN: trained.job, f"{STATISTICS}-again": attacked, SCORE: scored}
    return {
        "auc": trained.auc,
        "score_max_abs_error": error,
        "train_job": trained.job.id,
        "withdrawal": trained.reach,
        "attack": {"would_have_shown": shown, "stopped_by": jobs.clauses(attacked)},
        "customer_report": told,
        "refused": [
            {"job": job.name, "clause": clause} for job in (attacked, refused) for clause in jobs.clauses(job)
        ],
        "bytes": {name: job.travelled for name, job in (travelled | {refused.name: refused}).items()},
    }


def _statistics(scene: Scene) -> Job:
    with scene.story.working("the banks add up their tables, sealed") as tell:
        job = jobs.run(STATISTICS, scene.places.analyst, tell)
    story, groups = scene.story, job.result["groups"]
    named = [(EDUCATION.get(group["group"]["education"], "any other"), group) for group in groups]
    rows = [_line(name, group) for name, group in [*named, ("all", job.result["overall"])]]
    story.table(("education", "clients", "defaulted", "limit, mean", "± std", "age, mean", "± std"), rows)
    if any(group["label_rate"] is None for group in groups):
        story.remark("noted", "a rate that would count fewer than ten clients is withheld, and one more beside it")
    story.remark("kept", "every bank: its own table; nobody but its node saw it")
    story.remark("travelled", f"{size(job.travelled)}: each bank's table, under masks that only the sum sheds")
    story.remark(
        "travelled", "the sum of the three, to the banks, who opened it and sealed the result to the analyst"
    )
    story.remark("proved", f"by every bank's receipt: {job.sealing}")
    expected = sum(len(rows.labels) for rows in scene.market.train.values())
    if int(job.result["overall"]["count"]) == expected:
        story.remark(
            "proved", f"the count is exact: {expected:,} clients with consent, counted outside the network"
        )
    return job


def _line(name: str, group: dict[str, Any]) -> tuple[str, ...]:
    limit, age = group["columns"]["limit_bal"], group["columns"]["age"]
    numbers = [f"{float(value):,.0f}" for value in (limit["mean"], limit["std"])]
    ages = [f"{float(value):.1f}" for value in (age["mean"], age["std"])]
    rate = group["label_rate"]
    return name, f"{group['count']:,}", "withheld" if rate is None else f"{float(rate):.1%}", *numbers, *ages


def _refused(scene: Scene) -> Job:
    story = scene.story
    with story.working("asking for statistics by marital status, which the agreement does not name") as tell:
        job = jobs.run(REFUSED, scene.places.analyst, tell, expected="refused")
    jobs.tell_refusals(story, job)
    story.remark("kept", "everything: no row was read, and each bank logged its refusal")
    return job
