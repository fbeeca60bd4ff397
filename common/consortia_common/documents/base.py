"""What all documents share: strictness, YAML in, canonical JSON out, errors that a person can act on."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
)

from consortia_common.documents import strict_yaml, wording
from consortia_common.documents.strict_yaml import Marked
from consortia_common.errors import DocumentError, Mistake
from consortia_crypto import canonical
from consortia_crypto.errors import EncodingError

MAX_DOCUMENT_BYTES = 1 << 20
NO_SUCH_FIELD = "there is no such field"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
"""An institution, person, dataset, purpose or kind."""
ColumnName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
"""A column; the pattern leaves no room for SQL."""
Nonce = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hexadecimal: of an identity or a document."""
Number = Decimal
"""A real parameter; travels as text, because canonical JSON has no floats."""
Count = Annotated[int, Field(ge=0, le=canonical.MAX_INTEGER)]
"""Rows, jobs, or milliseconds since 1970."""


def utc(moment: datetime) -> str:
    """The one way that documents and logs write a moment: 2026-01-31T12:00:00.000Z."""
    moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


Moment = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(3000, 1, 1, tzinfo=UTC)),
    PlainSerializer(utc, when_used="json"),
]
"""A moment with its time zone, to the millisecond."""


class MistakesError(ValueError):
    """What a validator found wrong, in sentences; whoever reads the document adds which one it is."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


class Document(BaseModel):
    """A frozen document with one canonical form."""

    MAX_BYTES: ClassVar[int] = MAX_DOCUMENT_BYTES
    """Longest that such a document may be."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)

    def canonical(self) -> bytes:
        """The canonical JSON bytes: what is hashed and signed."""
        return canonical.encode(self.model_dump(mode="json"))

    def hash(self) -> str:
        """SHA-256 of the canonical bytes, in hexadecimal."""
        return canonical.digest(self.model_dump(mode="json"))

    @classmethod
    def from_yaml(cls, text: str, source: str) -> Self:
        """The document that ``source`` holds as YAML, see strict_yaml. Raises DocumentError naming each mistake."""
        if len(text) > cls.MAX_BYTES:
            raise refuse(source, [f"it is longer than {cls.MAX_BYTES} characters"])
        try:
            marked = strict_yaml.load_marked(text)
        except strict_yaml.YamlMistakeError as error:
            raise _refused(source, [str(error)], [_placed(error.why, error.place)]) from error
        return cls._read(marked, source)

    @classmethod
    def from_canonical(cls, data: bytes, source: str) -> Self:
        """The document whose canonical bytes are ``data``. Raises DocumentError."""
        if len(data) > cls.MAX_BYTES:
            raise refuse(source, [f"it is longer than {cls.MAX_BYTES} bytes"])
        try:
            document = cls.from_value(canonical.decode(data), source)
            same = document.canonical() == data
        except EncodingError as error:
            raise refuse(source, [error.what]) from error
        if not same:
            raise refuse(source, ["it is not in canonical form"])
        return document

    @classmethod
    def from_value(cls, value: Any, source: str) -> Self:
        """The document with these plain values. Raises DocumentError naming each mistake."""
        return cls._read(Marked(value, {}), source)

    @classmethod
    def _read(cls, marked: Marked, source: str) -> Self:
        if not isinstance(marked.value, dict):
            mistake = "it is not a mapping of fields"
            raise _refused(source, [mistake], [_placed(mistake, marked.place(()))])
        try:
            return cls.model_validate(marked.value)
        except ValidationError as error:
            errors = error.errors()
            places = [item["loc"] for item in errors]
            told = [item for item in errors if not wording.is_said_by_another(item, places)]
            located = [(item, _without_tags(item["loc"], marked.value)) for item in told]
            found = [(loc, text) for item, loc in located for text in _explain(item, loc)]
            mistakes = [_placed(text, marked.place(_path(loc, text, marked))) for loc, text in found]
            raise _refused(source, [text for _, text in found], mistakes) from error
        except (RecursionError, ValueError) as error:
            raise refuse(source, ["a value in it can't be read"]) from error


def read_json(text: str, source: str, limit: int) -> Any:
    """The value that ``source`` holds as JSON, its fractions as text. Raises DocumentError."""
    if len(text) > limit:
        raise refuse(source, [f"it is longer than {limit} characters"])
    try:
        return json.loads(text, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise refuse(source, ["it is not JSON"]) from error


def refuse(source: str, mistakes: list[str]) -> DocumentError:
    """The error for a document with these mistakes."""
    return _refused(source, mistakes, [Mistake(mistake) for mistake in mistakes])


def _refused(source: str, told: list[str], mistakes: Sequence[Mistake]) -> DocumentError:
    return DocumentError(
        f"{source} was refused: " + "; ".join(told[:10]),
        blame=f"whoever wrote {source}",
        remedy="correct it and try again; docs/ has a page for each kind of document",
        mistakes=mistakes,
    )


def _placed(text: str, place: strict_yaml.Place | None) -> Mistake:
    return Mistake(text, place.line, place.column) if place else Mistake(text)


def _path(loc: Sequence[str | int], text: str, marked: Marked) -> Sequence[str | int]:
    """Where a mistake was made; what a document as a whole finds wrong names the field at its beginning."""
    named = text.partition(":")[0].split(".")
    return named if not loc and named[0] in marked.value else loc


def _without_tags(loc: Sequence[str | int], value: Any) -> Sequence[str | int]:
    """Where a mistake was made, without the name that pydantic adds of the alternative that was chosen there."""
    path: list[str | int] = []
    for place, part in enumerate(loc):
        if isinstance(value, dict) and part not in value and place + 1 < len(loc):
            continue
        path.append(part)
        if isinstance(value, list | tuple):
            value = value[part] if isinstance(part, int) and part < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return path


def _printable(name: str) -> str:
    """A field's name as a log and a person may see it; whoever made the document chose it."""
    return "".join(letter for letter in name[:60] if letter.isprintable())


def _explain(item: Any, loc: Sequence[str | int]) -> list[str]:
    field = ".".join(_printable(str(part)) for part in loc)
    found = item.get("ctx", {}).get("error")
    if isinstance(found, MistakesError):
        return [f"{field}: {mistake}" if field else mistake for mistake in found.mistakes]
    if item["type"] == "extra_forbidden":
        return [f"{field}: {NO_SUCH_FIELD}"]
    if item["type"] == "missing":
        return [f"{field}: this field is required"]
    return [f"{field or 'the document'}: {wording.in_words(item)}"]
