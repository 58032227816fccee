"""Rendering: Markdown and HTML are escaped, and pages are sandboxed."""

from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markdown_it import MarkdownIt
from markupsafe import Markup

from tinysight.reporting.rendering import HtmlPage, escape_markdown, render
from tinysight.reporting.section import ReportSection, summaries


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain name", "plain name"),
        ("a*b_c", r"a\*b\_c"),
        ("[x](y)", r"\[x\](y)"),
        ("<b>", r"\<b\>"),
        ("a|b~c&d$e`f\\", r"a\|b\~c\&d\$e\`f" + "\\\\"),
        ("# heading", r"\# heading"),
        ("a # b", "a # b"),
        ("- item", r"\- item"),
        ("12. item", r"12\. item"),
        ("3) item", r"3\) item"),
        ("3 items", "3 items"),
        ("http://x.org", r"http:\//x.org"),
        ("two\n  lines\t", "two lines"),
        ("", ""),
        (5, "5"),
    ],
)
def test_markdown_is_escaped(text, escaped):
    assert escape_markdown(text) == escaped


def test_markup_is_not_escaped_again():
    assert escape_markdown(Markup("*a*")) == "*a*"
    assert escape_markdown(escape_markdown("*a*")) == r"\*a\*"


@settings(max_examples=40)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).filter(str.strip))
def test_escaped_text_is_one_paragraph_of_that_text(text):
    opening, inline, closing = MarkdownIt("commonmark").parse(str(escape_markdown(text)))
    assert (opening.type, closing.type) == ("paragraph_open", "paragraph_close")
    assert {child.type for child in inline.children} <= {"text", "text_special"}
    assert "".join(child.content for child in inline.children) == " ".join(text.split())


def test_a_page_is_shown_in_a_sandboxed_frame():
    page = HtmlPage('<p class="a">x & y</p>')
    html = page._repr_html_()
    assert page == '<p class="a">x & y</p>'
    start, rest = html.split('srcdoc="')
    content, style, *_ = rest.split('"')[0], rest.split('"')[2]
    assert start == "<iframe sandbox "
    assert unescape(content) == page
    assert style == "width:100%;height:720px;border:1px solid #8886;border-radius:8px"


def test_a_missing_value_is_an_error():
    with pytest.raises(UndefinedError, match="card"):
        render("report.html")


def test_summaries_are_by_heading_in_order():
    sections = [ReportSection("b", "one"), ReportSection("a", "two")]
    assert list(summaries(sections).items()) == [("b", "one"), ("a", "two")]
