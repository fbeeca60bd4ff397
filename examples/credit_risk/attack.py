"""The differencing attack: the same statistics before and after one withdrawal, whose difference is one customer.

Each answer alone is harmless. What both together would give away is computed here outside the network, by somebody
who may see everything; the network's part is to refuse the second answer.
"""

from dataclasses import dataclass
from typing import Any

from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds.statistics import Parameters
from examples.credit_risk import jobs
from examples.credit_risk.jobs import Job
from examples.credit_risk.reference import with_consent
from examples.credit_risk.scene import Scene
from examples.credit_risk.split import BANKS, SUBJECT


@dataclass(frozen=True)
class Sums:
    """How many customers, how many defaulted, and each column's total."""

    count: int
    defaulted: int
    columns: dict[str, int]

    @classmethod
    def of(cls, answer: dict[str, Any]) -> "Sums":
        """Out of a released answer: its means, times its count."""
        count = int(answer["count"])
        totals = {name: round(float(found["mean"]) * count) for name, found in answer["columns"].items()}
        return cls(count, round(float(answer["label_rate"]) * count), totals)

    def less(self, other: "Sums") -> "Sums":
        """What is left of these after the ``other``."""
        columns = {name: total - other.columns[name] for name, total in self.columns.items()}
        return Sums(self.count - other.count, self.defaulted - other.defaulted, columns)


def run(scene: Scene, spec: str, earlier: list[Job], customer: str) -> tuple[Job, int]:
    """Ask again; the refused job, and how many customers the difference of both answers would have shown.

    ``earlier``: the statistics, and what else has been answered since.
    """
    story = scene.story
    with story.working("the analyst asks for the same statistics again, after one withdrawal") as tell:
        job = jobs.run(spec, scene.places.analyst, tell, expected="refused")
    jobs.tell_refusals(story, job)
    names = {one.id: one.name for one in earlier}
    met = sorted({name for refusal in job.refusals for one, name in names.items() if one in refusal["what"]})
    story.remark("noted", f"the earlier job is {' and '.join(met) or 'unknown'}, which began with that customer")
    left = Sums.of(earlier[0].result["overall"]).less(_without(scene, spec, customer))
    _tell(scene, left)
    return job, left.count


def _without(scene: Scene, name: str, customer: str) -> Sums:
    """What the second answer would have been made of."""
    asked = JobSpec.from_yaml((jobs.SPECS / f"{name}.yaml").read_text(), name).parameters
    if not isinstance(asked, Parameters):
        raise TypeError(name)
    tables = [with_consent(scene.parts[bank, asked.dataset]) for bank in BANKS]
    rows = [row for table in tables for row in table.to_pylist() if row[SUBJECT] != customer]
    totals = {column: sum(round(row[column]) for row in rows) for column in asked.columns}
    return Sums(len(rows), sum(round(row[str(asked.label)]) for row in rows), totals)


def _tell(scene: Scene, left: Sums) -> None:
    story = scene.story
    story.say("What the analyst would have had by subtracting the second answer from the first statistics *:")
    facts = [("clients", f"{left.count:,}"), ("of them defaulted", f"{left.defaulted:,}")]
    story.facts([*facts, *((name, f"{total:,}") for name, total in left.columns.items())])
    story.say("* computed by this demo outside the network, as nobody in it can")
    story.remark("kept", "this one customer's record; the analyst has the first answer, and uses that")
