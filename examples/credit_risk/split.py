"""Three banks out of one table: who banks where, what each bank prepares, who is kept back for testing.

Deterministic: a client's bank follows from the client's limit and education and a hash of the client's number, the
test part from the hash alone. The mix is uneven on purpose: bank-b gives first cards with small limits, bank-c is a
private bank for large limits and graduates, bank-a has what lies between and a few of everybody. So no bank alone
sees the market that all three live in, and b, whose slice is narrowest, rates other banks' customers worst.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

BANKS = ("bank-a", "bank-b", "bank-c")
TEST_SHARE = 0.25
STRAY_SHARE = 0.03
"""Clients of bank-a whatever their limit."""
SUBJECT = "client"
LABEL = "default"
MONTHS = range(1, 7)
FEATURES = (
    "limit_bal",
    "age",
    *(f"months_late_{month}" for month in MONTHS),
    "used_share_1",
    *(f"log_paid_{month}" for month in MONTHS),
)
_PAY_STATUS = ("pay_0", "pay_2", "pay_3", "pay_4", "pay_5", "pay_6")


@dataclass(frozen=True)
class Column:
    """A column as a bank's datasets.toml describes it: meaning, type, bounds that are public knowledge."""

    type: str
    meaning: str
    low: float
    high: float
    unit: str = ""

    @property
    def declared(self) -> str:
        """The column's table in datasets.toml, without its braces; a category's values are all from low to high."""
        said = f'type = "{self.type}", meaning = "{self.meaning}"'
        match self.type:
            case "number":
                return f'{said}, unit = "{self.unit}", low = {self.low}, high = {self.high}'
            case "category":
                return f"{said}, values = {list(range(int(self.low), int(self.high) + 1))}"
            case _:
                return f'{said}, role = "label"'


_CURRENCY = "NT$"
COLUMNS: dict[str, Column] = {
    "limit_bal": Column("number", "credit limit of the card", 0, 1_000_000, _CURRENCY),
    "sex": Column("category", "1 male, 2 female", 1, 2),
    "age": Column("number", "age in years", 18, 100, "years"),
    "education": Column("category", "1 graduate school, 2 university, 3 high school, 4 others", 0, 6),
    "marriage": Column("category", "1 married, 2 single, 3 others", 0, 3),
    **{
        name: Column("number", "months that the bill was late; -2 no use, -1 paid in full", -2, 9)
        for name in _PAY_STATUS
    },
    **{
        f"bill_amt{month}": Column("number", f"bill, {month} months ago", -400_000, 2_000_000, _CURRENCY)
        for month in MONTHS
    },
    **{
        f"pay_amt{month}": Column("number", f"paid, {month} months ago", 0, 2_000_000, _CURRENCY)
        for month in MONTHS
    },
    **{
        f"months_late_{month}": Column("number", f"months late, {month} months ago", 0, 9, "months")
        for month in MONTHS
    },
    "used_share_1": Column("number", "share of the limit that the last bill took", -1, 2),
    **{
        f"log_paid_{month}": Column("number", f"logarithm of 1 + paid, {month} months ago", 0, 15)
        for month in MONTHS
    },
    LABEL: Column("boolean", "whether the card was not paid in the month after", 0, 1),
}


def draws(ids: Iterable[int], salt: str) -> NDArray[np.float64]:
    """One number in [0, 1) per client, from a hash of ``salt`` and the client's number: the same on every run."""
    digests = (hashlib.sha256(f"{salt}:{number}".encode()).digest() for number in ids)
    return np.array([int.from_bytes(digest[:8], "big") / 2.0**64 for digest in digests])


def bank_of(limit: NDArray[Any], education: NDArray[Any], draw: NDArray[np.float64]) -> NDArray[np.str_]:
    """Each client's bank, by credit limit, education code (1 graduate school … 3 high school) and draw."""
    first_card = (limit <= 50_000) | ((limit <= 80_000) & (education >= 3))
    private = (limit >= 300_000) | ((limit >= 240_000) & (education == 1))
    home = np.select([first_card, private], ["bank-b", "bank-c"], "bank-a")
    return np.where(draw < STRAY_SHARE, "bank-a", home)


def prepare(table: pa.Table) -> pa.Table:
    """What every bank derives from its own columns: months late, share of the limit used, log of payments."""
    for month, status in zip(MONTHS, _PAY_STATUS, strict=True):
        late = np.maximum(table[status].to_numpy(), 0).astype(np.float64)
        paid = np.log1p(np.maximum(table[f"pay_amt{month}"].to_numpy(), 0))
        table = table.append_column(f"months_late_{month}", pa.array(late))
        table = table.append_column(f"log_paid_{month}", pa.array(paid))
    used = np.clip(table["bill_amt1"].to_numpy() / table["limit_bal"].to_numpy(), -1, 2)
    return table.append_column("used_share_1", pa.array(used))


def split(table: pa.Table) -> dict[tuple[str, str], pa.Table]:
    """The table of each (bank, dataset): dataset ``clients`` or ``clients_test``, subject column ``client``."""
    ids = table["id"].to_pylist()
    banks = bank_of(table["limit_bal"].to_numpy(), table["education"].to_numpy(), draws(ids, "bank"))
    test = draws(ids, "test") < TEST_SHARE
    subjects = pa.array([f"C{number:06d}" for number in ids])
    prepared = prepare(table).append_column(SUBJECT, subjects).select([SUBJECT, *COLUMNS])
    return {
        (bank, name): prepared.filter(pa.array((banks == bank) & (test == kept_back)))
        for bank in BANKS
        for name, kept_back in (("clients", False), ("clients_test", True))
    }


def write(parts: dict[tuple[str, str], pa.Table], folders: dict[str, Path]) -> None:
    """Put each bank's two tables, as Parquet, into the bank's own folder."""
    for (bank, name), table in parts.items():
        folders[bank].mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folders[bank] / f"{name}.parquet")
