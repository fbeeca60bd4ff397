"""``statistics``: descriptions, distributions, relations and comparisons over all parties' rows together.

What is added up is a function of the spec alone, so categories and ranges are declared in it and not looked up in
anybody's data.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from consortia_common.documents.base import ColumnName, Document, Name, Number
from consortia_common.documents.categories import Categories, Category, use_of
from consortia_common.documents.kinds import Division, KindParameters, Reads, SumShape, Turn, Use
from consortia_common.documents.noise import Noise
from consortia_common.statistics.layout import LARGEST, Axis, Layout, Tally, fields_of, related_of
from consortia_common.statistics.privacy import MIN_STEPS, share_of_noise, sigma
from consortia_crypto.sum.terms import MAX_INSTITUTIONS, MIN_INSTITUTIONS

MAX_CELLS, MAX_WORDS = 4096, 1_000_000
Columns = Annotated[tuple[ColumnName, ...], Field(max_length=256)]
Bound = Annotated[Number, Field(ge=-LARGEST, le=LARGEST)]
Share = Annotated[Number, Field(gt=0, lt=1)]


class Quantiles(Document):
    """Values below which a given share of the rows lies, found by looking ever closer."""

    columns: Annotated[Columns, Field(min_length=1)]
    at: Annotated[tuple[Share, ...], Field(min_length=1, max_length=20)] = (
        Number("0.25"),
        Number("0.5"),
        Number("0.75"),
    )
    rounds: Annotated[int, Field(ge=0, le=5)] = 2
    """Each round divides the bin that holds the value by ``bins`` again."""


class Comparison(Document):
    """Periods, or other parts of the rows, held against one of them."""

    column: ColumnName
    """A category column."""
    base: Category
    """The category that all others are compared with."""


class Parameters(KindParameters):
    """Of a ``statistics`` job."""

    dataset: Name
    """A dataset that every party offers under the agreement."""
    columns: Annotated[Columns, Field(examples=[["income", "age"]])] = ()
    """Numeric columns to describe: count, sum, mean, variance, standard deviation."""
    decimals: Annotated[int, Field(ge=0, le=6)] = 2
    """Values are rounded to this many decimals before they are summed; sums are then exact."""
    label: ColumnName | None = Field(default=None, examples=["default"])
    """A 0/1 column whose rate is given for each group."""
    by: Annotated[tuple[ColumnName, ...], Field(max_length=3, examples=[["region"]])] = ()
    """Category columns to group by."""
    categories: dict[ColumnName, Categories] = Field(default_factory=dict, examples=[{"region": [1, 2, 3]}])
    """The categories of each category column that is named anywhere; any other value counts as "other"."""
    ranges: dict[ColumnName, tuple[Bound, Bound]] = Field(default_factory=dict, examples=[{"income": [0, 50000]}])
    """The public lowest and highest value of each column that is divided into bins."""
    bins: Annotated[int, Field(ge=2, le=1000)] = 20
    """Into so many equal bins each range is divided."""
    histograms: Annotated[Columns, Field(examples=[["income"]])] = ()
    """Columns whose distribution is counted; lowest and highest value come with it, to the width of a bin."""
    quantiles: Quantiles | None = Field(
        default=None, examples=[{"columns": ["income"], "at": ["0.5", "0.9"], "rounds": 2}]
    )
    """Medians and other quantiles."""
    correlations: Annotated[tuple[ColumnName, ...], Field(max_length=64, examples=[["income", "age"]])] = ()
    """Columns whose covariances and correlations are given, over the rows that have them all."""
    crosstabs: Annotated[
        tuple[tuple[ColumnName, ColumnName], ...], Field(max_length=32, examples=[[["region", "product"]]])
    ] = ()
    """Pairs of category columns to count against each other, with chi² and Cramér's V."""
    information: Annotated[Columns, Field(examples=[["income", "region"]])] = ()
    """Columns, with categories or a range, whose information value for the label is given, bin by bin."""
    compare: Comparison | None = Field(default=None, examples=[{"column": "quarter", "base": "q1"}])
    """Periods whose histograms are compared: population stability index, Kolmogorov–Smirnov distance."""
    place: bool = False
    """Each institution also gets its own figures beside the joint ones, in a file that stays with it."""
    noise: Noise | None = Field(default=None, examples=[{"epsilon": "0.5", "rows_per_customer": 1}])
    """Without it, answers are exact."""

    def layout(self) -> Layout:
        """The table of the first round."""
        cells = Tally(tuple(self._category(column) for column in self.by))
        tallies = [self._histogram(column) for column in self.binned()]
        tallies += [Tally((self._category(first), self._category(second))) for first, second in self.crosstabs]
        label = Axis("label", self.label or "", 3)
        tallies += [Tally((self._classes(column), label)) for column in self.information]
        related = related_of(self.correlations, counted=self.noise is None)
        return Layout(cells, fields_of(self.columns, self.label), tuple(tallies), related)

    def refined(self) -> Layout:
        """The table of each later round: for each column with quantiles, the bins of one bracket a quantile."""
        asked = self.quantiles
        size = len(asked.at) * self.bins + 1 if asked else 0
        tallies = tuple(Tally((Axis("brackets", column, size),)) for column in (asked.columns if asked else ()))
        return Layout(Tally(()), (), tallies)

    def binned(self) -> tuple[str, ...]:
        """The columns with a histogram in the first round."""
        return tuple(dict.fromkeys([*self.histograms, *(self.quantiles.columns if self.quantiles else ())]))

    def fixed_range(self, column: str) -> tuple[int, int]:
        """The range of a column in fixed point."""
        low, high = self.ranges[column]
        return int(low * 10**self.decimals), int(high * 10**self.decimals)

    def sigma(self) -> float:
        """The standard deviation of the noise on a count, all institutions together; 0 without noise."""
        if self.noise is None:
            return 0.0
        touched = self.layout().touched() + self._rounds() * len(self.refined().tallies)
        reach = self.noise.rows_per_customer * touched**0.5
        return sigma(float(self.noise.epsilon), float(self.noise.delta), reach)

    def takes(self) -> Mapping[str, Mapping[str, Use]]:
        """What is described, binned or correlated as numbers; the label; categories by how the spec writes them."""
        numbers: dict[str, Use] = dict.fromkeys((*self.columns, *self.ranges, *self.correlations), "number")
        label: dict[str, Use] = {self.label: "label"} if self.label else {}
        categories: dict[str, Use] = {column: use_of(values) for column, values in self.categories.items()}
        return {self.dataset: numbers | label | categories}

    def reads(self, party: str) -> tuple[Reads, ...]:
        """Every column named, at every party; the customer numbers where rows are counted for each customer."""
        del party
        return (Reads(dataset=self.dataset, columns=self._named(), subjects=self.noise is not None),)

    def turns(self, party: str) -> tuple[Turn, ...]:
        """One table, the rounds in which quantiles are refined, and the result."""
        del party
        refine = (Turn("query.refine", turn, gives="refined") for turn in range(1, self._rounds() + 1))
        return (Turn("query.tabulate", gives="table"), *refine, Turn("query.conclude"))

    def sums(self) -> Mapping[str, SumShape]:
        """Tables of 64-bit words."""
        shapes = {"table": SumShape(word_bits=64, length=self.layout().words)}
        if self._rounds():
            shapes["refined"] = SumShape(word_bits=64, length=self.refined().words)
        return shapes

    def keeps(self) -> bool:
        """Each institution's place."""
        return self.place

    def divisions(self) -> tuple[Division, ...]:
        """By the categories of each column, by the bins of each range, and into complete rows and others."""
        named = {column: tuple(map(str, self.categories[column])) for column in self.categories}
        for column in dict.fromkeys([*self.binned(), *self._binned_information()]):
            named[column] = (f"{self.bins} bins of {self.fixed_range(column)} · 10^-{self.decimals}",)
        complete = [Division(f"complete rows with {column}", self.correlations) for column in self.correlations]
        return (*(Division(column, groups) for column, groups in named.items()), *complete)

    def precision(self) -> int:
        """As the spec says."""
        return self.decimals

    def epsilon_micro(self) -> int:
        """As the spec says."""
        return 0 if self.noise is None else self.noise.epsilon_micro

    def learns(self) -> dict[str, str]:
        """As of any kind that adds sums; noise and the own place beside."""
        told = super().learns()
        own = "; its own figures beside the joint ones, in a file that stays with it" if self.place else ""
        noise = "; every figure with noise" if self.noise else ""
        return told | {"analyst": told["analyst"] + noise, "each party": told["each party"] + noise + own}

    def result_bytes(self) -> int:
        """If no bin and no group is too small to be shown; which of them are is not known before."""
        quantiles, compared = self.quantiles, len(self.categories[self.compare.column]) if self.compare else 0
        crossed = sum(self._category(first).size * self._category(second).size for first, second in self.crosstabs)
        return (
            500
            + (60 + 130 * len(self.columns)) * (1 + (self.layout().cells.size if self.by else 0))
            + 50 * len(self.histograms) * (self.bins + 2)
            + 60 * (len(quantiles.at) * len(quantiles.columns) if quantiles else 0)
            + 25 * len(self.correlations) ** 2
            + 55 * crossed
            + 75 * sum(self._classes(column).size for column in self.information)
            + 60 * compared * len(self.histograms)
        )

    def problems(self, parties: tuple[str, ...]) -> list[str]:
        """What no single field can say, in the order of the fields."""
        found = [*self._repeated(), *self._undeclared(), *self._ill_ranged(), *self._unfit()]
        return found or [*self._too_large(), *self._too_little_noise(len(parties))]

    def _repeated(self) -> Iterator[str]:
        lists: dict[str, tuple[object, ...]] = {
            "columns": self.columns,
            "by": self.by,
            "histograms": self.histograms,
            "correlations": self.correlations,
            "crosstabs": tuple(frozenset(pair) for pair in self.crosstabs),
            "information": self.information,
            "quantiles.columns": self.quantiles.columns if self.quantiles else (),
            "quantiles.at": self.quantiles.at if self.quantiles else (),
        }
        for name, items in lists.items():
            if len(set(items)) != len(items):
                yield f"parameters.{name}: one is named twice"
        for column, known in self.categories.items():
            if len(set(map(str, known))) != len(known) or "other" in known:
                yield f'parameters.categories.{column}: one is named twice, or "other" is named'

    def _undeclared(self) -> Iterator[str]:
        used = [*self.by, *(column for pair in self.crosstabs for column in pair)]
        used += [self.compare.column] if self.compare else []
        for column in dict.fromkeys(used):
            if column not in self.categories:
                yield f"parameters.categories: {column} is not there, by whose categories rows are to be divided"
        for column in self.categories:
            if column not in used and column not in self.information:
                yield f"parameters.categories.{column}: nothing is divided by it"
        for column in self.information:
            if (column in self.categories) == (column in self.ranges):
                yield f"parameters.information: {column} needs categories or a range, and not both"
        if self.compare and self.compare.base not in self.categories.get(self.compare.column, ()):
            yield "parameters.compare.base: it is none of the column's categories"

    def _ill_ranged(self) -> Iterator[str]:
        for column in self.binned():
            if column not in self.ranges:
                yield f"parameters.ranges: {column} is not there, whose range is to be divided into bins"
        known = {*self.binned(), *self.information, *(self._summed() if self.noise else ())}
        for column, (low, high) in self.ranges.items():
            if low >= high:
                yield f"parameters.ranges.{column}: the lowest is not below the highest"
            elif max(abs(low), abs(high)) * 10**self.decimals > LARGEST:
                yield f"parameters.ranges.{column}: too large for {self.decimals} decimals"
            elif any(bound * 10**self.decimals % 1 for bound in (low, high)):
                yield f"parameters.ranges.{column}: has more decimals than the {self.decimals} that are kept"
            if column not in known:
                yield f"parameters.ranges.{column}: nothing is divided by it"

    def _unfit(self) -> Iterator[str]:
        if self.information and not self.label:
            yield "parameters.information: needs a label"
        if self.compare and not self.histograms:
            yield "parameters.compare: needs histograms to compare"
        for pair in self.crosstabs:
            if pair[0] == pair[1] or set(pair) <= set(self.by):
                yield "parameters.crosstabs: of one column, or of two that rows are grouped by anyway"
        if self.label in self.information or self.label in self.by:
            yield "parameters.label: the label is also a column to divide by"

    def _too_large(self) -> Iterator[str]:
        layout = self.layout()
        if any(tally.size > MAX_CELLS * 4 for tally in layout.tallies) or layout.cells.size > MAX_CELLS:
            yield f"parameters: a table would have more than {MAX_CELLS} cells"
        elif max(layout.words, self.refined().words) > MAX_WORDS:
            yield f"parameters: more than {MAX_WORDS} numbers would be added up"

    def _too_little_noise(self, parties: int) -> Iterator[str]:
        if self.noise is None or not MIN_INSTITUTIONS <= parties <= MAX_INSTITUTIONS:
            return
        bare = [column for column in self._summed() if column not in self.ranges]
        if bare:
            yield f"parameters.ranges: noise needs the range of {', '.join(bare[:5])} too"
        if share_of_noise(self.sigma(), parties, 0) < MIN_STEPS:
            yield "parameters.noise.epsilon: so large that the noise would be too coarse to be trusted"

    def _summed(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.columns, *self.correlations]))

    def _named(self) -> tuple[str, ...]:
        """Every column that rows are read for, each once; the order is that of the fields."""
        named = [*self._summed(), *([self.label] if self.label else []), *self.by, *self.binned()]
        named += [column for pair in self.crosstabs for column in pair]
        named += [*self.information, *([self.compare.column] if self.compare else [])]
        return tuple(dict.fromkeys(named))

    def _rounds(self) -> int:
        return self.quantiles.rounds if self.quantiles else 0

    def _binned_information(self) -> tuple[str, ...]:
        return tuple(column for column in self.information if column in self.ranges)

    def _category(self, column: str) -> Axis:
        return Axis("category", column, len(self.categories[column]) + 1)

    def _classes(self, column: str) -> Axis:
        return self._category(column) if column in self.categories else self._bins(column)

    def _bins(self, column: str) -> Axis:
        return Axis("bins", column, self.bins + 3)

    def _histogram(self, column: str) -> Tally:
        """By period too, where periods are compared."""
        periods = (self._category(self.compare.column),) if self.compare else ()
        return Tally((*periods, self._bins(column)))
