"""The YAML of documents: plain values, nothing guessed, every mistake with its line, no bombs."""

import json
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from consortia_common.documents import strict_yaml
from consortia_common.documents.strict_yaml import YamlMistakeError

texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Co"]), max_size=10)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values, st.booleans())
def test_what_is_dumped_as_yaml_or_json_reads_back(value: Any, as_json: bool) -> None:
    text = json.dumps(value, ensure_ascii=False) if as_json else yaml.safe_dump(value, allow_unicode=True)
    assert strict_yaml.load(text) == value


@given(st.text(max_size=60) | st.text("&*!<>-?:,[]{}#|'\"%@` \n\tab01~", max_size=30))
def test_garbage_raises_only_our_error(text: str) -> None:
    with suppress(YamlMistakeError):
        strict_yaml.load(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("2026-01-01", "2026-01-01"),
        ("2026-13-45", "2026-13-45"),
        ("1:30:00", "1:30:00"),
        ("0777", "0777"),
        ("0x1F", "0x1F"),
        ("0.1", "0.1"),
        (".nan", ".nan"),
        ("1e400", "1e400"),
        ("9" * 5000, "9" * 5000),
        ("'1'", "1"),
        ("-7", -7),
        ("true", True),
        ("True", "True"),
        ("null", None),
        ("~", None),
        ("", None),
        ("=", "="),
        ("[1, a, 'x y']", [1, "a", "x y"]),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("<<: 1", {"<<": 1}),
        ("|\n a\n b", "a\nb"),
    ],
)
def test_nothing_is_guessed(text: str, value: Any) -> None:
    found = strict_yaml.load(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\nb: 2\na: 3", "^line 3: a is given twice$"),
        ("top:\n  a: 1\n  a: 1", "^line 3: a is given twice$"),
        ("{a: 1, 'a': 2}", "^line 1: a is given twice$"),
        ("1: a", "^line 1: the name of a field is not text$"),
        ("null: a", "the name of a field is not text"),
        ("? [a]\n: b", "the name of a field is not text"),
        ("a: !!set {b}", "^line 1: a value can't have a tag$"),
        ("a: !!binary YWJj", "a value can't have a tag"),
        ("!!python/object/apply:os.system [x]", "a value can't have a tag"),
        ("a: ! b", "a value can't have a tag"),
        ("a: &a [*a]", "^line 1: a value holds itself$"),
        ("a: *b", "undefined alias"),
        ("a: 1\n---\nb: 2", "^line 2: .*another document"),
        ("a: [1\nb: 2", "^line 2: "),
        ("a:\n\t- 1", "^line 2: .*tab|^line 2: .*\\\\t"),
        ("a: \x01", "a character that YAML does not allow"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, why: str) -> None:
    with pytest.raises(YamlMistakeError, match=why):
        strict_yaml.load(text)


def _bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_aliases_count_as_what_they_stand_for() -> None:
    assert len(strict_yaml.load(_bomb(3))["a2"]) == 10
    with pytest.raises(YamlMistakeError, match=r"^line 5: there are more than"):
        strict_yaml.load(_bomb(12))


@pytest.mark.parametrize("opening", ["[", "- ", "? ", "{a: "])
def test_depth_is_bounded(opening: str) -> None:
    with pytest.raises(YamlMistakeError, match="nested too deeply"):
        strict_yaml.load(opening * 1_100)


def test_a_long_document_is_given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_yaml, "MAX_VALUES", 1000)
    assert len(strict_yaml.load("[" + "1," * 999 + "]")) == 999
    with pytest.raises(YamlMistakeError, match="there are more than"):
        strict_yaml.load("[" + "1," * 1000 + "]")
