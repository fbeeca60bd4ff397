"""bank-a's applicants scored by bank-b's own scorecard, encrypted; then checked against plain arithmetic."""

import numpy as np
import pyarrow.parquet as pq

from consortia_common.documents.model import LinearModel
from examples.credit_risk import commands, consents, jobs
from examples.credit_risk.errors import DemoError
from examples.credit_risk.jobs import Job
from examples.credit_risk.reference import Linear
from examples.credit_risk.scene import Scene
from examples.credit_risk.split import FEATURES, SUBJECT
from examples.credit_risk.story import size

MODEL = "b-scorecard"


def run(scene: Scene, spec: str) -> tuple[Job, float]:
    """Give bank-b its scorecard, run the job, compare; returns the job and the largest absolute error."""
    story, places = scene.story, scene.places
    with story.working("bank-b fits its own scorecard on its own customers"):
        scorecard = scene.market.alone("bank-b")
        _import(scene, scorecard)
    with story.working("bank-a encrypts, bank-b scores what it can't read") as tell:
        job = jobs.run(spec, places.analyst, tell)
    count, error = _compare(scene, job, scorecard)
    story.say(
        f"bank-a has {count:,} applicants with consent, bank-b a scorecard that it guards. bank-a encrypts the "
        "features under a key of its own; bank-b computes the scores on ciphertext; only bank-a can open them."
    )
    story.remark("kept", "bank-a: features, key and scores; bank-b: its weights")
    story.remark("travelled", f"{size(job.travelled)}: encrypted features and scores, in sealed envelopes")
    story.remark(
        "noted",
        "bank-a gets scores and nothing else; enough of them give a linear model away, so agreements limit them",
    )
    story.remark("proved", f"every score agrees with plain arithmetic; the largest difference is {error:.6f}")
    return job, error


def _import(scene: Scene, scorecard: Linear) -> None:
    numbers = [list(map(float, part)) for part in (scorecard.weights, scorecard.mean, scorecard.scale)]
    weights, means, scales = numbers
    model = LinearModel.from_numbers(FEATURES, weights, scorecard.bias, means, scales)
    path = scene.places.data("bank-b") / f"{MODEL}.json"
    path.write_text(model.model_dump_json())
    commands.run("model", "add", MODEL, path, "--config", scene.places.node("bank-b"))


def _compare(scene: Scene, job: Job, scorecard: Linear) -> tuple[int, float]:
    """How many were scored, and the largest difference from scoring the same customers in plain text."""
    file = scene.places.node("bank-a").parent / "results" / job.id / "scores.parquet"
    if not file.exists():
        raise DemoError(
            f"bank-a's node kept no scores for {job.id}",
            blame="bank-a's node",
            remedy="read logs/bank-a.log in the demo's folder, and run the demo again",
        )
    scored = dict(zip(*pq.read_table(file).columns, strict=True))
    scores = {subject.as_py(): score.as_py() for subject, score in scored.items()}
    table = scene.parts["bank-a", "clients_test"]
    subjects = table[SUBJECT].to_pylist()
    allowed = {
        subject
        for subject, state in zip(subjects, consents.standing(subjects), strict=True)
        if state == consents.GIVEN
    }
    if set(scores) != allowed:
        raise DemoError(
            "bank-a's node scored other customers than those who consented",
            blame="bank-a's node",
            remedy="report this: it must never happen",
        )
    features = np.column_stack([table[name].to_numpy().astype(np.float64) for name in FEATURES])
    plain = dict(zip(subjects, 1 / (1 + np.exp(-scorecard.scores(features))), strict=True))
    return len(scores), max(abs(float(plain[subject]) - score) for subject, score in scores.items())
