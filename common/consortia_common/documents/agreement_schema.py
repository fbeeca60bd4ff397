"""The agreement's published JSON Schema, and the text from which a new agreement is drafted.

The schema is generated from the model that nodes read agreements with, so editors and nodes know the same fields;
what no schema can say (an owner that is no party, a quorum that can't be reached) the model alone refuses.
"""

import json
from typing import Any

import yaml

from consortia_common.documents.agreement import Agreement

FILE = "agreement.schema.json"
HEADER = f"# yaml-language-server: $schema={FILE}\n"
"""Tells editors where the schema is: beside the file."""
_ID = f"urn:consortia:{FILE.removesuffix('.json')}:1"

TEMPLATE = (
    HEADER
    + """\
# A data-sharing agreement. Fill it in, have every party read it, then propose it; docs/agreements.md explains each
# field. Keys are fingerprints (`consortia node status`, `consortia user show`): compare them by telephone, because
# whoever signs vouches for them. Lines that begin with "#" and a name show defaults or examples.
schema_version: 1
id: credit-risk                     # keeps its name through all versions
version: 1
#parent: <hash of the version that this one replaces; the first has none>
title: <what it is about>
purposes: [<purpose>]               # as job specs and consent notices name them

parties:                            # who signs and takes part
  - institution: bank-a
    key: <fingerprint of the node>
    #country: DE                    # where it handles data
    #contact: privacy@bank-a.example
    #officers:                      # who signs, suspends and approves, besides the node
    #  - {name: olga, key: <fingerprint>}
    #  - {name: otto, key: <fingerprint>}
    #officers_needed: 2             # how many of them must sign
  - institution: bank-b
    key: <fingerprint of the node>

analysts:                           # who may submit jobs
  - {institution: bank-a, name: ana, key: <fingerprint>}

datasets:                           # what jobs may read at whom
  - name: clients
    owners: [bank-a, bank-b]
    columns: [<column>]
    #max_grade: 3                   # JR/T 0197-2020: no column of a higher grade

job_kinds:                          # what may be asked, and whom the result reaches
  - {kind: statistics, recipients: [analyst]}

lawful_basis: consent
#consent_required: [sensitive]      # which scopes a consent must have besides purpose, recipients and columns
#on_withdrawal: finish              # or stop: what becomes of a running job that has read a row
min_parties: 3                      # fewest institutions in a sealed sum
#min_colluding: 1                   # how many of them a sum must withstand if they conspire with the coordinator
min_rows: 50                        # fewest rows that a node contributes
min_cell: 10                        # smallest group that is released
max_jobs: 100                       # query budget
#max_scored_rows: 20000             # customers that a model may score under this version
#dp: {epsilon_micro: 1000000, period_days: 365}
#differencing: {memory_days: 365, max_repeats: 100}
#approvals: {kinds: [train], officers: 1, hours: 72, dual_control: false}
#geography: [DE, FR]                # where the parties may handle data
#retention_days: 365                # how long a recipient keeps a result
#dispute: <how disputes are settled>
valid_from: 2026-01-01T00:00:00Z
valid_until: 2027-01-01T00:00:00Z
"""
)


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of an agreement as it is written."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": _ID,
        **Agreement.model_json_schema(mode="validation"),
    }


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def next_version(agreement: Agreement) -> str:
    """The text of the version after ``agreement``, which differs from it in number and parent only."""
    value = agreement.model_dump(mode="json", exclude_defaults=True)
    value |= {"schema_version": 1, "version": agreement.version + 1, "parent": agreement.hash()}
    return HEADER + yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
