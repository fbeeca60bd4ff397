"""A finished job's answer, with all that one must know to use it: who took part, on what basis, how exactly.

It is made of a JobResult, so every party's receipt has been checked before anything is shown.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from consortia_client import charts, page_parts
from consortia_client.believed import JobResult
from consortia_client.errors import ResultError
from consortia_client.optional import load
from consortia_client.plan import against_plan
from consortia_client.tables import Table, tables_of
from consortia_common.documents.agreement import Agreement


class Result:
    """An opened result; in a notebook it shows itself."""

    def __init__(self, opened: JobResult, agreement: Agreement | None) -> None:
        self._opened = opened
        self._agreement = agreement

    @property
    def job_id(self) -> str:
        """Whose result it is."""
        return self._opened.job_id

    @property
    def document(self) -> Mapping[str, Any]:
        """The result as the parties computed it; empty where it stays at an institution."""
        return self._opened.result or {}

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """The result as flat tables, by name."""
        return tables_of(self.document)

    @property
    def facts(self) -> dict[str, str]:
        """Participants, legal basis, noise and precision."""
        spec, receipts = self._opened.spec, self._opened.receipts
        parts = [f"{one.institution} ({sum(part.rows_used for part in one.cohorts):,} rows)" for one in receipts]
        missing = [name for name in spec.parties if name not in {one.institution for one in receipts}]
        return {
            "job": self.job_id,
            "question": f"{spec.name} ({spec.kind})",
            "participants": ", ".join(parts),
            **({"dropped out": ", ".join(missing)} if missing else {}),
            "agreement": receipts[0].agreement if receipts else spec.agreement,
            "lawful basis": self._agreement.lawful_basis if self._agreement else "not known here",
            "purpose": spec.purpose,
            "noise": self._noise(),
            "precision": self._precision(),
            "bytes": against_plan(spec, receipts),
        }

    def table(self, name: str = "") -> Table:
        """The table of that name; without one, the first. Raises ResultError if there is none."""
        found = self.tables.get(name or next(iter(self.tables), ""))
        if found is None:
            raise ResultError(
                f"the result of {self.job_id} has no table {name[:60]}".rstrip(),
                blame="whoever asked for it",
                remedy=f"ask for one of: {', '.join(self.tables) or 'none; it stays at the institution'}",
            )
        return found

    def to_arrow(self, name: str = "") -> Any:
        """The table as a pyarrow.Table. Raises ResultError, MissingExtraError."""
        return load("pyarrow", "a result as Arrow", "pyarrow").table(self.table(name).as_columns())

    def to_pandas(self, name: str = "") -> Any:
        """The table as a pandas.DataFrame. Raises ResultError, MissingExtraError."""
        return load("pandas", "a result as a data frame", "pandas").DataFrame(self.table(name).as_columns())

    def histogram(self, column: str) -> Any:
        """The joint distribution of a column, as an Altair chart. Raises ResultError, MissingExtraError."""
        return charts.histogram(self.table("histograms"), column)

    def comparison(self, value: str, by: str, table: str = "") -> Any:
        """A table's ``value`` for each ``by``, as an Altair chart. Raises ResultError, MissingExtraError."""
        return charts.bars(self.table(table), value, by)

    def __repr__(self) -> str:
        return f"<Result of {self.job_id}: {', '.join(self.tables) or 'stays at the institution'}>"

    def _repr_html_(self) -> str:
        shown = [page_parts.table(one.name, one.columns, one.cells()) for one in self.tables.values()]
        return page_parts.facts(self.facts) + "".join(shown)

    def _noise(self) -> str:
        noise = self.document.get("noise")
        if not isinstance(noise, Mapping):
            return "none: exact, apart from what was withheld because it is small"
        return ", ".join(f"{name} {value}" for name, value in noise.items())

    def _precision(self) -> str:
        parameters = self._opened.spec.parameters
        if not parameters.sums():
            return "scores are rounded"
        if any(shape.tensors for shape in parameters.sums().values()):
            return "updates are fixed point; see the page of the kind"
        return f"values to {parameters.precision()} decimals, summed exactly"
