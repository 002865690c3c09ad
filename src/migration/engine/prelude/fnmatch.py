"""Patterns of the shell: `*`, `?`, `[seq]` and `[!seq]`."""

import re
from functools import lru_cache

__all__ = ["filter", "filterfalse", "fnmatch", "fnmatchcase", "translate"]


def translate(pattern):
    """The regular expression of a pattern."""
    out, place = "", 0
    while place < len(pattern):
        letter = pattern[place]
        place += 1
        if letter == "*":
            out += "" if out.endswith(".*") else ".*"
        elif letter == "?":
            out += "."
        elif letter == "[":
            end = place + 1 if pattern[place : place + 1] == "!" else place
            end = pattern.find("]", end + 1 if pattern[end : end + 1] == "]" else end)
            if end < 0:
                out += "\\["
                continue
            inside = pattern[place:end].replace("\\", "\\\\").replace("[", "\\[")
            place = end + 1
            if inside.startswith("!"):
                inside = "^" + inside[1:]
            elif inside.startswith("^"):
                inside = "\\" + inside
            out += f"[{inside}]"
        else:
            out += re.escape(letter)
    return f"(?s:{out})\\Z"


@lru_cache(maxsize=256)
def _compiled(pattern):
    return re.compile(translate(pattern)).match


def fnmatchcase(name, pattern):
    return _compiled(pattern)(name) is not None


fnmatch = fnmatchcase


def filter(names, pattern):
    match = _compiled(pattern)
    return [name for name in names if match(name)]


def filterfalse(names, pattern):
    match = _compiled(pattern)
    return [name for name in names if not match(name)]
