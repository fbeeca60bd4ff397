"""Every measure in one job, over a real connection; and one with noise, which spends the agreement's budget."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.integration.test_jobs import consented
from tests.support.consortium import Consortium, build, prepare, running
from tests.support.specs import BANKS, spec
from tests.support.spoilt import in_this_process, logged

ALL: dict[str, Any] = {
    "columns": ["income", "age"],
    "label": "default",
    "by": ["region"],
    "categories": {"region": [1, 2]},
    "ranges": {"income": [0, 50000], "age": [0, 128]},
    "bins": 16,
    "histograms": ["age"],
    "quantiles": {"columns": ["income"], "at": ["0.5"], "rounds": 1},
    "correlations": ["income", "age"],
    "information": ["income"],
}


def test_every_measure_in_one_job(consortium: Consortium) -> None:
    status = consortium.run(spec("statistics", **ALL))
    assert status.state == "finished", status
    result = consortium.result(status.job_id)
    everyone = consented(consortium, "clients")
    ages, income = everyone["age"], everyone["income"]
    assert result["overall"]["columns"]["income"]["variance"] == pytest.approx(income.var(ddof=1))
    assert all(item["count"] == 0 or item["count"] >= 10 for item in result["histograms"]["age"]["bins"])
    assert sum(item["count"] for item in result["histograms"]["age"]["bins"]) == len(ages)
    (median,) = result["quantiles"]["income"]
    assert abs(median["value"] - np.quantile(income, 0.5, method="inverted_cdf")) <= median["error"]
    assert median["error"] <= 50000 / 16
    assert result["correlations"]["correlation"][0][1] == pytest.approx(np.corrcoef(income, ages)[0, 1])
    assert result["information"]["income"]["iv"] > 0


def test_noise_without_a_budget_is_refused(consortium: Consortium) -> None:
    noisy = {"columns": [], "by": [], "categories": {}, "label": None, "noise": {"epsilon": "0.5"}}
    status = consortium.run(spec("statistics", **noisy))
    assert status.state == "refused"
    assert {refusal.failure.clause for refusal in status.refusals} == {"dp"}


@pytest.fixture
def lab(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Consortium]:
    in_this_process(monkeypatch)
    built = build(tmp_path, seed=5)
    with running(built):
        prepare(
            built,
            dp={"epsilon_micro": 800_000},
            job_kinds=[{"kind": "statistics", "recipients": ["analyst", "data_owner"]}],
        )
        yield built


@pytest.mark.slow
def test_noise_is_spent_on_the_log_and_each_bank_has_its_place(lab: Consortium) -> None:
    noisy = {
        "columns": ["age"],
        "ranges": {"age": [0, 128]},
        "by": [],
        "categories": {},
        "place": True,
        "noise": {"epsilon": "0.5"},
    }
    status = lab.run(spec("statistics", **noisy))
    assert status.state == "finished", status
    result = lab.result(status.job_id)
    rows = len(consented(lab, "clients")["age"])
    assert abs(result["overall"]["count"] - rows) < 10 * result["noise"]["sigma"]
    for bank in BANKS:
        (spent,) = logged(lab, bank, "budget.spent", status.job_id)
        assert spent["detail"]["epsilon_micro"] == 500_000
        (file,) = (lab.root / bank).rglob("place.json")
        place = json.loads(file.read_text())
        assert (place["institution"], place["count"]["joint"]) == (bank, result["overall"]["count"])
    again = lab.run(spec("statistics", **noisy))
    assert {refusal.failure.clause for refusal in again.refusals} == {"dp"}
