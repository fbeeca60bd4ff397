"""datasets.toml: what is declared is read, what contradicts itself is refused by file and key."""

import re
from pathlib import Path

import pytest

from consortia_common.errors import SettingsError
from consortia_node import config, datasets
from consortia_node.datasets import ColumnSettings
from consortia_node.sample import DATASETS_TOML, NODE_TOML

DATASET = """
[[datasets]]
name = "clients"
path = "data/clients.parquet"
[datasets.columns]
customer_id = { type = "text", role = "id" }
LIMIT_BAL = { type = "number", low = 0, high = 1_000_000 }
region = { type = "category", values = ["north", "south"] }
"""
SERVED = DATASET.replace(
    'path = "data/clients.parquet"', 'postgresql = "postgresql://risk@db/bank"\ntable = "risk.clients"'
)


def loaded(folder: Path, text: str) -> tuple[datasets.DatasetSettings, ...]:
    (folder / "datasets.toml").write_text(text)
    return datasets.load(folder / "datasets.toml")


def test_what_is_declared_is_read(tmp_path: Path) -> None:
    (found,) = loaded(tmp_path, DATASET)
    assert found.path == tmp_path / "data" / "clients.parquet"
    assert (found.subject, set(found.offered), found.grades["region"]) == (
        "customer_id",
        {"LIMIT_BAL", "region"},
        3,
    )
    assert found.columns["LIMIT_BAL"] == ColumnSettings(type="number", low=0, high=1_000_000)
    assert found.columns["region"].values == ("north", "south")
    (served,) = loaded(tmp_path, SERVED)
    assert (served.path, served.table_name) == (None, "risk.clients")


def test_the_sample_is_read_as_it_is_and_with_its_examples(tmp_path: Path) -> None:
    assert loaded(tmp_path, DATASETS_TOML) == ()
    (shown,) = loaded(tmp_path, re.sub(r"^#(?=[a-z\\[])", "", DATASETS_TOML, flags=re.MULTILINE))
    assert {column.type for column in shown.columns.values()} == {
        "text", "number", "integer", "category", "date", "boolean",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DATASET.replace("path", "pth"), r"datasets\.toml: .*no setting datasets\.0\.pth; did you mean path\?"),
        (DATASET.replace("low", "lo"), r"no setting datasets\.0\.columns\.LIMIT_BAL\.lo"),
        (DATASET.replace('path = "data/clients.parquet"', ""), "give either path or postgresql"),
        (DATASET + 'x = { type = "text", role = "id" }', "exactly one has role id"),
        (DATASET.replace(', role = "id"', ""), "a column with role feature has type"),
        (DATASET.replace("customer_id = {", "#"), "exactly one has role id"),
        (DATASET.replace("low = 0, ", ""), "given together"),
        (DATASET.replace("low = 0", "low = 2_000_000"), "low must be below high"),
        (DATASET.replace("low = 0", "low = nan"), "finite"),
        (DATASET.replace('"number"', '"boolean"'), "for columns of type integer or number"),
        (DATASET.replace('"number"', '"money"'), r"columns\.LIMIT_BAL\.type"),
        (DATASET.replace('"north", "south"', '"north", "north"'), "one is named twice"),
        (DATASET.replace('"north", "south"', '"north", 2'), "values"),
        (DATASET.replace("LIMIT_BAL", "'x; drop'"), "pattern"),
        (DATASET + DATASET, "two have one name"),
        (SERVED.replace("risk@db", "risk:secret@db"), "the password belongs in PGPASSFILE"),
        (SERVED.replace('bank"', 'bank?password=secret"'), "the password belongs in PGPASSFILE"),
        (SERVED.replace("risk.clients", "risk; drop"), "pattern"),
        (SERVED.replace("postgresql://", "mysql://"), "pattern"),
        ("= broken", "it is not TOML"),
    ],
)
def test_mistakes_are_named_by_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        loaded(tmp_path, text)
    assert "secret" not in refused.value.what
    (tmp_path / "node.toml").write_text(NODE_TOML.format(institution="bank-a"))
    with pytest.raises(SettingsError, match=message):
        config.load(tmp_path / "node.toml")
