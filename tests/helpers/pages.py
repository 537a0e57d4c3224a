"""Names that no page may take for markup, and a parser that fails where a page is not well formed."""

from __future__ import annotations

import re
from html.parser import HTMLParser

HOSTILE = (
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "a\"b' onload='x",
    "$x_1^{$",
    "../../etc/passwd\\n",
    "two\nlines\t\x00\x1b[31m",
    "\u202egnp.exe",
    "شق",
    "裂缝",
    "x" * 90,
    "{{ 7 * 7 }}",
    "&amp; <b>",
    "",
)


VOID = {"meta", "br", "img", "hr", "input", "link"}


class Page(HTMLParser):
    """Elements with their attributes, and text; fails where one is closed that is not open."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in {"td", "th"}:
            self.text += " "
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def has(self, words):
        return words in " ".join(self.text.split())


def opens_anywhere(text):
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "form"}
        for key, value in attributes.items():
            assert not key.startswith("on")
            if key in {"src", "href", "xlink:href"}:
                assert re.match(r"#|data:image/(jpeg|png);base64,", value), value
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    return page
