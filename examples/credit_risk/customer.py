"""What the customer who withdrew is told: a report out of bank-a's own log."""

from typing import Any

from examples.credit_risk import commands
from examples.credit_risk.scene import Scene
from examples.credit_risk.story import Story, minute


def run(scene: Scene, customer: str) -> dict[str, int]:
    """Have bank-a's service desk make the report, show some of it; returns what it counts."""
    bank = scene.places.node("bank-a").parent
    words = ("subject", "report", customer, "--config", scene.places.node("bank-a"))
    with scene.story.working("bank-a's service desk prints the report"):
        report = commands.ask(*words)
        for language in ("en", "zh"):
            commands.run(*words, "--lang", language, "--html", bank / f"customer-report.{language}.html")
    _tell(scene.story, report)
    return {"uses": len(report["uses"]), "acknowledgements": len(report["acknowledgements"])}


def _tell(story: Story, report: dict[str, Any]) -> None:
    rows = [
        (
            one["job"],
            f"{len(one['columns'])} columns of {one['dataset']}",
            ", ".join(name for name in one["with"] if name != report["institution"]),
            str(one["entry"]),
        )
        for one in report["uses"]
    ]
    story.table(("used by", "data", "together with", "log entry"), rows)
    versions = ", then ".join(f"{one['state']} since {minute(one['effective_at'])}" for one in report["consents"])
    story.remark("noted", f"their consent: {versions}")
    story.remark(
        "proved",
        "each use, by an entry of bank-a's log that commits to this customer's consent; the refused job is no use",
    )
    story.remark("kept", "at bank-a, to print and hand over: customer-report.en.html, customer-report.zh.html")
