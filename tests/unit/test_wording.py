"""What is wrong with a document is said in its writers' words, once."""

from typing import Annotated, Any

import pytest
from pydantic import Field

from consortia_common.documents.base import ColumnName, Document, Fingerprint, Name, Number
from consortia_common.errors import DocumentError


class Note(Document):
    name: Name = "a"
    column: ColumnName = "a"
    digest: Fingerprint = "0" * 64
    size: Number = Number(1)
    shares: Annotated[tuple[Annotated[Number, Field(lt=1)], ...], Field(min_length=1, max_length=2)] = (Number(0),)
    known: dict[str, int] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"name": "My Note"}, "name: must be lower-case letters, digits, - and _, beginning with a letter"),
        ({"name": "<name>"}, "name: is still to be filled in"),
        ({"name": 5}, "name: must be text"),
        ({"column": "a b"}, "column: must be letters, digits and _, beginning with a letter, as columns are named"),
        ({"digest": "ab"}, "digest: must be 64 digits of 0 to 9 and a to f"),
        ({"size": "much"}, "size: must be a number"),
        ({"shares": "0.5"}, "shares: must be a list, such as [a, b]"),
        ({"shares": []}, "shares: must have at least 1 item, and has 0"),
        ({"shares": ["2"]}, "shares.0: must be less than 1"),
        ({"shares": ["0"] * 3}, "shares: must have at most 2 items"),
        ({"known": 5}, "known: must be a mapping of names to values"),
        ({"known": {"a": 1.5}}, "known.a: must be a whole number"),
    ],
)
def test_one_mistake_is_one_sentence(value: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentError) as refused:
        Note.from_value(value, "the note")
    assert [mistake.text for mistake in refused.value.mistakes] == [said]
