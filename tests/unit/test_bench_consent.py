"""The benchmark of consents measures what it says, on a table of a few."""

from pathlib import Path

import pytest

from benchmarks import consent


def test_a_few_customers_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent, "RUNS", 1)
    figures = consent.measure(tmp_path, 200)
    assert len(figures) == 8
    assert all(figure.value > 0 for figure in figures if figure.unit)
