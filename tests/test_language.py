"""The vocabulary of docs/glossary.md: banned words do not occur in the code, the help texts or the documentation."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DIALECT = (
    *("told", "foretold", "furthest", "anew", "whoever", "nobody", "somebody", "twins?", "strangers?", "looks"),
    *("leaks", "held against", "as it is", "pictures?", "photos?"),
)
BRITISH = (
    *("colou", "centre(?!y)", "grey", "neighbour", "behaviour", "licence", "programme(?!d|r)", "favour", "honour"),
    *("optimis(?!t|m)", "normalis", "standardis", "recognis", "initialis", "summaris", "organis(?!m|t)", "minimis"),
    *("maximis", "analys(?!is|t)", "catalogue", "artefact", "modell", "labell"),
)
BANNED = re.compile(rf"(?<![a-z])(?:{'|'.join(DIALECT)})(?![a-z])|{'|'.join(BRITISH)}", re.IGNORECASE)
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`|\]\([^)]*\)|https?://\S+|<!--.*?-->", re.MULTILINE | re.DOTALL)
# A paper's title, and a seed label that fixes random draws.
QUOTED = ("Measuring Colourfulness", 'f"strangers {name}"')
# The changelog and the glossary name old words.
EXEMPT = {"CHANGELOG.md", "docs/glossary.md", "docs/changelog.md"}


def pages():
    """Return the paths of all texts that users or contributors read, relative to the repository."""
    patterns = ("*.md", "docs/**/*.md", "src/**/*.py", "src/**/*.html", "src/**/*.md", "src/**/*.js", "src/**/*.toml")
    found = {
        path.relative_to(ROOT).as_posix() for pattern in (*patterns, "examples/*.py") for path in ROOT.glob(pattern)
    }
    return sorted(found - EXEMPT)


@pytest.mark.parametrize("page", pages())
def test_no_banned_word(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for phrase in QUOTED:
        text = text.replace(phrase, "")
    prose = CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text) if page.endswith(".md") else text
    banned = [
        f"{page}:{number}: {match[0]}"
        for number, line in enumerate(prose.splitlines(), 1)
        for match in BANNED.finditer(line)
    ]
    assert banned == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("The twins are told apart", "twins"),
        ("a grey image", "grey"),
        ("optimiser", "optimis"),
        ("three photos", "photos"),
    ],
)
def test_the_check_finds_banned_words(text, word):
    assert BANNED.search(text)[0] == word


@pytest.mark.parametrize(
    "text", ["gray photographs", "an optimizer", "analysis", "overlooks", "memory-leakage", "outlooks"]
)
def test_the_check_accepts_standard_words(text):
    assert BANNED.search(text) is None
