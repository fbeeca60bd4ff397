"""The checked-in vectors: what was canonical yesterday is canonical today."""

import json
from typing import Any

import pytest

from consortia_crypto import canonical
from consortia_crypto.envelope import Place
from tests.vectors import make


def _read(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((make.FOLDER / name).read_text())
    return found


@pytest.mark.parametrize("vector", _read("canonical.json"), ids=lambda vector: vector["name"])
def test_canonical_bytes_stand(vector: dict[str, Any]) -> None:
    assert canonical.encode(vector["value"]).hex() == vector["bytes"]
    assert canonical.digest(vector["value"]) == vector["sha256"]
    assert canonical.decode(bytes.fromhex(vector["bytes"])) == vector["value"]


@pytest.mark.parametrize("vector", _read("place.json"), ids=lambda vector: vector["name"])
def test_the_place_of_an_envelope_stands(vector: dict[str, Any]) -> None:
    assert Place(**vector["place"]).encoded().decode() == vector["bytes"]


@pytest.mark.parametrize("name", make.vectors())
def test_the_generator_makes_what_is_checked_in(name: str) -> None:
    assert json.loads(json.dumps(make.vectors()[name])) == _read(name)
