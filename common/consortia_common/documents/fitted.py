"""A fitted model as a document: inputs and how they are prepared, the fit, and where it comes from.

One JSON document says all that is needed to use the model, to judge it and to trace it; it is data and never code.
Numbers are decimal text, so that a model has one canonical form and one digest; docs/models.md explains each field.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from consortia_common.documents.base import ColumnName, Document, Fingerprint, MistakesError, Moment, Name, Number
from consortia_common.documents.categories import Category

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
    """Numbers up to this go left."""
    among: tuple[Place, ...] | None = None
    """Categories, by place in the column's list, that go left."""
    missing_left: bool = False
    """Where missing values, and values that are no category, go."""
    child: Place = 0


class TreesFit(Document):
    """answer = link⁻¹(start + learning_rate · Σ value of each tree's leaf)."""

    type: Literal["trees"]
    columns: tuple[ColumnName, ...]
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

    job: str = ""
    agreement: str = ""
    purpose: str = ""
    parties: tuple[Name, ...] = ()
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
        problems = [
            f"inputs: {each.column} has no category {each.category!r}"
            for each in self.inputs
            if isinstance(each, IndicatorInput) and each.category not in self.categories.get(each.column, ())
        ]
        wanted = {"linear": len(self.inputs), "network": len(self.inputs)}.get(self.fit.type)
        have = self.fit.sizes[0] if isinstance(self.fit, NetworkFit) else len(getattr(self.fit, "weights", ()))
        if wanted is not None and have != wanted:
            problems.append(f"fit: it is for {have} inputs, and the model has {wanted}")
        if problems:
            raise MistakesError(problems)
        return self
