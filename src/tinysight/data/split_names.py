"""Names of splits, as people write them in folders and tables."""

from __future__ import annotations

import re

SPLITS = ("train", "validation", "test")
SPLIT_ALIASES = {
    **dict.fromkeys(("train", "training", "train_set"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "test_set", "eval", "evaluation"), "test"),
}
"""The split that each usual name stands for. `split_of` also accepts other spellings of these names."""

_SEPARATOR = re.compile(r"[\W_]+")
_ADDED_WORD = re.compile(r"(set|data|split|images?|imgs?|folder|dir|\d+)$")


def split_of(name: str) -> str | None:
    """Return "train", "validation" or "test" for a name of a split, else None.

    Case and separators do not matter, and a word such as "set" or "data" may follow: `Training`, `valid`, `test-set`,
    `TrainData`.
    """
    word = _SEPARATOR.sub("", name.casefold())
    while word and word not in SPLIT_ALIASES:
        shorter = _ADDED_WORD.sub("", word)
        if shorter == word:
            return None
        word = shorter
    return SPLIT_ALIASES.get(word)


def split_and_rest(name: str) -> tuple[str, str] | None:
    """Return the split that a name of several words ends or begins with, and the other words; else None.

    >>> split_and_rest("seg_train"), split_and_rest("Test-cats"), split_and_rest("train")
    (('train', 'seg'), ('test', 'cats'), None)
    """
    words = [word for word in _SEPARATOR.split(name.casefold()) if word]
    for word, rest in ((words[-1:], words[:-1]), (words[:1], words[1:])):
        if rest and (split := split_of(word[0])):
            return split, " ".join(rest)
    return None
