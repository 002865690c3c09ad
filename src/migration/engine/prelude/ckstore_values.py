"""Values that are made by a call: how each is put together from a pickle's parts, and taken apart again."""

import sys
from collections import Counter, deque
from functools import partial

import ckstore_objects as _objects
from ckstore_families import rebuild_value  # noqa: F401, the worker asks for it here

_NOTHING = _objects.NO_STATE


def rebuild(module, name, arguments, state):
    """The value that a pickle makes, or None where only its own package can make it."""
    maker = _MAKERS.get((module, name))
    if maker is None:
        return None
    try:
        return maker(arguments, state)
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError):
        return None


def refill(value, items):
    """Puts the items in that a pickle appends, and what was not filled when the value was made."""
    if type(value) is deque:
        value.extend(items)
    elif type(value) is Counter:
        dict.update(value, _sources[id(value)][1])
    elif type(value) is partial:
        function, given, keywords, _ = _states[id(value)][1]
        value.__setstate__((function, given, dict(keywords or {}), None))


def reduced(value, is_shown):
    """Path, arguments, state and items of a value; None for a value that is as it was shown, or of another kind."""
    taker = _TAKERS.get(type(value))
    if taker is None:
        taker = getattr(type(value), "_ckstore_parts", None)
    return None if taker is None else taker(value, is_shown)


def _deque(arguments, state):
    return deque(*arguments) if state is _NOTHING else None


def _parts_of_deque(value, is_shown):
    arguments = () if value.maxlen is None else ((), value.maxlen)
    return "collections", "deque", arguments, _NOTHING, list(value)


def _counter(arguments, state):
    (counts,) = arguments
    if type(counts) is not dict or state is not _NOTHING:
        return None
    made = Counter()
    _sources[id(made)] = (made, counts)
    return made


# What a value was made from, by the value's id; the value is kept with it.
_sources = {}
_states = {}


def _parts_of_counter(value, is_shown):
    if is_shown:
        # The dict that it was made from is a value of the checkpoint, and is written as one.
        source = _sources[id(value)][1]
        if list(source.items()) != list(dict.items(value)):
            source.clear()
            source.update(dict.items(value))
        return None
    return "collections", "Counter", (dict(value),), _NOTHING, None


def _partial(arguments, state):
    if not isinstance(state, tuple) or len(state) != 4:
        return None
    made = partial(state[0])
    _states[id(made)] = (made, state)
    return made


def _parts_of_partial(value, is_shown):
    if is_shown:
        return None
    return "functools", "partial", (value.func,), (value.func, value.args, dict(value.keywords), None), None


def _called(make):
    return lambda arguments, state: make(*arguments) if state is _NOTHING else None


def _lazily(module, name):
    def make(arguments, state):
        __import__(module)
        return getattr(sys.modules[module], name)(*arguments) if state is _NOTHING else None

    return make


def _numpy(name):
    def make(arguments, state):
        import numpy

        return getattr(numpy, name)(*((arguments, state) if name == "rebuilt_array" else (arguments,)))

    return make


def _dtype(arguments, state):
    from numpy._types import rebuilt_dtype

    return rebuilt_dtype(arguments, None if state is _NOTHING else state)


def _complex(arguments, state):
    return complex(*arguments)


_MAKERS = {
    ("collections", "deque"): _deque,
    ("collections", "Counter"): _counter,
    ("functools", "partial"): _partial,
    ("builtins", "complex"): _called(complex),
    ("builtins", "range"): _called(range),
    ("builtins", "xrange"): _called(range),
    ("builtins", "slice"): _called(slice),
    ("fractions", "Fraction"): _lazily("fractions", "Fraction"),
    ("torch", "device"): _lazily("ckstore_tensor", "device"),
    ("numpy", "dtype"): _dtype,
}
for _name in ("date", "datetime", "time", "timedelta", "timezone"):
    _MAKERS["datetime", _name] = _lazily("datetime", _name)
for _name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"):
    _MAKERS["pathlib", _name] = _MAKERS["pathlib._local", _name] = _lazily("pathlib", _name)
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _MAKERS[_module, "_reconstruct"] = _numpy("rebuilt_array")
    _MAKERS[_module, "scalar"] = _numpy("rebuilt_scalar")

_TAKERS = {deque: _parts_of_deque, Counter: _parts_of_counter, partial: _parts_of_partial}
_objects._paths.update({deque: ("collections", "deque"), Counter: ("collections", "Counter"), partial: ("functools", "partial")})


def _constant(module, name, arguments_of):
    def take(value, is_shown):
        return None if is_shown else (module, name, arguments_of(value), _NOTHING, None)

    return take


_TAKERS[complex] = _constant("builtins", "complex", lambda z: (z.real, z.imag))
_TAKERS[range] = _constant("builtins", "range", lambda r: (r.start, r.stop, r.step))
_TAKERS[slice] = _constant("builtins", "slice", lambda s: (s.start, s.stop, s.step))


def parts_of_others(value):
    """How a value of a module that is loaded when it is asked for is pickled; None for others."""
    cls = type(value)
    module = _objects._paths.get(cls, ("", ""))[0]
    if module == "pathlib":
        return "pathlib", cls.__name__, value.parts, _NOTHING, None
    if module == "datetime":
        return ("datetime", cls.__name__, tuple(value.__reduce_ex__(2)[1]), _NOTHING, None)
    if cls.__module__ == "fractions":
        return "fractions", "Fraction", (str(value),), _NOTHING, None
    if cls.__module__ == "ckstore_tensor" and cls.__name__ == "device":
        return "torch", "device", (value.type,) if value.index is None else (value.type, value.index), _NOTHING, None
    return None


def parts_of_numpy(value, is_shown, package):
    """How numpy pickles an array, a number or a type; `package` is how the checkpoint calls its core."""
    import numpy

    if isinstance(value, numpy.ndarray):
        parts = numpy.reduced_array(value, is_shown)
        return None if parts is None else (f"{package}.multiarray", "_reconstruct", *parts, None)
    if is_shown:
        return None
    if isinstance(value, numpy.dtype):
        from numpy._types import parts_of_dtype

        return ("numpy", "dtype", *parts_of_dtype(value), None)
    if isinstance(value, (numpy.generic, numpy.str_, numpy.bytes_)):
        of = value.dtype
        return f"{package}.multiarray", "scalar", (of, of._encoded([value.item()])), _NOTHING, None
    return None


def taken(value, is_shown, package):
    """What `reduced` says, for values of every module."""
    module = type(value).__module__
    if module.partition(".")[0] == "numpy":
        return parts_of_numpy(value, is_shown, package)
    found = reduced(value, is_shown)
    if found is None and not is_shown:
        found = parts_of_others(value)
    return found
