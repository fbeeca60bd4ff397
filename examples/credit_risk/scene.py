"""What the chapters of the story share."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from examples.credit_risk.network import Places
from examples.credit_risk.reference import Market
from examples.credit_risk.story import Story

Summary = dict[str, Any]
"""What becomes summary.json; the keys are listed in docs/getting-started.md."""


@dataclass(frozen=True)
class Scene:
    """The teller, the network, and (outside it) the tables that no party of it could see together."""

    story: Story
    places: Places
    fingerprints: dict[str, str]
    parts: dict[tuple[str, str], pa.Table]
    market: Market
    agreement: str = ""
    """The reference, id@version#hash, of what the banks signed, once they have."""
