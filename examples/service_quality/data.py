"""Made-up contacts of three banks' customers with their service: the same on every run.

The banks differ on purpose: bank-a answers slowly by telephone, bank-b lives in its app, bank-c's branches take
their time and please people.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SUBJECT = "customer"
CHANNELS = ("branch", "phone", "app")
REASONS = ("fees", "cards", "loans", "access", "staff")
QUARTERS = ("2026q1", "2026q2")
LONGEST = 240
_ROWS, _CUSTOMERS = 4000, 2500


@dataclass(frozen=True)
class Service:
    """How a bank serves: shares of channels, mean minutes until an answer by channel, and how often that helps."""

    shares: tuple[float, float, float]
    minutes: tuple[float, float, float]
    resolved: float
    slower: float
    """How many times longer the second quarter's answers took."""


SERVICES: Mapping[str, Service] = {
    "bank-a": Service((0.2, 0.6, 0.2), (25, 60, 20), 0.72, 1.1),
    "bank-b": Service((0.05, 0.25, 0.7), (30, 35, 12), 0.78, 1.0),
    "bank-c": Service((0.6, 0.3, 0.1), (45, 40, 30), 0.88, 0.8),
}


def table(bank: str) -> pa.Table:
    """One bank's contacts."""
    service = SERVICES[bank]
    generator = np.random.default_rng([2026, ord(bank[-1])])
    channel = generator.choice(3, _ROWS, p=service.shares)
    quarter = generator.integers(0, 2, _ROWS)
    mean = np.array(service.minutes)[channel] * np.where(quarter == 1, service.slower, 1.0)
    minutes = np.round(generator.gamma(2.0, mean / 2.0), 1).clip(0, LONGEST)
    resolved = generator.random(_ROWS) < service.resolved * np.exp(-minutes / 400)
    mood = 2.6 + 1.6 * resolved - minutes / 90 + generator.normal(0, 0.7, _ROWS)
    satisfaction = np.round(mood).clip(1, 5)
    columns = {
        SUBJECT: [f"{bank.upper()}-{number:05d}" for number in generator.integers(0, _CUSTOMERS, _ROWS)],
        "channel": np.array(CHANNELS)[channel].tolist(),
        "reason": np.array(REASONS)[generator.choice(5, _ROWS, p=(0.3, 0.25, 0.15, 0.2, 0.1))].tolist(),
        "quarter": np.array(QUARTERS)[quarter].tolist(),
        "minutes": minutes,
        "satisfaction": satisfaction.astype(np.int64),
        "resolved": resolved,
    }
    return pa.table(columns)


def write(bank: str, folder: Path) -> None:
    """Put the bank's contacts, as Parquet, into its own folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(bank), folder / "contacts.parquet")
