"""PURE: a report as sections of facts and tables, written as plain text or as a printable page of HTML.

The HTML needs nothing from anywhere: no script, no font, no picture. Whatever comes from a document or a log is
escaped; the page forbids all loading besides.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from unicodedata import east_asian_width

from consortia_common.terminal import printable

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
@page { size: A4; margin: 18mm 16mm 20mm; }
body { font: 10.5pt/1.5 "Noto Sans", "Noto Sans CJK SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei",
  system-ui, sans-serif; color: #1b1b1b; margin: 2rem auto; max-width: 60rem; padding: 0 1.5rem; }
h1 { font-size: 1.6em; line-height: 1.25; margin: 0 0 .3em; }
h2 { font-size: 1.15em; margin: 1.8em 0 .5em; padding-bottom: .2em; border-bottom: 1.5px solid #1f4e79;
  color: #1f4e79; break-after: avoid; }
p { margin: .4em 0; max-width: 46rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2em 1.2em; margin: .5em 0; }
dt { color: #555; } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: .6em 0; font-size: .92em; }
th { text-align: left; background: #eef3f8; } th, td { padding: .35em .6em; border: 1px solid #c9d3dd;
  vertical-align: top; overflow-wrap: anywhere; }
tr { break-inside: avoid; } thead { display: table-header-group; }
.figures { display: flex; flex-wrap: wrap; gap: 1.5em; margin: .8em 0; } figure { margin: 0; }
figcaption { font-size: .85em; color: #555; text-align: center; }
footer { margin-top: 2.5em; font-size: .85em; color: #555; border-top: 1px solid #c9d3dd; padding-top: .6em; }
@media print { body { margin: 0; max-width: none; padding: 0; } }
"""


@dataclass(frozen=True)
class Section:
    """A heading with sentences, facts and at most one table; ``empty`` is said where the table has no rows."""

    heading: str
    sentences: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    empty: str = ""
    figures: Sequence["Figure"] = ()


@dataclass(frozen=True)
class Figure:
    """A curve in the unit square, beside the diagonal where there is one to compare with."""

    caption: str
    across: str
    up: str
    points: Sequence[tuple[float, float]]
    diagonal: bool = True
    ends: tuple[str, str] = ("0", "1")
    """What the left and the right side of the square are."""


@dataclass(frozen=True)
class Page:
    """A report. ``language``: as in HTML's ``lang``."""

    language: str
    title: str
    introduction: Sequence[str]
    facts: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = field(default_factory=tuple)
    footer: str = ""


def as_text(page: Page, width: int = 100) -> str:
    """For a terminal ``width`` cells wide: a table becomes a block of lines for each row."""
    title = printable(page.title)
    lines = [title, "=" * cells(title), "", *_wrapped(page.introduction, width), ""]
    lines += _facts(page.facts, width)
    for section in page.sections:
        heading = printable(section.heading)
        lines += ["", heading, "-" * cells(heading), *_wrapped(section.sentences, width)]
        lines += _facts(section.facts, width)
        for number, row in enumerate(section.rows, 1):
            pairs = [(name, cell) for name, cell in zip(section.columns, row, strict=True) if cell]
            lines += [f"{number}.", *(f"   {line}" for line in _facts(pairs, width - 3))]
        if section.columns and not section.rows and section.empty:
            lines += _wrapped([section.empty], width)
    return "\n".join([*lines, "", *_wrapped([page.footer], width)]) + "\n"


def as_html(page: Page) -> str:
    """A page that prints on A4 and stands alone."""
    body = [f"<h1>{_safe(page.title)}</h1>", *_paragraphs(page.introduction), _list(page.facts)]
    for section in page.sections:
        body += [
            f"<section><h2>{_safe(section.heading)}</h2>",
            *_paragraphs(section.sentences),
            _list(section.facts),
        ]
        body += [_table(section), _figures(section.figures), "</section>"]
    return "\n".join(
        [
            f'<!doctype html>\n<html lang="{_safe(page.language)}">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_safe(page.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            *filter(None, body),
            f"<footer>{_safe(page.footer)}</footer>\n</body>\n</html>\n",
        ]
    )


def as_markdown(page: Page) -> str:
    """For a repository or a wiki; figures are left out."""
    lines = [f"# {_plain(page.title)}", "", *(_plain(sentence) for sentence in page.introduction), ""]
    lines += [f"- **{_plain(name)}**: {_plain(value)}" for name, value in page.facts]
    for section in page.sections:
        lines += ["", f"## {_plain(section.heading)}", "", *(_plain(sentence) for sentence in section.sentences)]
        lines += [f"- **{_plain(name)}**: {_plain(value)}" for name, value in section.facts]
        if section.rows:
            lines += ["", _cells(section.columns), _cells(["---"] * len(section.columns))]
            lines += [_cells(row) for row in section.rows]
        elif section.empty:
            lines += [_plain(section.empty)]
    return "\n".join([*lines, "", _plain(page.footer)]).rstrip() + "\n"


def _cells(row: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(cell) for cell in row) + " |"


def _plain(text: str) -> str:
    """Text that Markdown takes as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", printable(text)) if text != "---" else text


def cells(text: str) -> int:
    """How many cells of a terminal ``text`` takes; a Chinese character takes two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _facts(facts: Iterable[tuple[str, str]], width: int) -> list[str]:
    pairs = [(printable(name), value) for name, value in facts]
    column = max((cells(name) for name, _ in pairs), default=0) + 2
    lines = []
    for name, value in pairs:
        first, *more = _wrapped([value], max(width - column, 20)) or [""]
        lines.append(name + " " * (column - cells(name)) + first)
        lines += [" " * column + line for line in more]
    return lines


def _wrapped(sentences: Iterable[str], width: int) -> list[str]:
    """Lines of at most ``width`` cells, broken between words, or between Chinese characters."""
    lines = []
    for sentence in sentences:
        line = ""
        for word in _words(printable(sentence)):
            if line.strip() and cells(line + word.rstrip()) > width:
                lines.append(line.rstrip())
                line = ""
            line += word
        lines.append(line.rstrip())
    return lines


def _words(text: str) -> list[str]:
    words, word = [], ""
    for letter in text:
        word += letter
        if letter == " " or cells(letter) == 2:
            words.append(word)
            word = ""
    return [*words, word]


def _safe(text: str) -> str:
    return escape(printable(text), quote=True)


def _paragraphs(sentences: Iterable[str]) -> list[str]:
    return [f"<p>{_safe(sentence)}</p>" for sentence in sentences]


def _list(facts: Sequence[tuple[str, str]]) -> str:
    items = "".join(f"<dt>{_safe(name)}</dt><dd>{_safe(value)}</dd>" for name, value in facts)
    return f"<dl>{items}</dl>" if items else ""


def _table(section: Section) -> str:
    if not section.rows:
        return f"<p>{_safe(section.empty)}</p>" if section.columns and section.empty else ""
    head = "".join(f"<th>{_safe(name)}</th>" for name in section.columns)
    rows = "".join("<tr>" + "".join(f"<td>{_safe(cell)}</td>" for cell in row) + "</tr>" for row in section.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


_SIDE = 220


def _figures(figures: Sequence[Figure]) -> str:
    drawn = "".join(
        f"<figure>{_drawn(one)}<figcaption>{_safe(one.caption)}</figcaption></figure>" for one in figures
    )
    return f'<div class="figures">{drawn}</div>' if drawn else ""


def _drawn(figure: Figure) -> str:
    """A square of _SIDE with room for the names of its axes."""
    line = " ".join(f"{_SIDE * x:.1f},{_SIDE * (1 - y):.1f}" for x, y in figure.points)
    left, right = figure.ends
    diagonal = f'<path d="M0 {_SIDE} L{_SIDE} 0" stroke="#b5bec8" stroke-dasharray="4 4" fill="none"/>'
    return (
        f'<svg width="{_SIDE + 40}" height="{_SIDE + 36}" viewBox="-30 -8 {_SIDE + 40} {_SIDE + 36}" '
        f'role="img" aria-label="{_safe(figure.caption)}" font-size="11" fill="#555">'
        f'<rect width="{_SIDE}" height="{_SIDE}" fill="#fafbfc" stroke="#c9d3dd"/>'
        f"{diagonal if figure.diagonal else ''}"
        f'<polyline points="{line}" fill="none" stroke="#1f4e79" stroke-width="2"/>'
        f'<text x="0" y="{_SIDE + 13}">{_safe(left)}</text>'
        f'<text x="{_SIDE}" y="{_SIDE + 13}" text-anchor="end">{_safe(right)}</text>'
        f'<text x="{_SIDE / 2}" y="{_SIDE + 24}" text-anchor="middle">{_safe(figure.across)}</text>'
        f'<text x="-8" y="{_SIDE / 2}" text-anchor="middle" transform="rotate(-90 -8 {_SIDE / 2})">'
        f"{_safe(figure.up)}</text></svg>"
    )
