"""Words of senders (values, groups, versions, reasons) in a message to people: shown as they are, and nothing but shown.

Chats read Markdown and mentions in what we send as text; none of ours is meant to be one.
"""

from __future__ import annotations

import re
import unicodedata

_MOST_CHARS = 1000
_JOINER = "\u200d"  # within emoji
_SPACES = re.compile(r"\s+")
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_TAG = re.compile(r"<(?=[!@#/a-zA-Z])")
_LINK = re.compile(r"\](?=[(\[:])")


def plain(text: object) -> str:
    """One line of at most 1,000 characters without control characters, mentions (@all), tags (<!here>) and links ([a](b)).

    What turns the direction of writing goes too: it would turn the rest of the line.
    """
    found = str(text)
    found = found if len(found) <= _MOST_CHARS else f"{found[: _MOST_CHARS - 2]} …"
    shown = "".join(c if c == _JOINER else {"C": "", "Z": " "}.get(unicodedata.category(c)[0], c) for c in _SPACES.sub(" ", found))
    return _LINK.sub("] ", _TAG.sub("\u2039", _MENTION.sub("\uff20", shown)))  # look alike, and are neither < nor @
