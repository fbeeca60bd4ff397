"""A fitted model as a document: inputs and how they are prepared, the fit, and where it comes from.

One JSON document says all that is needed to use the model, to judge it and to trace it; it is data and never code.
Numbers are decimal text, so that a model has one canonical form and one digest; docs/models.md explains each field.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from consortia_common.documents.agreement import LawfulBasis, Line, Recipient
from consortia_common.documents.base import ColumnName, Document, Fingerprint, MistakesError, Moment, Name, Number
from consortia_common.documents.categories import Category
from consortia_common.documents.statements import JobId
from consortia_crypto import canonical
from consortia_crypto.errors import EncodingError

FORMAT = 1
Real = Annotated[Number, Field(ge=-(10**15), le=10**15)]
AboveZero = Annotated[Number, Field(ge=Number("1e-12"), le=10**15)]
Place = Annotated[int, Field(ge=0, lt=1 << 20)]


class ColumnShape(Document):
    """A column of numbers, shaped: ``fill`` if missing, held within low and high, sign(x)·ln(1 + |x|)."""

    column: ColumnName
    fill: Real | None = None
    low: Real | None = None
    high: Real | None = None
    log1p: bool = False

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise MistakesError([f"{self.column}: low must be below high"])
        return self


class NumericInput(ColumnShape):
    """(shaped x − mean) / scale."""

    kind: Literal["number"]
    mean: Real = Number(0)
    scale: AboveZero = Number(1)


class IndicatorInput(Document):
    """1 where the column holds ``category``, else 0."""

    kind: Literal["indicator"]
    column: ColumnName
    category: Category


class EvidenceInput(Document):
    """The weight of the column's category; ``other`` for a value that is none of them."""

    kind: Literal["evidence"]
    column: ColumnName
    categories: tuple[Category, ...]
    weights: tuple[Real, ...]
    other: Real

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.categories) != len(self.weights):
            raise MistakesError(["weights: not one for each category"])
        return self


Input = Annotated[NumericInput | IndicatorInput | EvidenceInput, Field(discriminator="kind")]


class Coefficient(Document):
    """What an unpenalised fit says of one coefficient, per unit of its input as the column has it."""

    name: str
    value: Real
    error: Real
    statistic: Number
    p_value: Number
    low: Number
    """Of the 95 % confidence interval."""
    high: Number


class LinearFit(Document):
    """answer = link⁻¹(intercept + Σ weightᵢ · inputᵢ)."""

    type: Literal["linear"]
    weights: tuple[Real, ...]
    intercept: Real
    coefficients: tuple[Coefficient, ...] = ()
    """Empty where the fit was penalised or noisy: standard errors would not mean what a reader takes them for."""


class TreeNode(Document):
    """A leaf with its ``value``, or a node whose rows go left to node ``child`` or right to ``child`` + 1."""

    value: Real
    rows: Annotated[int, Field(ge=0)]
    column: Place | None = None
    """By place among the model's columns; a leaf has none."""
    upto: Real | None = None
    """Numbers up to this go left; with neither this nor ``among``, all do that are not missing."""
    among: tuple[Place, ...] | None = None
    """Categories, by place in the column's list, that go left."""
    missing_left: bool = False
    """Where missing values, and values that are no category, go."""
    child: Place = 0


class TreesFit(Document):
    """answer = link⁻¹(start + learning_rate · Σ value of each tree's leaf)."""

    type: Literal["trees"]
    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1)]
    start: Real
    learning_rate: AboveZero
    trees: Annotated[tuple[Annotated[tuple[TreeNode, ...], Field(min_length=1)], ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Every node is reached by one way from the root, so that whoever follows the tree comes to an end."""
        for number, tree in enumerate(self.trees):
            children = [node.child for node in tree if node.column is not None]
            reached = sorted([0, *children, *(child + 1 for child in children)])
            forward = all(place < node.child for place, node in enumerate(tree) if node.column is not None)
            if reached != list(range(len(tree))) or not forward:
                raise MistakesError([f"trees.{number}: its nodes do not make a tree"])
            if any(node.column is not None and node.column >= len(self.columns) for node in tree):
                raise MistakesError([f"trees.{number}: a node looks at a column that the model does not have"])
        return self


class NetworkFit(Document):
    """Each layer: inputs · weights + biases, then the activation, but behind the last; answer = link⁻¹(output)."""

    type: Literal["network"]
    sizes: Annotated[tuple[Annotated[int, Field(ge=1, le=1 << 16)], ...], Field(min_length=2, max_length=10)]
    activation: Literal["relu", "tanh"]
    weights: tuple[Real, ...]
    """For each layer its weights, input by input, then its biases."""
    centre: Real = Number(0)
    """The output is multiplied by ``spread`` and this is added, where the label was standardised."""
    spread: AboveZero = Number(1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        pairs = zip(self.sizes[:-1], self.sizes[1:], strict=True)
        if len(self.weights) != sum((before + 1) * after for before, after in pairs) or self.sizes[-1] != 1:
            raise MistakesError(["weights: not as many as the layers have"])
        return self


Fit = Annotated[LinearFit | TreesFit | NetworkFit, Field(discriminator="type")]


class Origin(Document):
    """Where the model comes from; empty for one that was brought from elsewhere."""

    job: JobId | Literal[""] = ""
    """Whose receipts name the result."""
    agreement: Line = ""
    purpose: Line = ""
    lawful_basis: LawfulBasis | Literal[""] = ""
    """The agreement's, for what the job read."""
    parties: tuple[Name, ...] = ()
    recipients: tuple[Recipient, ...] = ()
    """To whom the agreement let the model be handed."""
    dataset: Name | Literal[""] = ""
    test_dataset: Name | Literal[""] = ""
    rows: Annotated[int, Field(ge=0)] = 0
    spec: Fingerprint | None = None
    """SHA-256 of the job's canonical spec."""
    made: Moment | None = None


class Model(Document):
    """The whole artefact."""

    MAX_BYTES: ClassVar[int] = 64 << 20

    consortia_model: Literal[1] = 1
    """Version of this format."""
    label: ColumnName
    link: Literal["identity", "logit", "log"]
    categories: dict[ColumnName, tuple[Category, ...]] = Field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    """In the order of the fit's weights; trees look at the columns themselves and have none."""
    shapes: tuple[ColumnShape, ...] = ()
    """What is done to columns before trees look at them."""
    fit: Fit
    metrics: dict[str, Any] = Field(default_factory=dict)
    """What the job measured on the test parts, as its result has it."""
    privacy: dict[str, str] = Field(default_factory=dict)
    """What noise promises, if the job asked for it."""
    origin: Origin = Origin()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the model needs, each once."""
        if isinstance(self.fit, TreesFit):
            return self.fit.columns
        return tuple(dict.fromkeys(each.column for each in self.inputs))

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Whatever passes can be used: every column, category and place that is spoken of is there."""
        of_fit = self._of_trees(self.fit) if isinstance(self.fit, TreesFit) else self._of_inputs(self.fit)
        if problems := [*self._of_categories(), *of_fit]:
            raise MistakesError(problems)
        return self

    @field_validator("metrics")
    @classmethod
    def _check_metrics(cls, metrics: dict[str, Any]) -> dict[str, Any]:
        try:
            canonical.encode(metrics)
        except EncodingError as error:
            raise MistakesError([f"what is no canonical JSON: {error.what}"]) from error
        return metrics

    def _of_categories(self) -> Iterator[str]:
        for name, values in self.categories.items():
            if not values or len({str(value) for value in values}) != len(values):
                yield f"categories: {name} has none, or one of them twice"

    def _of_inputs(self, fit: LinearFit | NetworkFit) -> Iterator[str]:
        have = fit.sizes[0] if isinstance(fit, NetworkFit) else len(fit.weights)
        if have != len(self.inputs) or not self.inputs:
            yield f"fit: it is for {have} inputs, and the model has {len(self.inputs)}"
        if self.shapes:
            yield "shapes: only trees have them; each input has its own preparation"
        for each in self.inputs:
            known = self.categories.get(each.column)
            if isinstance(each, NumericInput) and known is not None:
                yield f"inputs: {each.column} is taken as a number, and has categories"
            if isinstance(each, IndicatorInput) and each.category not in (known or ()):
                yield f"inputs: {each.column} has no category {each.category!r}"
            if isinstance(each, EvidenceInput) and each.categories != known:
                yield f"inputs: {each.column} has weights for other categories than the model's"

    def _of_trees(self, fit: TreesFit) -> Iterator[str]:
        if self.inputs:
            yield "inputs: trees look at the columns themselves and have none"
        shaped = [shape.column for shape in self.shapes]
        if len({*shaped}) != len(shaped) or not {*shaped} <= {*fit.columns} - {*self.categories}:
            yield "shapes: one is given twice, or for a column that holds no numbers for the trees"
        sizes = [len(self.categories[name]) if name in self.categories else None for name in fit.columns]
        for number, tree in enumerate(fit.trees):
            for node in tree:
                if node.column is not None and not _may_look(node, sizes[node.column]):
                    yield f"trees.{number}: a node asks a column of categories for a number, or the other way round"


def _may_look(node: TreeNode, categories: int | None) -> bool:
    """Whether an inner node asks its column, of so many categories, for what it holds."""
    if categories is None:
        return node.among is None
    return node.upto is None and node.among is not None and all(place < categories for place in node.among)
