"""Reports as text and as a page: nothing escapes, nothing is loaded, both languages say everything."""

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_client.pages import Page, Section, as_html, as_text, cells
from consortia_client.subject_page import _WORDS, LANGUAGES, page_of
from tests.support.consent_notices import make_notice

REPORT: dict[str, Any] = {
    "v": 1,
    "institution": "bank-a",
    "made_at": "2026-06-01T10:20:30.000Z",
    "pseudonym": "ab" * 32,
    "consents": [
        {
            "purpose": "risk",
            "notice": "notice@1",
            "record": "0" * 16,
            "state": "withdrawn",
            "effective_at": "2026-05-01T00:00:00.000Z",
            "valid_until": None,
            "recorded_at": "2026-05-01T00:00:00.000Z",
            "evidence": None,
        }
    ],
    "notices": [make_notice(recipients=["bank-b"]).model_dump(mode="json")],
    "uses": [
        {
            "at": "2026-04-01T08:00:00.000Z",
            "job": "job-0123456789abcdef",
            "kind": "train",
            "purpose": "risk",
            "dataset": "clients",
            "columns": ["income", "age"],
            "with": ["bank-a", "bank-b"],
            "agreement": "credit-risk@1",
            "agreement_title": "Joint credit risk",
            "lawful_basis": "consent",
            "notice": "notice@1",
            "consent_state": "given",
            "consent_since": "2026-01-01T00:00:00.000Z",
            "rows_used": 270,
            "entry": 12,
        },
    ],
    "models": ["job-0123456789abcdef"],
    "acknowledgements": [{"institution": "bank-b", "received_at": "2026-05-01T00:00:05.000Z"}],
    "log_entries": 40,
}
OTHER_BASIS = {"lawful_basis": "legal_obligation", "notice": "", "consent_state": "", "consent_since": ""}


class Tags(HTMLParser):
    """The tags of a page, and the texts between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_says_who_used_what_when_for_what_with_whom_under_which_consent(language: str) -> None:
    page = page_of(REPORT, language)
    for shown in (as_text(page), "\n".join(Tags(as_html(page)).texts)):
        for fact in (
            "2026-04-01 08:00",
            "income",
            "bank-b",
            "Joint credit risk",
            "notice@1",
            "job-0123",
            "ab" * 32,
        ):
            assert fact in shown.replace("\n" + " " * 10, "")
    assert "{" not in as_text(page)


def test_chinese_words_are_chinese_and_every_word_is_in_both_languages() -> None:
    assert all(len(words) == len(LANGUAGES) and all(words) for words in _WORDS.values())
    text = as_text(page_of(REPORT | {"notices": []}, "zh"))
    assert "已撤回" in text
    assert "withdrawn" not in text


@pytest.mark.parametrize(("language", "word"), [("en", "legal obligation"), ("zh", "法定义务")])
def test_another_basis_than_consent_is_named(language: str, word: str) -> None:
    report = REPORT | {"uses": [REPORT["uses"][0] | OTHER_BASIS]}
    assert word in as_text(page_of(report, language))


def test_nobody_used_anything() -> None:
    empty = REPORT | {"uses": [], "consents": [], "models": [], "acknowledgements": [], "notices": []}
    assert "No row about you was used." in as_text(page_of(empty, "en"))
    assert "未使用过与您有关的记录。" in as_html(page_of(empty, "zh"))


@given(st.text(max_size=60))
def test_no_text_becomes_a_tag_or_steers_a_terminal(text: str) -> None:
    page = Page("en", text, [text], [(text, text)], [Section(text, [text], [], [text], [[text]])], text)
    plain = Page("en", "x", ["x"], [("x", "x")], [Section("x", ["x"], [], ["x"], [["x"]])], "x")
    assert Tags(as_html(page)).tags == Tags(as_html(plain)).tags
    assert not any(ord(letter) < 32 and letter != "\n" for letter in as_text(page))


@given(st.lists(st.text("ab 中文。", max_size=80), max_size=3), st.integers(20, 60))
def test_lines_are_no_wider_than_asked(sentences: list[str], width: int) -> None:
    page = Page("en", "t", [" ".join(text.split()) for text in sentences])
    assert all(cells(line) <= width for line in as_text(page, width).split("\n") if " " in line.strip())


def test_a_page_loads_nothing() -> None:
    page = as_html(page_of(REPORT, "en"))
    assert not {"script", "link", "img", "iframe", "form"} & set(Tags(page).tags)
    assert "default-src 'none'" in page
