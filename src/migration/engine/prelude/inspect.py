"""The little of `inspect` that dataclasses and scripts need."""


def signature(value, **_):
    raise ValueError("signatures are not available in the sandbox")


def unwrap(function, **_):
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def isclass(value):
    return isinstance(value, type)


def isfunction(value):
    return isinstance(value, type(isclass))


def ismethod(value):
    return type(value).__name__ == "method"


def isroutine(value):
    return isfunction(value) or ismethod(value) or type(value).__name__ == "builtin_function_or_method"


def ismodule(value):
    import sys

    return isinstance(value, type(sys))


def cleandoc(text):
    return "\n".join(line.strip() for line in text.splitlines()).strip()


def getdoc(value):
    doc = getattr(value, "__doc__", None)
    return doc and cleandoc(doc)


def get_annotations(value, **_):
    return dict(getattr(value, "__annotations__", None) or {})
