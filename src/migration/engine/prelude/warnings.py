"""Warnings go where `print` goes, each once."""

from _ckstore import print_text as _print_text

_seen = set()
_silent = 0
filters = []


def warn(message, category=None, stacklevel=1, source=None, **_):
    if category is None:
        category = type(message) if isinstance(message, Warning) else UserWarning
    text = f"{category.__name__}: {message}\n"
    if not _silent and text not in _seen:
        _seen.add(text)
        _print_text(text)


def warn_explicit(message, category, *_, **__):
    warn(message, category)


def simplefilter(action, *_, **__):
    global _silent
    _silent = action == "ignore"


def filterwarnings(action, *_, **__):
    pass


def resetwarnings():
    simplefilter("default")


class catch_warnings:
    """Puts the filter back at its end; `record=True` keeps nothing."""

    def __init__(self, *, record=False, **_):
        self._record = record

    def __enter__(self):
        self._before = _silent
        return [] if self._record else None

    def __exit__(self, *_):
        global _silent
        _silent = self._before


def _deprecated(*_, **__):
    pass


def deprecated(message, /, **_):
    return lambda function: function
