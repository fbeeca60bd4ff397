"""What an analyst may ask for: the datasets and columns that the network's agreements offer, as one table."""

from collections.abc import Iterator, Sequence
from typing import Any

from consortia_client import page_parts
from consortia_client.offering import Offering
from consortia_client.optional import load
from consortia_client.tables import Row, Table


class Catalogue(Sequence[Offering]):
    """The offerings, one an agreement; in a notebook it shows itself."""

    def __init__(self, offerings: Sequence[Offering]) -> None:
        self._offerings = tuple(offerings)

    def __getitem__(self, place: Any) -> Any:
        return self._offerings[place]

    def __len__(self) -> int:
        return len(self._offerings)

    @property
    def table(self) -> Table:
        """One row a column of a dataset under an agreement."""
        return Table("catalogue", tuple(self._rows()))

    def to_arrow(self) -> Any:
        """As a pyarrow.Table. Raises MissingExtraError."""
        return load("pyarrow", "the catalogue as Arrow", "pyarrow").table(self.table.as_columns())

    def to_pandas(self) -> Any:
        """As a pandas.DataFrame. Raises MissingExtraError."""
        return load("pandas", "the catalogue as a data frame", "pandas").DataFrame(self.table.as_columns())

    def __repr__(self) -> str:
        return f"<Catalogue of {', '.join(offering.agreement for offering in self) or 'nothing'}>"

    def _repr_html_(self) -> str:
        return page_parts.table("catalogue", self.table.columns, self.table.cells())

    def _rows(self) -> Iterator[Row]:
        for offering in self._offerings:
            for dataset in offering.datasets:
                for column in dataset.columns:
                    yield {
                        "agreement": offering.agreement,
                        "dataset": dataset.name,
                        "institutions": ", ".join(dataset.owners),
                        "column": column.name,
                        "type": column.type,
                        "role": column.role,
                        "unit": column.unit,
                        "meaning": column.meaning,
                        "allowed": column.allowed,
                    }
