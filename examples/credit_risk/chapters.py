"""The story in order: network, customers, promises, jobs, proof; and its first and last words."""

from pathlib import Path

import pyarrow as pa

from examples.credit_risk import answers, data, network, promises, proof, split
from examples.credit_risk.network import Places
from examples.credit_risk.processes import Processes
from examples.credit_risk.reference import Market
from examples.credit_risk.scene import Scene, Summary
from examples.credit_risk.split import BANKS
from examples.credit_risk.story import Story, size


def introduce(story: Story) -> None:
    """What is about to happen, for somebody who has never heard of it."""
    story.console.print(
        "\n  [bold]Consortia[/]: joint answers from customers' records that never leave their bank\n"
    )
    story.say(
        "Three banks want to know which clients will default. Together they could tell better than alone, but no "
        "bank may show its customers' records to another, nor to a middleman. Watch what each bank [green]kept[/], "
        "what [cyan]travelled[/], what was [yellow]refused[/], and what was [magenta]proved[/]."
    )


def play(story: Story, places: Places, processes: Processes, port: int) -> Summary:
    """Everything up to the verdicts; returns the summary without the seconds."""
    scene = prepare(story, places, processes, port)
    summary = answers.run(scene)
    with story.step("audit", "The regulator checks the logs, offline"):
        proof.run(scene, processes, summary)
    return summary


def prepare(story: Story, places: Places, processes: Processes, port: int) -> Scene:
    """All that comes before the first job."""
    with story.step("network", "A network: one coordinator, three banks, a regulator"):
        fingerprints = _network(story, places, processes, port)
    with story.step("data", "Real customers, each at their own bank"):
        scene = _data(story, places, fingerprints)
    with story.step("promises", "What the customers consented to, what the banks agreed"):
        return promises.run(scene)


def close(story: Story, summary: Summary, path: Path) -> None:
    """The closing table."""
    auc, rows = summary["auc"], summary["rows"]
    alone = [(f"AUC of {bank} alone", f"{value:.4f}") for bank, value in auc["alone"].items()]
    audits = [(f"audit log of {owner}", verdict) for owner, verdict in summary["audit"].items()]
    lines = [
        ("AUC of the joint, federated model", f"{auc['federated']:.4f}"),
        ("AUC if all records were in one place", f"{auc['pooled']:.4f}"),
        *alone,
        ("largest error of an encrypted score", f"{summary['score_max_abs_error']:.6f}"),
        ("rows that the model used", f"{rows['used']:,}"),
        ("rows left out for want of consent", f"{rows['left_out_no_consent']:,}"),
        *((f"refused: {one['job']}", one["clause"]) for one in summary["refused"]),
        ("customers whom two answers would have shown", str(summary["attack"]["would_have_shown"])),
        ("the training's receipts, checked offline", summary["receipts"]),
        *audits,
        ("forged copy of a log", summary["tampered_copy"]),
        ("through the coordinator, sealed", size(sum(summary["bytes"].values()))),
        ("time for all of it", f"{sum(summary['seconds'].values()):.0f} s"),
    ]
    story.console.print()
    story.table(("What came out", ""), lines)
    story.say(f"\nThe same as data: {path}. Keys, databases, logs and evidence lie beside it; have a look.\n")


def _network(story: Story, places: Places, processes: Processes, port: int) -> dict[str, str]:
    with story.working("making keys and certificates"):
        network.create(places, port)
    with story.working("starting the coordinator, enrolling everybody, starting three nodes"):
        fingerprints = network.start(places, port, processes)
        network.name_witnesses(places, fingerprints, processes)
    story.say(
        "Every party made its keys in its own folder and joined with a one-time invitation; so did an analyst, an "
        "inspector of the regulator and an officer of each bank. The banks dial the "
        f"coordinator (127.0.0.1:{port}, mutual TLS); the banks themselves listen to nobody."
    )
    story.remark("kept", "each bank: its private keys, its database, its own audit log")
    story.say(
        "Each bank and the coordinator watch over the others' audit logs: nothing is released before two others "
        "have cosigned what its log says of it."
    )
    story.remark("travelled", "invitations, certificate requests and public keys; no private key")
    return fingerprints


def _data(story: Story, places: Places, fingerprints: dict[str, str]) -> Scene:
    with story.working("fetching the public data set (once; kept in the user's cache)"):
        table = data.load(data.fetch(data.cache_folder()))
    parts = split.split(table)
    split.write(parts, {bank: places.data(bank) for bank in BANKS})
    story.say(
        f"{table.num_rows:,} credit card clients of a bank in Taiwan, 2005 (UCI, CC BY 4.0), divided into three "
        "banks with different customers: bank-b gives first cards with small limits, bank-c serves graduates "
        "and large limits, bank-a the middle. A quarter is kept back to test models on."
    )
    rows = [_portrait(bank, parts) for bank in BANKS]
    story.table(("", "clients", "of them for tests", "median limit", "default rate"), rows)
    story.remark("kept", "each bank: its own customers, as a Parquet file in its own folder")
    return Scene(story, places, fingerprints, parts, Market.of(parts))


def _portrait(bank: str, parts: dict[tuple[str, str], pa.Table]) -> tuple[str, ...]:
    learn, test = parts[bank, "clients"], parts[bank, "clients_test"]
    limits = sorted(learn["limit_bal"].to_pylist())
    rate = sum(learn["default"].to_pylist()) / learn.num_rows
    total = learn.num_rows + test.num_rows
    return bank, f"{total:,}", f"{test.num_rows:,}", f"{limits[len(limits) // 2]:,.0f}", f"{rate:.1%}"
