"""Words that try to be more than words, and how to tell that they were kept from it."""

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

from airflow_mlgov.evidence.statements import Statement, read_statement
from airflow_mlgov.evidence.verification import statement_schema

HOSTILE = (
    "fine\r\n\r## Approved by everybody\n| check | outcome |\n|---|---|\n- [x] done\x0b\x0c\x1c\x85\u2028\u2029<!-- "
    "\x1b[2K\x1b[1A\x1b]8;;https://evil.example\x07\x9b31m\x08\x00\u202e\u2066\u200b\u2060\ufeff\U000e0061\u3164"
    "[here](https://evil.example) ![x](https://evil.example/p.png) <https://evil.example> https://evil.example "
    "www.evil.example eve@evil.example **b** __b__ *i* _i_ ~~s~~ `c` ``` <script>alert(1)</script> <b onclick=x> "
    "</pre></svg> &lt; {{ 7*7 }} {% x %} <!channel> @here | \\| \\"
)
HARMLESS = "fine"


def unruly(text: str) -> list[str]:
    """The characters of a text that steer a terminal or cannot be seen, but for its line ends."""
    return [hex(ord(char)) for char in text if char != "\n" and (not char.isprintable() or char in "\u3164")]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append(f"{tag} {sorted(name for name, _ in attrs)}")

    def handle_endtag(self, tag: str) -> None:
        self.found.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.found.append(f"comment {data}")


def tags(page: str) -> list[str]:
    """The elements of an HTML page, in order."""
    parser = _Tags()
    parser.feed(page)
    parser.close()
    return parser.found


def blocks(text: str) -> list[str]:
    """What GitHub's Markdown makes of a text, in order; of what stands within lines, only what can act."""
    from markdown_it import MarkdownIt

    found = []
    for token in MarkdownIt("gfm-like", {"html": True}).parse(text):
        found.append(token.type)
        found += [
            item.type
            for item in token.children or ()
            if item.type not in ("text", "code_inline", "strong_open", "strong_close")
        ]
        for item in token.children or ():
            if item.type != "code_inline":
                assert "evil.example" not in item.content, item.content
    return found


def same_shape(make: Callable[[str], str], *, markdown: bool = False, html: bool = False, quoted: bool = True) -> None:
    """A text that quotes hostile words has the lines, the blocks or the elements that it has with harmless ones."""
    bad, good = make(HOSTILE), make(HARMLESS)
    assert "Approved by everybody" in bad or not quoted, "the words are not there at all"
    assert unruly(bad) == []
    if markdown:
        assert blocks(bad) == blocks(good)
    if html:
        assert tags(bad) == tags(good)
    else:
        assert bad.count("\n") == good.count("\n"), bad


def spoken(statement: Statement, words: str) -> tuple[Statement, int]:
    """The statement with these words in each text that its schema leaves to its writer, and how many those are."""
    from jsonschema import Draft202012Validator

    document = statement.as_json()
    schema = Draft202012Validator(statement_schema(statement.form))
    count = 0
    for holder, key in list(_texts(document)):
        before = holder[key]
        if isinstance(before, str) and not re.fullmatch(r"[0-9a-f]{16,}|\d{4}-\d\d-.*", before):
            holder[key] = words
            if _reads(schema, document, statement.duty):
                count += 1
            else:
                holder[key] = before
    return read_statement(document), count


def _reads(schema: Any, document: Any, duty: str) -> bool:
    try:
        made = read_statement(document)
        made.as_json()
    except Exception:
        return False
    return made.duty == duty and bool(schema.is_valid(document))


def _texts(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        if isinstance(item, str):
            yield value, key
        else:
            yield from _texts(item)
