"""PURE: the text of a new job spec: every field of the kind, with what it means and, where it is known, a value.

Generated from the models that nodes read specs with, so a kind that a stranger adds has one too.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic_core import to_jsonable_python

from consortia_client.offering import OfferedDataset, Offering
from consortia_common.documents.job_schema import HEADER
from consortia_common.documents.kinds import KindParameters, parameters_of

_NOTE_COLUMN = 44
_COLUMN = re.compile(r"^\^\[A-Za-z\]")
"""How the pattern of a column's name begins."""


def text(kind: str, offering: Offering | None = None) -> str:
    """A commented job spec of ``kind``. Raises DocumentError for an unknown kind.

    What is left to fill in stands in angle brackets, which no field accepts.
    """
    model = parameters_of(kind)
    dataset = _dataset(offering, model)
    lines = [
        HEADER.rstrip(),
        f"# A job of kind {kind}: {_summary(model)}",
        f"# docs/kinds/{kind}.md explains each parameter. Fields that begin with # show what is used unless given.",
        *_offered(offering),
        "",
        *_head(kind, offering, model),
        "parameters:",
        *_parameters(model, offering, dataset),
    ]
    return "\n".join(lines) + "\n"


def _summary(model: type[KindParameters]) -> str:
    """What the kind's module says it answers."""
    module = __import__(model.__module__, fromlist=["Parameters"])
    return str(module.__doc__).strip().splitlines()[0].rpartition("``: ")[2]


def _offered(offering: Offering | None) -> list[str]:
    if offering is None:
        return []
    lines = ["#", f"# What {offering.agreement} offers:"]
    for dataset in offering.datasets:
        lines.append(f"#   {dataset.name}, at {', '.join(dataset.owners)}")
        width = max((len(column.name) for column in dataset.columns), default=0)
        lines += [f"#     {column.name:<{width}}  {column.explained()}".rstrip() for column in dataset.columns]
    return lines


def _head(kind: str, offering: Offering | None, model: type[KindParameters]) -> list[str]:
    parties = list(offering.parties) if offering else ["<institution>", "<institution>"]
    if model.MIN_PARTIES == 2:
        parties = parties[:2]
    return [
        "version: 1",
        _line("name", f"my-{kind}", "yours to choose: lower case, digits, - and _"),
        _line("kind", kind),
        _line("agreement", offering.agreement if offering else "<id>@<version>"),
        _line("purpose", _one_of(offering.purposes if offering else (), "<purpose>"), _others(offering)),
        _line("parties", parties),
    ]


def _others(offering: Offering | None) -> str:
    others = offering.purposes[1:] if offering else ()
    return f"or {', '.join(others)}" if others else "consent is given for purposes"


def _parameters(
    model: type[KindParameters], offering: Offering | None, dataset: OfferedDataset | None
) -> list[str]:
    properties = model.model_json_schema(mode="validation")["properties"]
    lines = []
    for name, field in model.model_fields.items():
        note = " ".join((field.description or "").split())
        if field.is_required():
            value = _suggested(name, properties[name], offering, dataset)
            lines.append(_line(name, value, note, indent="  "))
        else:
            default = to_jsonable_python(field.get_default(call_default_factory=True))
            lines.append(_line(f"#{name}", default, note + _such_as(properties[name]), indent="  "))
    return lines


def _such_as(schema: Mapping[str, Any]) -> str:
    """How a field that may be left out is written, where its type does not say it."""
    return f" Such as: {_flow(schema['examples'][0])}" if schema.get("examples") else ""


def _suggested(
    name: str, schema: Mapping[str, Any], offering: Offering | None, dataset: OfferedDataset | None
) -> Any:
    """A value for a required field: its example, or by its name and its type."""
    if schema.get("examples"):
        return schema["examples"][0]
    if name == "dataset" and dataset:
        return dataset.name
    if name.endswith("_owner") and offering:
        return offering.parties[0 if name.startswith("data") else 1]
    if _is_column(schema):
        label = dataset.label() if dataset else None
        return label.name if label and name == "label" else "<column>"
    if schema.get("type") == "array" and _is_column(schema.get("items", {})):
        return [column.name for column in dataset.features()] if dataset else ["<column>"]
    return ["<…>"] if schema.get("type") == "array" else f"<{name}>"


def _is_column(schema: Mapping[str, Any]) -> bool:
    return bool(_COLUMN.match(str(schema.get("pattern", ""))))


def _dataset(offering: Offering | None, model: type[KindParameters]) -> OfferedDataset | None:
    """The dataset that most parties have, if the kind reads any."""
    if offering is None or "dataset" not in model.model_fields:
        return None
    return max(offering.datasets, key=lambda dataset: len(dataset.owners), default=None)


def _one_of(values: tuple[str, ...], otherwise: str) -> str:
    return values[0] if values else otherwise


def _line(name: str, value: Any, note: str = "", indent: str = "") -> str:
    line = f"{indent}{name}: {_flow(value)}"
    return f"{line:<{_NOTE_COLUMN}} # {note}" if note else line


def _flow(value: Any) -> str:
    """As YAML in one line."""
    written = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000, sort_keys=False)
    return str(written).strip().removesuffix("...").strip()
