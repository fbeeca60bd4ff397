"""Agreed categories: what a spec may list as the values of a column that holds no numbers."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StrictInt, StrictStr

from consortia_common.documents.base import MistakesError
from consortia_common.documents.kinds import Use

_WORD = re.compile(r"[^\x00-\x1f\x7f]{1,100}")


def _category(value: int | str) -> int | str:
    if not (_WORD.fullmatch(value) if isinstance(value, str) else abs(value) <= 10**9):
        raise MistakesError(["a category is a whole number up to 10^9, or a line of up to 100 characters"])
    return value


Category = Annotated[StrictInt | StrictStr, AfterValidator(_category)]
Categories = Annotated[tuple[Category, ...], Field(min_length=1, max_length=64)]
"""Of one column."""


def use_of(values: tuple[int | str, ...]) -> Use:
    """As what a job takes a column with these categories."""
    kinds = {type(value) for value in values}
    return "category" if len(kinds) > 1 else "codes" if int in kinds else "words"
