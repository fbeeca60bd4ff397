"""PURE: the YAML that documents are written in: mappings, lists, text, whole numbers, true, false and null.

What YAML 1.1 would guess stays text: ``no`` is not false, 2026-01-01 not a date, 1:30 not ninety; and a number with
a point stays the decimal that was written. A key given twice, a tag and anything else that two readers may take
differently is refused with its line. Follows the core schema of https://yaml.org/spec/1.2.2/, without floats.
"""

import re
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


class YamlMistakeError(ValueError):
    """What is wrong, as a sentence with the line."""


def load(text: str) -> Any:
    """The plain value that ``text`` says. Raises YamlMistakeError."""
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise YamlMistakeError(line + ", ".join(filter(None, (error.context, error.problem)))) from error
    except yaml.YAMLError as error:
        raise YamlMistakeError("it holds a character that YAML does not allow") from error
    except RecursionError as error:
        raise YamlMistakeError("it is nested too deeply") from error


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
