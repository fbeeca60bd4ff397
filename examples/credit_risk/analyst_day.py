"""An analyst's day in Python, from the catalogue to the model's card; the notebook beside it tells it in prose.

    python -m examples.credit_risk.analyst_day [--folder .demo-day] [--stay]

``play`` is all that an analyst writes; the rest builds the demo's network around it, whose officers approve all
that is asked. With --stay the network runs on for the notebook until Ctrl-C.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from consortia_client.consortium import Consortium
from consortia_client.estimators import FederatedBoostedClassifier, FederatedLogisticRegression
from consortia_client.offering import OfferedDataset
from consortia_common import terminal
from examples.credit_risk import chapters, commands, network
from examples.credit_risk.errors import DemoError
from examples.credit_risk.network import OFFICERS, Places, User
from examples.credit_risk.processes import Processes, end_on_sigterm, free_port
from examples.credit_risk.split import BANKS
from examples.credit_risk.story import Story

LEARN, TEST = "clients", "clients_test"
LOOK_SECONDS = 2.0


def play(consortium: Consortium, folder: Path, trees: int = 32) -> dict[str, Any]:
    """Look at what is offered, ask, train two models, and keep the better one with its card; what came out."""
    offered = consortium.catalogue[0]
    dataset = next(one for one in offered.datasets if one.name == LEARN)
    features, label = columns_of(dataset)
    means = consortium.statistics(dataset=LEARN, columns=features, label=label, progress=False).to_pandas("columns")
    question: dict[str, Any] = {
        "dataset": LEARN,
        "test_dataset": TEST,
        "features": features,
        "label": label,
        "progress": False,
    }
    line = FederatedLogisticRegression(l2=0).fit(consortium, **question)
    forest = FederatedBoostedClassifier(trees=trees, depth=3, learning_rate=0.2).fit(consortium, **question)
    better = max(line, forest, key=lambda model: float(model.evaluation_["auc"]))
    for ending in ("json", "onnx", "html", "md"):
        better.save(folder / f"model.{ending}")
    average = means.set_index("column")["mean"].astype(float)
    chance = better.predict_proba({name: [average[name]] for name in features})[0, 1]
    return {
        "institutions": list(offered.parties),
        "features": features,
        "auc": {type(model).__name__: float(model.evaluation_["auc"]) for model in (line, forest)},
        "kept": better.result_.job_id,
        "chance of the average customer": float(chance),
    }


def columns_of(dataset: OfferedDataset) -> tuple[list[str], str]:
    """The numeric columns, and the one that is to be foretold."""
    label = dataset.label()
    if label is None:
        raise DemoError(
            f"the catalogue says of no column of {dataset.name} that it is the label",
            blame="the datasets.toml of the banks",
            remedy='give the column role = "label" there, and start the nodes anew',
        )
    return [column.name for column in dataset.features()], label.name


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo-day"),
    show_default=True,
    help="Where the network is built; what an earlier run left there is deleted.",
)
@click.option("--stay", is_flag=True, help="Let the network run on, for the notebook, until Ctrl-C.")
def main(folder: Path, *, stay: bool) -> None:
    """An analyst trains a joint model of three banks and writes its card."""
    end_on_sigterm()
    story = Story(Console(highlight=False))
    places = network.clear(folder.resolve())
    with Processes(places.root / "logs") as processes:
        chapters.prepare(story, places, processes, free_port())
        with approving(places), story.step("day", "The analyst's day"):
            with Consortium.connect(places.analyst) as consortium:
                story.facts([(name, str(value)) for name, value in play(consortium, places.root).items()])
            story.say(f"The model and its card: {folder}/model.json, .onnx, .html, .md")
            if stay:
                story.say(f"For the notebook: CONSORTIA_PROFILE={places.analyst}; Ctrl-C ends the network.")
                threading.Event().wait()


@contextmanager
def approving(places: Places) -> Iterator[None]:
    """Every bank's officer approves whatever waits, until the block ends."""
    ended = threading.Event()
    people = threading.Thread(target=_approve, args=(places, ended))
    people.start()
    try:
        yield
    finally:
        ended.set()
        people.join()


def _approve(places: Places, ended: threading.Event) -> None:
    """Look every few seconds what waits at the first bank; it waits at the others as well, or soon."""
    approved: set[str] = set()
    while not ended.wait(LOOK_SECONDS):
        waiting = commands.ask("job", "waiting", "--config", places.node(BANKS[0]))
        for job_id in {one["job_id"] for one in waiting} - approved:
            network.together(partial(_sign_off, places, job_id), OFFICERS)
            approved.add(job_id)


def _sign_off(places: Places, job_id: str, officer: User) -> None:
    question = ("job", "waiting", "--config", places.node(officer.institution))
    commands.until(question, lambda one: bool(one["job_id"] == job_id), f"{job_id} does not wait")
    commands.run("job", "approve", job_id, "--profile", places.profile(officer))


if __name__ == "__main__":
    terminal.run(main)
