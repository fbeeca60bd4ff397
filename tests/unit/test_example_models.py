"""The example's models on the real clients, with sums in plain sight: how near they are to pooled fits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from consortia_common.documents.jobspec import JobSpec
from consortia_node.kinds import OVER
from examples.credit_risk import data, jobs, models, reference, split
from examples.credit_risk.reference import Market
from examples.credit_risk.split import BANKS, FEATURES, LABEL
from tests.support.work import Banks

AUC_OF_TREES = 0.777
Table = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def parts() -> Any:
    return split.split(data.load(data.fetch(data.cache_folder())))


@pytest.fixture(scope="module")
def tables(parts: Any) -> Mapping[str, Table]:
    """Every bank's rows with consent, by dataset and column."""
    kept = {key: reference.with_consent(table) for key, table in parts.items()}
    return {
        bank: {
            name: {column: kept[bank, name][column].to_numpy() for column in (*FEATURES, LABEL)}
            for name in ("clients", "clients_test")
        }
        for bank in BANKS
    }


def run(spec: str, tables: Mapping[str, Table]) -> Mapping[str, Any]:
    path = jobs.SPECS / f"{spec}.yaml"
    of = Banks(JobSpec.from_yaml(path.read_text().replace("20000", "40000"), str(path)), tables)
    for turn in of.spec.parameters.turns(BANKS[0])[:-1]:
        if not (turn.optional and OVER in of.works[BANKS[0]].values):
            of.add(turn.step, turn.round)
    return of.results()[0]


def in_one_place(tables: Mapping[str, Table]) -> Mapping[str, Table]:
    """The first bank has all rows, the others none."""
    everything = {
        name: {
            column: np.concatenate([tables[bank][name][column] for bank in BANKS]) for column in (*FEATURES, LABEL)
        }
        for name in ("clients", "clients_test")
    }
    nothing = {name: {column: rows[:0] for column, rows in table.items()} for name, table in everything.items()}
    return dict(zip(BANKS, (everything, nothing, nothing), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("spec", models.NEAR)
def test_the_models_are_near_those_of_the_pooled_rows(spec: str, parts: Any, tables: Any) -> None:
    found = run(spec, tables)["evaluation"]["auc"]
    assert found == pytest.approx(models.pooled_auc(spec, Market.of(parts)), abs=models.NEAR[spec])


@pytest.mark.slow
@pytest.mark.parametrize("spec", models.NEAR)
def test_and_near_those_of_the_same_code_on_pooled_rows(spec: str, tables: Any) -> None:
    """Trees are the same, and good; a regression differs by nothing that a score shows."""
    apart, together = run(spec, tables), run(spec, in_one_place(tables))
    assert apart["evaluation"]["auc"] == pytest.approx(together["evaluation"]["auc"], abs=models.NEAR[spec])
    if spec == "train-trees":
        assert apart["model"]["fit"] == together["model"]["fit"]
        assert apart["evaluation"]["auc"] >= AUC_OF_TREES
