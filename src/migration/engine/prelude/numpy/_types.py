"""Element types of numpy, and single numbers of them."""

import _ckstore
import ckstore_objects as _objects

# The kinds whose elements are numbers that the sandbox computes with, and how torch calls them by size.
_NUMBERS = {
    ("b", 1): "bool",
    ("i", 1): "int8",
    ("i", 2): "int16",
    ("i", 4): "int32",
    ("i", 8): "int64",
    ("u", 1): "uint8",
    ("u", 2): "uint16",
    ("u", 4): "uint32",
    ("u", 8): "uint64",
    ("f", 2): "float16",
    ("f", 4): "float32",
    ("f", 8): "float64",
}
_KINDS = {name: key for key, name in _NUMBERS.items()}
_ALIASES = {"float": "float64", "int": "int64", "double": "float64", "single": "float32", "half": "float16", "bool_": "bool"}
_CODES = {"?": "bool", "b": "int8", "h": "int16", "i": "int32", "l": "int64", "q": "int64", "B": "uint8", "H": "uint16"}
_CODES.update({"I": "uint32", "L": "uint64", "Q": "uint64", "e": "float16", "f": "float32", "d": "float64"})
_made = {}


class _DtypeMeta(type):
    def __call__(cls, of=None, *_, **__):
        return _dtype(of)


class dtype(metaclass=_DtypeMeta):
    """An element type."""

    @classmethod
    def _of(cls, kind, size, order, arguments=None, state=None):
        """The one object of this type; what numpy alone understands keeps the parts that it was made from."""
        key = (kind, size, order)
        found = _made.get(key) if state is None else None
        if found is None:
            found = object.__new__(cls)
            found.kind, found.itemsize, found.byteorder = kind, size, "=" if order == "<" else order
            found._order, found._arguments, found._state = order, arguments, state
            if state is None:
                _made[key] = found
        return found

    @property
    def name(self):
        if (self.kind, self.itemsize) in _NUMBERS:
            return _NUMBERS[self.kind, self.itemsize]
        if self.kind in "Mm" and self._state is not None and len(self._state) > 8:
            unit, count = self._state[8][1][:2]
            unit = f"{count if count != 1 else ''}{unit.decode() if isinstance(unit, bytes) else unit}"
            return f"{'datetime64' if self.kind == 'M' else 'timedelta64'}[{unit}]"
        names = {"U": "str", "S": "bytes", "O": "object", "M": "datetime64", "m": "timedelta64", "c": "complex", "V": "void"}
        return names[self.kind] + (str(self.itemsize * 8) if self.kind not in "OMm" and self.itemsize else "")

    @property
    def str(self):
        count = self.itemsize // 4 if self.kind == "U" else self.itemsize
        return "|O" if self.kind == "O" else f"{self._order}{self.kind}{count}"

    @property
    def type(self):
        if self.kind in "US":
            return str_ if self.kind == "U" else bytes_
        found = _scalars.get(self.name)
        if found is None:
            raise _objects.unavailable(f"numpy.{self.name}")
        return found

    ndim = 0
    shape = ()
    names = fields = None

    def __eq__(self, other):
        try:
            other = _dtype(other)
        except TypeError:
            return False
        if self._state is not None or other._state is not None:
            return (self._arguments, self._state) == (other._arguments, other._state)
        return self is other

    def __hash__(self):
        return hash((self.kind, self.itemsize, self._order))

    def __str__(self):
        return self.name if self._order in "<|" and self.kind not in "US" else self.str

    def __repr__(self):
        return f"dtype('{self if self.kind != 'O' else 'O'}')"

    def _is_number(self):
        return (self.kind, self.itemsize) in _NUMBERS

    def _native(self):
        """The same type in the order of bytes that this machine computes in."""
        return dtype._of(self.kind, self.itemsize, "<") if self._order == ">" and self._state is None else self

    def _decoded(self, data):
        """The elements of dense bytes."""
        if self.kind == "U":
            size = self.itemsize
            points = _ckstore.decode("uint32", self._reversed(data))
            letters = [chr(point) for point in points]
            wide = size // 4
            return ["".join(letters[i : i + wide]).rstrip("\0") for i in range(0, len(letters), wide)] if wide else []
        if self.kind == "S":
            size = self.itemsize
            return [data[i : i + size].rstrip(b"\0") for i in range(0, len(data), size)] if size else []
        if not self._is_number():
            raise _objects.unavailable(f"an element of a numpy array of {self.name}")
        return _ckstore.decode(self.name, self._swapped(data))

    def _encoded(self, values):
        if self.kind == "U":
            wide = self.itemsize // 4
            points = [ord(letter) for value in values for letter in value.ljust(wide, "\0")[:wide]]
            return self._reversed(_ckstore.encode("uint32", points))
        if self.kind == "S":
            return b"".join(value.ljust(self.itemsize, b"\0")[: self.itemsize] for value in values)
        return self._swapped(_ckstore.encode(self.name, values))

    def _swapped(self, data):
        size = self.itemsize
        if self._order != ">" or size == 1:
            return data
        return b"".join(data[i : i + size][::-1] for i in range(0, len(data), size))

    def _reversed(self, data):
        """Letters in the order of bytes that this machine computes in."""
        if self._order != ">":
            return data
        return b"".join(data[i : i + 4][::-1] for i in range(0, len(data), 4))

    def _rounded(self, values):
        """What values become when they are kept as this type."""
        if self.kind == "f":
            return values if self.itemsize == 8 else _ckstore.decode(self.name, _ckstore.encode(self.name, values))
        if self.kind in "iu":
            bits = self.itemsize * 8
            low = -(1 << bits - 1) if self.kind == "i" else 0
            return [(int(value) - low) % (1 << bits) + low for value in values]
        if self.kind == "b":
            return [bool(value) for value in values]
        return values


def _dtype(of):
    """The element type that a type, a name or an array stands for."""
    if isinstance(of, dtype):
        return of
    if of is None:
        return dtype._of("f", 8, "<")
    if isinstance(of, type):
        if of in (bool, int, float, object, str, bytes):
            return {bool: _named("bool"), int: _named("int64"), float: _named("float64"), object: dtype._of("O", 8, "|"),
                    str: dtype._of("U", 0, "<"), bytes: dtype._of("S", 0, "|")}[of]
        if issubclass(of, generic) and of.__name__ in _KINDS:
            return _named(of.__name__)
        if of is bool_:
            return _named("bool")
    if isinstance(of, str):
        text = of.lstrip("=<|")
        order = ">" if of.startswith(">") else "<"
        text = text.lstrip(">")
        text = _ALIASES.get(text, text)
        if text in _KINDS:
            return _named(text)
        if text in _CODES:
            return _named(_CODES[text])
        if text in ("O", "object"):
            return dtype._of("O", 8, "|")
        if text[:1] in ("U", "S") and text[1:].isdigit():
            wide = int(text[1:])
            return dtype._of("U", wide * 4, order) if text[0] == "U" else dtype._of("S", wide, "|")
        if text[1:].isdigit() and (text[0], int(text[1:])) in _NUMBERS:
            return dtype._of(text[0], int(text[1:]), "|" if text[1:] == "1" else order)
    if hasattr(of, "dtype") and isinstance(of.dtype, dtype):
        return of.dtype
    raise TypeError(f"Cannot interpret '{of}' as a data type")


def _named(name):
    kind, size = _KINDS[name]
    return dtype._of(kind, size, "|" if size == 1 else "<")


def rebuilt_dtype(arguments, state):
    """The type that a pickle makes with `numpy.dtype(*arguments)` and its state."""
    code, order = arguments[0], "|"
    plain = isinstance(state, tuple) and len(state) == 8 and state[2:5] == (None, None, None) and state[1] in "<>|"
    if state is not None and plain:
        order = state[1]
    kind, digits = code[0], code[1:]
    if plain and digits.isdigit() and len(arguments) == 3:
        size = int(digits)
        if kind == "U":
            return dtype._of("U", size * 4, order)
        if (kind, size) in _NUMBERS or kind == "S" or code == "O8":
            return dtype._of(kind, size, order)
    return dtype._of(kind, int(digits) if digits.isdigit() else 0, order, arguments, state)


def parts_of_dtype(of):
    """The arguments and the state with which numpy pickles a type."""
    if of._state is not None:
        return of._arguments, of._state
    if of.kind == "U":
        return (f"U{of.itemsize // 4}", False, True), (3, of._order, None, None, None, of.itemsize, 4, 8)
    if of.kind == "S":
        return (f"S{of.itemsize}", False, True), (3, "|", None, None, None, of.itemsize, 1, 0)
    flags = 63 if of.kind == "O" else 0
    return (f"{of.kind}{of.itemsize}", False, True), (3, of._order, None, None, None, -1, -1, flags)


class generic:
    """A single number of an element type."""

    def __new__(cls, value=0):
        if cls.__name__ not in _KINDS:
            raise TypeError(f"cannot create '{cls.__name__}' instances")
        if isinstance(value, str):
            value = float(value) if cls._kind == "f" else int(value)
        if cls._kind in "iu" and type(value) is int and _named(cls.__name__)._rounded([value]) != [value]:
            raise OverflowError(f"Python integer {value} out of bounds for {cls.__name__}")
        value = _named(cls.__name__)._rounded([value.item() if hasattr(value, "item") else value])[0]
        if issubclass(cls, float):
            return float.__new__(cls, value)
        new = object.__new__(cls)
        new._value = float(value) if cls._kind == "f" else value
        return new

    shape = ()
    ndim = 0
    size = 1

    @property
    def dtype(self):
        return _named(type(self).__name__)

    @property
    def itemsize(self):
        return self.dtype.itemsize

    nbytes = itemsize

    def item(self):
        return self._value

    tolist = item

    def astype(self, of, copy=True):
        return _array().asarray(self).astype(of)[()]

    def tobytes(self):
        return self.dtype._encoded([self.item()])

    def round(self, digits=0):
        return type(self)(round(self.item(), digits))

    def __getitem__(self, key):
        if key == ():
            return self
        raise IndexError("invalid index to scalar variable.")

    def __bool__(self):
        return bool(self.item())

    def __int__(self):
        return int(self.item())

    def __float__(self):
        return float(self.item())

    def __hash__(self):
        return hash(self.item())

    def __round__(self, digits=None):
        return round(self.item()) if digits is None else type(self)(round(self.item(), digits))

    def __format__(self, form):
        return format(self.item(), form)

    def __str__(self):
        return _text(self.dtype, self.item())

    def __repr__(self):
        return f"np.{type(self).__name__}({self})" if type(self).__name__ != "bool" else f"np.{self}_"

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


def _text(of, value):
    if of.kind != "f" or of.itemsize == 8:
        return str(value)
    for digits in range(1, 18):
        text = f"{value:.{digits}g}"
        if of._rounded([float(text)]) == [value]:
            shortest = repr(float(text))
            return shortest
    return repr(value)


def _array():
    import numpy

    return numpy


class number(generic):
    pass


class integer(number):
    pass


class signedinteger(integer):
    pass


class unsignedinteger(integer):
    pass


class inexact(number):
    pass


class floating(inexact):
    pass


_scalars = {}
for (_kind, _size), _name in _NUMBERS.items():
    _base = {"b": generic, "i": signedinteger, "u": unsignedinteger, "f": floating}[_kind]
    _fields = {"__module__": "numpy", "_kind": _kind}
    if _name == "float64":
        _fields.update({
            "item": lambda self: float.__float__(self),
            "tolist": lambda self: float.__float__(self),
            "_value": property(lambda self: float.__float__(self)),
            "__float__": lambda self: float.__float__(self),
        })
    if _kind in "iu":
        _fields["__index__"] = lambda self: self._value
    _scalars[_name] = type(_name, (_base, float) if _name == "float64" else (_base,), _fields)
    _objects._paths[_scalars[_name]] = ("numpy", "bool_" if _name == "bool" else _name)
bool_ = _scalars["bool"]


class str_(str):
    """Text of a numpy array."""

    def item(self):
        return str(self)

    tolist = item

    @property
    def dtype(self):
        return dtype._of("U", 4 * len(self), "<")


class bytes_(bytes):
    """Bytes of a numpy array."""

    def item(self):
        return bytes(self)

    tolist = item

    @property
    def dtype(self):
        return dtype._of("S", len(self), "|")


def scalar(of, value):
    """A single element of a type."""
    if of.kind == "U":
        return str_(value)
    if of.kind == "S":
        return bytes_(value)
    if of.kind == "O":
        return value
    cls = of.type
    if cls is _scalars["float64"]:
        return float.__new__(cls, value)
    new = object.__new__(cls)
    new._value = value
    return new


def result_type(*values):
    """The type that numpy computes in; Python's own numbers bend to that of the arrays."""
    strong = [value if isinstance(value, dtype) else value.dtype for value in values if hasattr(value, "dtype") or isinstance(value, dtype)]
    weak = [value for value in values if not hasattr(value, "dtype") and not isinstance(value, dtype)]
    found = None
    for of in strong:
        found = of if found is None else _promoted(found, of)
    for value in weak:
        kind = "b" if isinstance(value, bool) else "i" if isinstance(value, int) else "f"
        own = _named({"b": "bool", "i": "int64", "f": "float64"}[kind])
        if found is None:
            found = own
        elif "biuf".index(kind.replace("u", "i")) > "biuf".index(found.kind) and not (kind == "i" and found.kind in "iu"):
            found = own
    return found


def _promoted(a, b):
    if not (a._is_number() and b._is_number()):
        if a.kind == b.kind and a.kind in "US":
            return a if a.itemsize >= b.itemsize else b
        if a == b:
            return a
        raise _objects.unavailable(f"a numpy operation on {a.name} and {b.name}")
    if a.kind == b.kind:
        return _named(a.name if a.itemsize >= b.itemsize else b.name)
    if "b" in (a.kind, b.kind):
        return b if a.kind == "b" else a
    if "f" in (a.kind, b.kind):
        real, whole = (a, b) if a.kind == "f" else (b, a)
        return _named(f"float{max(real.itemsize, {1: 2, 2: 4}.get(whole.itemsize, 8)) * 8}")
    signed, unsigned = (a, b) if a.kind == "i" else (b, a)
    if signed.itemsize > unsigned.itemsize:
        return _named(signed.name)
    return _named("float64" if unsigned.itemsize == 8 else f"int{unsigned.itemsize * 16}")
