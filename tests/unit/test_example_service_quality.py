"""The example of service quality: its tables, its question, its answer, and who learns whose figures."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from consortia_common.content import Content
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import JobSpec
from consortia_node import datasets
from examples.credit_risk import agreement
from examples.credit_risk.errors import DemoError
from examples.credit_risk.split import BANKS
from examples.service_quality import data, network, reference, run
from tests.support.work import Banks

TABLES = {bank: data.table(bank) for bank in BANKS}


@pytest.fixture(scope="module")
def spec() -> JobSpec:
    return JobSpec.from_yaml(run.QUESTION.read_text(), "the question")


@pytest.fixture(scope="module")
def answered(spec: JobSpec) -> tuple[Any, dict[str, Any]]:
    """The joint answer and each bank's own file."""
    plain = {bank: {"contacts": table.to_pydict()} for bank, table in TABLES.items()}
    banks = Banks(spec, plain, min_cell=10)
    banks.add("query.tabulate")
    banks.add("query.refine", 1)
    outcomes = banks.outcomes("query.conclude", Content())
    places = {bank: json.loads(one.files["place.json"]) for bank, one in zip(BANKS, outcomes, strict=True)}
    assert all(one.result == outcomes[0].result for one in outcomes)
    return outcomes[0].result, places


def test_tables_are_the_same_on_every_run_and_as_described(tmp_path: Path) -> None:
    datasets.load(network.SPECS / "datasets.toml")
    described = tomllib.loads((network.SPECS / "datasets.toml").read_text())["datasets"][0]["columns"]
    for bank in BANKS:
        again = data.table(bank)
        assert again.equals(TABLES[bank])
        assert again.column_names == list(described)
        for column in ("channel", "reason", "quarter"):
            assert set(again[column].to_pylist()) == set(described[column]["values"])
        for column in ("minutes", "satisfaction"):
            values = again[column].to_numpy()
            assert described[column]["low"] <= values.min() <= values.max() <= described[column]["high"]
        data.write(bank, tmp_path / bank)
        assert (tmp_path / bank / "contacts.parquet").stat().st_size > 0


def test_the_agreement_allows_the_question(spec: JobSpec) -> None:
    keys = {name: digit * 64 for name, digit in zip((*BANKS, "analyst"), "1234", strict=True)}
    text = agreement.build((network.SPECS / "agreement.yaml").read_text(), keys)
    allowed = Agreement.from_yaml(text, "the agreement")
    assert allowed.short == spec.agreement
    assert spec.purpose in allowed.purposes
    for reads in spec.parameters.reads("bank-a"):
        assert set(reads.columns) <= set(allowed.datasets[0].columns)


def test_the_answer_is_that_of_the_pooled_tables(answered: tuple[Any, dict[str, Any]]) -> None:
    document, _ = answered
    assert reference.check(document, TABLES.values())["count"] == 0
    spoilt = json.loads(json.dumps(document))
    spoilt["overall"]["count"] += 1
    with pytest.raises(DemoError, match="differs from the pooled tables' in count"):
        reference.check(spoilt, TABLES.values())


def test_each_bank_learns_its_own_place_and_nobody_else_s_figures(answered: tuple[Any, dict[str, Any]]) -> None:
    document, places = answered
    apart = {bank: place["columns"]["minutes"]["standard_deviations_apart"] for bank, place in places.items()}
    assert apart["bank-b"] < 0 < apart["bank-a"]
    for bank, place in places.items():
        reference.check_place(place, TABLES[bank], document)
        for other in BANKS:
            digits = f"{TABLES[other]['minutes'].to_numpy().mean():.8f}"[:7]
            told = json.dumps(place) + (json.dumps(document) if other != bank else "")
            assert (digits in told) == (other == bank), f"{other}'s mean at {bank}"
        with pytest.raises(DemoError, match="another place"):
            reference.check_place(place, TABLES[next(other for other in BANKS if other != bank)], document)


@pytest.mark.slow
def test_the_whole_example(tmp_path: Path) -> None:
    played = CliRunner().invoke(run.main, ["--folder", str(tmp_path / "network")], catch_exceptions=False)
    assert played.exit_code == 0, played.output
    summary = json.loads((tmp_path / "network" / "summary.json").read_text())
    assert max(summary["errors"].values()) < 1e-3
    assert summary["places"]["bank-b"] < 0 < summary["places"]["bank-a"]
    assert summary["refused"] == ["differencing"]
