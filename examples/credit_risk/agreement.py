"""The banks' agreement: the text in ``specs/agreement.yaml``, with the keys of those who are named in it.

In life each bank's officer compares the fingerprints with the others by telephone before signing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from consortia_common.documents import agreement_schema
from consortia_common.documents.agreement import Agreement
from examples.credit_risk.errors import DemoError

TEMPLATE = Path(__file__).parent / "specs" / "agreement.yaml"


def build(template: str, keys: Mapping[str, str]) -> str:
    """The agreement as YAML: ``template`` with the fingerprint of each party, officer and analyst, by name.

    Raises DocumentError if the outcome is no agreement, DemoError if a key is missing.
    """
    document: dict[str, Any] = yaml.safe_load(template)
    for party in document["parties"]:
        party["key"] = _of(keys, party["institution"])
    officers = [officer for party in document["parties"] for officer in party.get("officers", [])]
    for person in (*officers, *document["analysts"]):
        person["key"] = _of(keys, person["name"])
    text = agreement_schema.HEADER + yaml.dump(document, sort_keys=False, Dumper=_Plain)
    Agreement.from_yaml(text, "the demo's agreement")
    return text


def write(text: str, path: Path) -> None:
    """Write the agreement, and beside it the schema that its first line names to editors."""
    path.write_text(text)
    path.with_name(agreement_schema.FILE).write_text(agreement_schema.schema_text())


class _Plain(yaml.SafeDumper):
    """YAML without anchors: every list is written out."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never refer back."""
        del data
        return True


def _of(keys: Mapping[str, str], name: str) -> str:
    if name not in keys:
        raise DemoError(
            f"there is no key for {name}, whom the agreement names",
            blame="whoever asked for the agreement",
            remedy="enrol everybody before writing the agreement",
        )
    return keys[name]
