"""PURE: the YAML that documents are written in: mappings, lists, text, whole numbers, true, false and null.

What YAML 1.1 would guess stays text: ``no`` is not false, 2026-01-01 not a date, 1:30 not ninety; and a number with
a point stays the decimal that was written. A key given twice, a tag and anything else that two readers may take
differently is refused with its line. Follows the core schema of https://yaml.org/spec/1.2.2/, without floats.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import yaml

MAX_VALUES = 50_000
"""Values in one document, each alias counted as all that it stands for."""
_TAG = "tag:yaml.org,2002:"
_PLAIN = {
    "bool": re.compile("true|false"),
    "null": re.compile("null|~|"),
    "int": re.compile("-?(0|[1-9][0-9]{0,17})"),
}
"""What is not text, if it is not quoted."""


@dataclass(frozen=True)
class Place:
    """Where in a text something stands, counted from 1 as editors do."""

    line: int
    column: int


Step = str | int
"""A field's name or an item's number: one step of the way to a value."""


class YamlMistakeError(ValueError):
    """What is wrong, as a sentence with the line."""

    def __init__(self, why: str, place: Place | None = None) -> None:
        super().__init__(f"line {place.line}: {why}" if place else why)
        self.why = why
        self.place = place


@dataclass(frozen=True)
class Marked:
    """A plain value that remembers where its parts were written."""

    value: Any
    places: Mapping[tuple[Step, ...], Place]
    """Of fields where their names begin, of items where they begin; of the whole, under no step."""

    def place(self, path: Sequence[Step]) -> Place | None:
        """Where ``path`` leads, or as far on the way there as the text goes."""
        for length in range(len(path), -1, -1):
            if found := self.places.get(tuple(path[:length])):
                return found
        return None


def load(text: str) -> Any:
    """The plain value that ``text`` says. Raises YamlMistakeError."""
    return load_marked(text).value


def load_marked(text: str) -> Marked:
    """As ``load``, with places. Raises YamlMistakeError."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Marked(None, {})
        return Marked(loader.construct_document(node), _places(node))
    except yaml.MarkedYAMLError as error:
        why = ", ".join(filter(None, (error.context, error.problem)))
        mark = error.problem_mark or error.context_mark
        raise YamlMistakeError(why, _place(mark) if mark else None) from error
    except yaml.YAMLError as error:
        raise YamlMistakeError("it holds a character that YAML does not allow") from error
    except RecursionError as error:
        raise YamlMistakeError("it is nested too deeply") from error


def _places(root: yaml.Node) -> dict[tuple[Step, ...], Place]:
    """Of every value, each alias walked as all that it stands for: their number was bounded when they were made."""
    places: dict[tuple[Step, ...], Place] = {(): _place(root.start_mark)}
    waiting: list[tuple[tuple[Step, ...], yaml.Node]] = [((), root)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            inner = [(key.value, key.start_mark, value) for key, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            inner = [(number, item.start_mark, item) for number, item in enumerate(node.value)]
        else:
            continue
        for step, mark, value in inner:
            places[*path, step] = _place(mark)
            waiting.append(((*path, step), value))
    return places


def _place(mark: yaml.Mark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


class _Loader(yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values = 0
        self._sizes: dict[int, int] = {}

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """The type of a value that has no tag."""
        if kind is yaml.ScalarNode:
            plain = implicit[0]
            return _TAG + next((name for name, form in _PLAIN.items() if plain and form.fullmatch(value)), "str")
        return _TAG + ("map" if kind is yaml.MappingNode else "seq")

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """As in PyYAML, but knows no tags, and counts what it makes."""
        event = cast("Any", self).peek_event()
        if getattr(event, "tag", None) is not None:
            raise _mistake("a value can't have a tag", event.start_mark)
        before = self._values
        node = super().compose_node(parent, index)
        is_alias = isinstance(event, yaml.AliasEvent)
        if is_alias and id(node) not in self._sizes:
            raise _mistake("a value holds itself", event.start_mark)
        self._values += self._sizes[id(node)] if is_alias else 1
        if self._values > MAX_VALUES:
            raise _mistake(f"there are more than {MAX_VALUES} values", event.start_mark)
        self._sizes[id(node)] = self._values - before
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As in PyYAML, but every key is text and comes once."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != _TAG + "str":
                raise _mistake("the name of a field is not text", key.start_mark)
            if key.value in seen:
                raise _mistake(f"{key.value[:60]} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _mistake(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
