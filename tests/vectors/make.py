"""Make the checked-in vectors anew: ``python -m tests.vectors.make``. A change in them is a change of format.

A vector is made by hand where it can be (the values below); what Consortia made of it stands beside it in the JSON
file, so that another implementation can be held against the same bytes.
"""

import json
from pathlib import Path
from typing import Any

from consortia_crypto import canonical
from consortia_crypto.envelope import Place

FOLDER = Path(__file__).parent
VALUES: dict[str, Any] = {
    "nothing": None,
    "truths": [True, False],
    "empty": {"array": [], "object": {}, "text": ""},
    "integers": [0, -1, 2**53 - 1, -(2**53) + 1],
    "sorted keys": {"b": 1, "a": 2, "B": 3, "_": 4, "10": 5, "9": 6},
    "control characters": "\u0000\u0008\t\n\u000b\f\r\u001f\u007f",
    "quotes": "\"\\/'",
    "scripts": "zürich – 東京 – 🏦",
    "line separators": "\u2028\u2029",
    "nested": [[[]], {"a": [{"b": {}}]}],
}
PLACES = {
    "letter": Place("0" * 64, "f" * 64, "credit-risk-model", "job-0123456789abcdef", "query.encrypt", 0),
    "a later turn": Place("a" * 64, "b" * 64, "fraud", "job-fedcba9876543210", "epoch.make", 17),
}


def vectors() -> dict[str, Any]:
    """Each file's content, by name."""
    return {
        "canonical.json": [
            {
                "name": name,
                "value": value,
                "bytes": canonical.encode(value).hex(),
                "sha256": canonical.digest(value),
            }
            for name, value in VALUES.items()
        ],
        "place.json": [
            {"name": name, "place": vars(place), "bytes": place.encoded().decode()}
            for name, place in PLACES.items()
        ],
    }


if __name__ == "__main__":
    for name, content in vectors().items():
        (FOLDER / name).write_text(json.dumps(content, indent=2) + "\n")
