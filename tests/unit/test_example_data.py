"""The example's data, consents, documents and reference, on made-up clients; nothing is downloaded."""

import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from consortia_common.documents import agreement_schema
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import JobSpec
from consortia_node.moments import rounded
from examples.credit_risk import agreement, attack, consents, data, network, reference, split
from examples.credit_risk.errors import DemoError

SPECS = Path(agreement.__file__).parent / "specs"
JOBS = (
    *("statistics-by-education", "train-default-model", "train-trees", "train-network", "score-applicants"),
    "refused-column",
)


def csv_of(rows: int) -> bytes:
    """Made-up clients with the header of the real file."""
    rng = np.random.default_rng(7)
    numbered = [f"{name}{i}" for name in ("BILL_AMT", "PAY_AMT") for i in range(1, 7)]
    pay = ["PAY_0", *(f"PAY_{i}" for i in range(2, 7))]
    levels = [f"EDUCATION_{i}" for i in range(7)] + [f"MARRIAGE_{i}" for i in range(4)]
    header = ["ID", "LIMIT_BAL", "SEX", "AGE", *pay, *numbered, "default-payment-next-month", *levels]
    lines = [",".join(header)]
    for number in range(1, rows + 1):
        late = rng.integers(-2, 4, 6)
        label = int(rng.random() < 0.1 + 0.15 * max(late[0], 0))
        education, marriage = rng.integers(1, 4), rng.integers(1, 3)
        hot = [int(i == education) for i in range(7)] + [int(i == marriage) for i in range(4)]
        limit = float(rng.integers(1, 60) * 10_000)
        amounts = rng.integers(0, 90_000, 12).astype(float)
        values = [number, limit, 1, int(rng.integers(21, 75)), *late, *amounts, label, *hot]
        lines.append(",".join(str(value) for value in values))
    return "\n".join(lines).encode()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cache") / data.WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(data.MEMBER, csv_of(3000))
    return path


@pytest.fixture(scope="module")
def parts(wheel: Path) -> dict[tuple[str, str], pa.Table]:
    return split.split(data.load(wheel))


def test_a_wheel_with_another_hash_is_refused(wheel: Path) -> None:
    with pytest.raises(DemoError, match="SHA-256") as refused:
        data.fetch(wheel.parent)
    assert "delete" in refused.value.remedy


def test_without_a_connection_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SimpleNamespace(returncode=1, stderr="WARNING: retry\nERROR: No matching distribution found")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(DemoError, match="No matching distribution") as refused:
        data.fetch(tmp_path / "cache")
    assert "check the connection" in refused.value.remedy
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_registry_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stall(*args: object, **options: object) -> None:
        raise subprocess.TimeoutExpired("pip", 1)

    monkeypatch.setattr(subprocess, "run", stall)
    with pytest.raises(DemoError, match="did not answer"):
        data.fetch(tmp_path)


def test_a_wheel_without_the_table_or_a_column_is_refused(tmp_path: Path) -> None:
    empty, narrow = tmp_path / "empty.whl", tmp_path / "narrow.whl"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("other.csv", "")
    with zipfile.ZipFile(narrow, "w") as archive:
        archive.writestr(data.MEMBER, "ID,LIMIT_BAL\n1,2\n")
    with pytest.raises(DemoError, match="holds no readable"):
        data.load(empty)
    with pytest.raises(DemoError, match="education_0 is missing"):
        data.load(narrow)


def test_categories_are_read_back_from_their_indicator_columns(wheel: Path) -> None:
    table = data.load(wheel)
    assert set(table["education"].to_pylist()) == {1, 2, 3}
    assert set(table["marriage"].to_pylist()) == {1, 2}
    assert "education_1" not in table.column_names


def test_the_split_is_a_partition_and_the_same_every_time(
    parts: dict[tuple[str, str], pa.Table], wheel: Path
) -> None:
    subjects = [subject for part in parts.values() for subject in part["client"].to_pylist()]
    assert sorted(subjects) == [f"C{number:06d}" for number in range(1, 3001)]
    again = split.split(data.load(wheel))
    assert all(parts[key].equals(again[key]) for key in parts)


def test_every_bank_has_what_its_node_declares_within_public_bounds(
    parts: dict[tuple[str, str], pa.Table],
) -> None:
    for part in parts.values():
        assert part.column_names == [split.SUBJECT, *split.COLUMNS]
        for name, column in split.COLUMNS.items():
            values = part[name].to_numpy()
            assert values.min() >= column.low
            assert values.max() <= column.high


def test_banks_have_different_customers(parts: dict[tuple[str, str], pa.Table]) -> None:
    limits = {bank: parts[bank, "clients"]["limit_bal"].to_numpy().mean() for bank in split.BANKS}
    assert limits["bank-b"] < limits["bank-a"] < limits["bank-c"]


def test_each_bank_gets_its_own_files(parts: dict[tuple[str, str], pa.Table], tmp_path: Path) -> None:
    split.write(parts, {bank: tmp_path / bank for bank in split.BANKS})
    found = pq.read_table(tmp_path / "bank-b" / "clients.parquet")
    assert found.equals(parts["bank-b", "clients"])


def test_consents_are_mostly_given_and_expired_ones_have_a_past_end(
    parts: dict[tuple[str, str], pa.Table], tmp_path: Path
) -> None:
    both = [parts["bank-a", "clients"], parts["bank-a", "clients_test"]]
    counts = consents.write(both, tmp_path / "consent.parquet")
    total = sum(part.num_rows for part in both)
    assert 0.88 < counts["given"] / total < 0.96
    assert min(counts[state] for state in ("refused", "withdrawn", "expired")) > 0
    records = pq.read_table(tmp_path / "consent.parquet").to_pylist()
    assert len(records) == total
    ended = [record for record in records if record["valid_until"] < datetime.now(UTC)]
    assert len(ended) == counts["expired"]
    assert {record["state"] for record in ended} == {"given"}


@pytest.mark.parametrize("name", JOBS)
def test_job_specs_are_valid_documents(name: str) -> None:
    path = SPECS / f"{name}.yaml"
    spec = JobSpec.from_yaml(path.read_text(), path.name)
    assert spec.purpose == consents.PURPOSE


def test_the_agreement_covers_every_job_but_the_one_that_must_be_refused() -> None:
    allowed = written_agreement()
    for name in JOBS:
        spec = JobSpec.from_yaml((SPECS / f"{name}.yaml").read_text(), name)
        read = {
            (reads.dataset, column)
            for party in spec.parties
            for reads in spec.parameters.reads(party)
            for column in reads.columns
        }
        named = {(dataset.name, column) for dataset in allowed.datasets for column in dataset.columns}
        assert (read <= named) == (name != "refused-column")
        assert spec.agreement == allowed.short


def test_an_agreement_needs_everybodys_key() -> None:
    with pytest.raises(DemoError, match="no key for bank-a"):
        agreement.build(agreement.TEMPLATE.read_text(), {})
    with pytest.raises(DemoError, match="no key for olga"):
        agreement.build(agreement.TEMPLATE.read_text(), dict.fromkeys(split.BANKS, "0" * 64))


def test_three_officers_must_sign_and_approve_the_training() -> None:
    signed = written_agreement()
    assert [[officer.name for officer in party.officers] for party in signed.parties] == [
        ["olga"],
        ["pia"],
        ["quin"],
    ]
    assert [party.officers_needed for party in signed.parties] == [1, 1, 1]
    assert signed.approvals is not None
    assert signed.approvals.kinds == ("train",)


def test_editors_find_the_schema_of_the_agreement(tmp_path: Path) -> None:
    told = agreement.TEMPLATE.read_text().splitlines()[0].partition("$schema=")[2]
    assert (agreement.TEMPLATE.parent / told).read_text() == agreement_schema.schema_text()
    path = tmp_path / "agreement.yaml"
    agreement.write(agreement.build(agreement.TEMPLATE.read_text(), keys()), path)
    beside = path.read_text().splitlines()[0].partition("$schema=")[2]
    assert (tmp_path / beside).read_text() == agreement_schema.schema_text()


def test_two_answers_whose_customers_differ_by_one_show_that_one(parts: dict[tuple[str, str], pa.Table]) -> None:
    rows = [row for bank in split.BANKS for row in parts[bank, "clients"].to_pylist()]
    left = attack.Sums.of(answer(rows)).less(attack.Sums.of(answer(rows[1:])))
    one = rows[0]
    assert left == attack.Sums(1, one["default"], {"limit_bal": one["limit_bal"], "age": one["age"]})


def answer(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What a statistics job says over all groups, rounded as nodes round it."""
    columns = {name: {"mean": rounded(sum(row[name] for row in rows) / len(rows))} for name in ("limit_bal", "age")}
    defaulted = sum(row["default"] for row in rows)
    return {"count": len(rows), "label_rate": rounded(defaulted / len(rows)), "columns": columns}


def test_rows_without_consent_are_not_in_the_reference(parts: dict[tuple[str, str], pa.Table]) -> None:
    table = parts["bank-c", "clients"]
    standing = consents.standing(table["client"].to_pylist())
    assert len(reference.Rows.of(table).labels) == standing.count("given") < table.num_rows


def written_agreement() -> Agreement:
    """The demo's agreement with made-up fingerprints."""
    text = agreement.build(agreement.TEMPLATE.read_text(), keys())
    return Agreement.from_yaml(text, "agreement.yaml")


def keys() -> dict[str, str]:
    """A made-up fingerprint for everybody whom the agreement names."""
    names = (*split.BANKS, "analyst", *(officer.name for officer in network.OFFICERS))
    return {name: f"{number:064x}" for number, name in enumerate(names)}
