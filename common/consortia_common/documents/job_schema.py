"""The job spec's published JSON Schema, by which editors complete and check what an analyst writes.

The schema is generated from the models that nodes read specs with, each kind's parameters included; what no schema
can say (the same column twice, a label among the features) the models alone refuse, see `consortia job check`.
"""

import json
from typing import Any

from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds import names, parameters_of

FILE = "job.schema.json"
HEADER = f"# yaml-language-server: $schema={FILE}\n"
"""Tells editors where the schema is: beside the file."""


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a job spec as it is written."""
    spec = JobSpec.model_json_schema(mode="validation")
    spec.pop("$defs")
    parameters = {"type": "object", "description": spec["properties"]["parameters"]["description"]}
    kind = spec["properties"]["kind"] | {"enum": names()}
    spec["properties"] |= {"kind": kind, "parameters": parameters}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:consortia:{FILE.removesuffix('.json')}:1",
        **spec,
        "allOf": [_when(name) for name in names()],
        "$defs": {key: value for name in names() for key, value in _of(name).items()},
    }


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def field_names() -> set[str]:
    """The name of every field that a spec of any kind can have."""
    found = schema()
    parts = [found, *found["$defs"].values()]
    return {name for part in parts for name in part.get("properties", {})}


def _when(kind: str) -> dict[str, Any]:
    """A spec of ``kind`` has that kind's parameters."""
    return {
        "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
        "then": {"properties": {"parameters": {"$ref": f"#/$defs/{kind}"}}},
    }


def _of(kind: str) -> dict[str, Any]:
    """The schema of a kind's parameters and of what they refer to, under names of their own."""
    found = parameters_of(kind).model_json_schema(mode="validation", ref_template=f"#/$defs/{kind}.{{model}}")
    inner = found.pop("$defs", {})
    return {kind: found, **{f"{kind}.{name}": value for name, value in inner.items()}}
