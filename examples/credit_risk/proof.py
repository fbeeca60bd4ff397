"""The regulator's chapter: the four logs taken and verified offline, and a forged copy that is found out."""

from pathlib import Path

from examples.credit_risk import evidence, training
from examples.credit_risk.evidence import OWNERS, Verdict
from examples.credit_risk.processes import Processes
from examples.credit_risk.scene import Scene, Summary

_ALONE = {
    True: "verifies with the verify.py inside it, on a Python without any library",
    False: "does not verify with the verify.py inside it",
}


def run(scene: Scene, processes: Processes, summary: Summary) -> None:
    """Collect, stop every process, verify, forge, verify; puts the verdicts into ``summary``."""
    story, places = scene.story, scene.places
    with story.working("the regulator takes the four logs"):
        folders = evidence.collect(places)
        evidence.ask_for_witnesses(places, folders)
    processes.stop()
    story.say(
        "All processes are stopped; what follows needs the copies, and the owners' fingerprints, nothing else."
    )
    with story.working("verifying every entry of four logs"):
        verdicts = {
            owner: evidence.verify(folders[owner], scene.fingerprints[owner], places.policy) for owner in OWNERS
        }
    for owner, verdict in verdicts.items():
        story.remark("proved", f"{owner}: {verdict.sentence}; {_extent(verdict)}")
    _name_witnesses(scene, folders, verdicts)
    with story.working("comparing the four logs, and verifying them with Python alone"):
        agreed, lacking = evidence.compare(folders)
        alone = evidence.verify_alone(places)
    if lacking:
        story.remark("noted", f"the logs differ: {'; '.join(lacking[:3])}")
    else:
        story.remark("proved", f"{agreed} messages stand in the logs at both of their ends; no log leaves one out")
    story.remark("proved" if alone else "noted", "an export of the four " + _ALONE[alone])
    summary["left_out_of_a_log"] = len(lacking)
    summary["standalone_verifier"] = alone
    job = summary.pop("train_job")
    used, left_out = evidence.cohorts(folders, job)
    story.remark(
        "noted", f"by the banks' logs the model used {used:,} rows, and left out {left_out:,} without consent"
    )
    summary["rows"] = {"used": used, "left_out_no_consent": left_out}
    summary["receipts"] = _receipts(scene, job, used)
    summary["audit"] = {owner: verdict.sentence for owner, verdict in verdicts.items()}
    with story.working("forging a copy of bank-b's log"):
        summary["tampered_copy"] = _forge(scene, folders["bank-b"])


def _receipts(scene: Scene, job: str, used: int) -> str:
    """The regulator's check of what every bank signed about the training: by itself, and against the logs."""
    rows = evidence.receipted(training.proof_of(scene.places, job), scene.agreement)
    verdict = "agree with the logs" if rows == used else f"tell of {rows:,} rows, the logs of {used:,}"
    scene.story.remark(
        "proved", f"the receipts of the training, signed by every bank under {scene.agreement[:26]}…, {verdict}"
    )
    return verdict


def _name_witnesses(scene: Scene, folders: dict[str, Path], verdicts: dict[str, Verdict]) -> None:
    """Who cosigned which log; the verdicts above were given under this policy."""
    for owner in verdicts:
        names = evidence.witnesses_of(folders[owner])
        scene.story.remark("proved", f"{owner}'s log was cosigned by {' and '.join(names) or 'nobody'}")


def _extent(verdict: Verdict) -> str:
    """What the verdict is about, or why it isn't a good one."""
    report = verdict.report
    if report["cause"]:
        return str(report["cause"])
    accesses = report["accesses_covered"]
    covered = f", {accesses} accesses to data, each covered by agreement and consent" if accesses else ""
    return f"{report['entries']:,} entries, chained and signed{covered}"


def _forge(scene: Scene, folder: Path) -> str:
    """Change one byte, verify; mend the checksum as a cleverer forger would, verify again."""
    story, fingerprint = scene.story, scene.fingerprints["bank-b"]
    copy = folder.parent / "bank-b-forged"
    number = evidence.flip(folder, copy)
    plain = evidence.verify(copy, fingerprint, scene.places.policy)
    story.say("Now one byte of a copy of bank-b's log is changed: a digit of how many rows a job used.")
    story.remark("proved", f"{plain.sentence}: {plain.report['cause']}")
    evidence.mend(copy, folder, number)
    mended = evidence.verify(copy, fingerprint, scene.places.policy)
    story.remark("proved", f"with the checksum forged as well: {mended.sentence}: {mended.report['cause']}")
    return plain.sentence
