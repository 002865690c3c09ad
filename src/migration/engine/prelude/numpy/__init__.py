"""Arrays of numpy that a checkpoint holds, and the functions on them that scripts use.

Elements are Python's numbers in a row; an array is a view of such a row, as in numpy.
"""

import ckstore_objects as _objects

from ._types import (
    _dtype,
    _named,
    _scalars,
    _text,
    bool_,
    bytes_,
    dtype,
    floating,
    generic,
    inexact,
    integer,
    number,
    result_type,
    scalar as _scalar,
    signedinteger,
    str_,
    unsignedinteger,
)

_int, _float, _bool, _abs, _all, _any, _sum, _min, _max, _round = int, float, bool, abs, all, any, sum, min, max, round
pi, e, inf, nan, newaxis = 3.141592653589793, 2.718281828459045, float("inf"), float("nan"), None
__version__ = "0"


class _Row:
    """Elements that several arrays may look into; decoded when somebody looks."""

    def __init__(self, of, values=None, data=None):
        self.of, self._values, self.data, self.changed = of, values, data, False

    @property
    def values(self):
        if self._values is None:
            self._values = self.of._decoded(self.data)
        return self._values


# Letters that numpy reserves for a number as text.
_WIDTHS = {"bool": 5, "int8": 4, "int16": 6, "int32": 11, "int64": 21, "uint8": 3, "uint16": 5, "uint32": 10, "uint64": 20}
_WIDTHS.update({"float16": 32, "float32": 32, "float64": 32})


def _dense(shape):
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def _count(shape):
    count = 1
    for extent in shape:
        count *= extent
    return count


class ndarray:
    """An array."""

    def __new__(cls, *_, **__):
        raise _objects.unavailable("numpy.ndarray()")

    @classmethod
    def _over(cls, row, shape, strides=None, offset=0, parts=None):
        new = object.__new__(cls)
        new._row, new._shape, new._offset = row, tuple(shape), offset
        new._strides = _dense(shape) if strides is None else tuple(strides)
        # Arguments and state of the pickle, for an array of the checkpoint.
        new._parts = parts
        return new

    @classmethod
    def _of(cls, of, values, shape):
        return cls._over(_Row(of, values), shape)

    @property
    def shape(self):
        return self._shape

    @shape.setter
    def shape(self, value):
        new = self.reshape(value)
        if new._row is not self._row:
            raise AttributeError("Incompatible shape for in-place modification.")
        self._shape, self._strides, self._row.changed = new._shape, new._strides, True

    @property
    def dtype(self):
        return self._row.of

    @property
    def ndim(self):
        return len(self._shape)

    @property
    def size(self):
        return _count(self._shape)

    @property
    def itemsize(self):
        return self.dtype.itemsize

    @property
    def nbytes(self):
        return self.size * self.itemsize

    @property
    def T(self):
        return self.transpose()

    @property
    def flat(self):
        return iter([_scalar(self.dtype, value) for value in self._elements()])

    def _places(self):
        """Where each element is in the row, in order."""
        places = [self._offset]
        for extent, stride in zip(self._shape, self._strides):
            places = [place + i * stride for place in places for i in range(extent)]
        return places

    def _is_whole(self):
        return self._offset == 0 and self._strides == _dense(self._shape)

    def _elements(self):
        values = self._row.values
        if self._is_whole() and len(values) == self.size:
            return list(values)
        return [values[place] for place in self._places()]

    def _assign(self, values):
        row = self._row
        row.changed = True
        own = row.values
        for place, value in zip(self._places(), values):
            own[place] = value

    def _view(self, key):
        """The part that an index without arrays names: shape, strides and offset."""
        key = key if isinstance(key, tuple) else (key,)
        if _any(item is Ellipsis for item in key):
            at = [item is Ellipsis for item in key].index(True)
            missing = self.ndim - _sum(1 for item in key if item is not None and item is not Ellipsis)
            key = key[:at] + (slice(None),) * missing + key[at + 1 :]
        shape, strides, offset, dim = [], [], self._offset, 0
        for item in key:
            if item is None:
                shape.append(1)
                strides.append(0)
                continue
            if dim >= self.ndim:
                raise IndexError(f"too many indices for array: array is {self.ndim}-dimensional, but {len(key)} were indexed")
            extent, stride = self._shape[dim], self._strides[dim]
            if isinstance(item, slice):
                start, stop, step = item.indices(extent)
                shape.append(len(range(start, stop, step)))
                strides.append(stride * step)
                offset += start * stride
            else:
                place = item.__index__()
                if not -extent <= place < extent:
                    raise IndexError(f"index {place} is out of bounds for axis {dim} with size {extent}")
                offset += (place % extent) * stride
            dim += 1
        return shape + list(self._shape[dim:]), strides + list(self._strides[dim:]), offset

    def _chosen(self, key):
        """Rows that a list or a mask of the first axis names, or None if the key is of another kind."""
        if isinstance(key, (list, ndarray)):
            key = asarray(key)
            if key.dtype.kind == "b":
                if key.shape == self.shape and self.ndim != 1:
                    return "mask", [place for place, chosen in enumerate(key._elements()) if chosen]
                if key.shape != self.shape[:1]:
                    raise IndexError("boolean index did not match indexed array")
                return "rows", [place for place, chosen in enumerate(key._elements()) if chosen]
            if key.ndim != 1 or key.dtype.kind not in "iu" and key.size:
                raise _objects.unavailable("this index of a numpy array")
            places = key._elements()
            if _any(not -self.shape[0] <= place < self.shape[0] for place in places):
                raise IndexError("index is out of bounds")
            return "rows", [_int(place) % self.shape[0] for place in places]
        if isinstance(key, tuple) and _any(isinstance(item, (list, ndarray)) for item in key):
            raise _objects.unavailable("this index of a numpy array")
        return None

    def __getitem__(self, key):
        if isinstance(key, str):
            raise _objects.unavailable("a field of a numpy array")
        chosen = self._chosen(key)
        if chosen is not None:
            kind, places = chosen
            if kind == "mask":
                values = self._elements()
                return ndarray._of(self.dtype, [values[place] for place in places], (len(places),))
            parts = [self[place] if self.ndim > 1 else None for place in places]
            if self.ndim > 1:
                values = [value for part in parts for value in part._elements()]
            else:
                own = self._elements()
                values = [own[place] for place in places]
            return ndarray._of(self.dtype, values, (len(places),) + self.shape[1:])
        shape, strides, offset = self._view(key)
        if not shape and not (isinstance(key, tuple) and Ellipsis in key):
            return _scalar(self.dtype, self._row.values[offset])
        return ndarray._over(self._row, shape, strides, offset)

    def __setitem__(self, key, value):
        chosen = self._chosen(key)
        if chosen is None:
            shape, strides, offset = self._view(key)
            target = ndarray._over(self._row, shape, strides, offset)
            if self.dtype.kind == "O" and not shape:
                target._assign([value])
                return
            value = asarray(value) if not isinstance(value, ndarray) else value
            target._assign(_cast(_spread(value, target.shape)._elements(), value.dtype, self.dtype))
            return
        kind, places = chosen
        if kind == "rows":
            shape = (len(places),) + self.shape[1:]
            values = _spread(asarray(value), shape)
            for at, place in enumerate(places):
                self[place] = values[at] if values.ndim > 1 else values._elements()[at]
            return
        values = _spread(asarray(value), (len(places),))._elements()
        whole = self._elements()
        for place, item in zip(places, _cast(values, asarray(value).dtype, self.dtype)):
            whole[place] = item
        self._assign(whole)

    def __len__(self):
        if not self._shape:
            raise TypeError("len() of unsized object")
        return self._shape[0]

    def __iter__(self):
        return iter([self[place] for place in range(len(self))])

    def __contains__(self, value):
        return _bool((self == value).any())

    def __bool__(self):
        if self.size != 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")
        return _bool(self.item())

    def __int__(self):
        return _int(self.item())

    def __float__(self):
        return _float(self.item())

    def __index__(self):
        if self.ndim or self.dtype.kind not in "iu":
            raise TypeError("only integer scalar arrays can be converted to a scalar index")
        return self.item()

    __hash__ = None

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __repr__(self):
        return f"array({self.tolist()!r}, dtype={self.dtype})"

    def item(self, *place):
        if place:
            found = self[place] if len(place) > 1 else self.reshape(-1)[place[0]]
            return found.item() if hasattr(found, "item") else found
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self._elements()[0]

    def tolist(self):
        values = self._elements()
        for extent in reversed(self._shape[1:]):
            values = [values[i : i + extent] for i in range(0, len(values), extent)] if extent else [[] for _ in range(_count(self._shape[:-1]))]
        return values if self._shape else values[0]

    def tobytes(self, order="C"):
        return self.dtype._encoded(self._elements())

    def copy(self, order="C"):
        return ndarray._of(self.dtype, self._elements(), self._shape)

    def astype(self, of, copy=True, **_):
        of = _dtype(of)
        values = self._elements()
        if of.kind in "US" and not of.itemsize:
            texts = [str(value) for value in values]
            wide = _WIDTHS.get(self.dtype.name) or _max([len(text) for text in texts], default=1)
            of = dtype._of(of.kind, wide * (4 if of.kind == "U" else 1), of._order)
        return ndarray._of(of, _cast(values, self.dtype, of), self._shape)

    def reshape(self, *shape, **_):
        shape = list(shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)
        if -1 in shape:
            known = -_count(shape)
            shape[shape.index(-1)] = self.size // known if known else 0
        if _count(shape) != self.size:
            raise ValueError(f"cannot reshape array of size {self.size} into shape {tuple(shape)}")
        if self._strides == _dense(self._shape):
            return ndarray._over(self._row, shape, None, self._offset)
        return ndarray._of(self.dtype, self._elements(), shape)

    def transpose(self, *axes):
        axes = list(axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes) or list(range(self.ndim))[::-1]
        axes = [axis % self.ndim for axis in axes]
        return ndarray._over(self._row, [self._shape[a] for a in axes], [self._strides[a] for a in axes], self._offset)

    def flatten(self, order="C"):
        return ndarray._of(self.dtype, self._elements(), (self.size,))

    def ravel(self, order="C"):
        return self.reshape(-1)

    def squeeze(self, axis=None):
        kept = [d for d in range(self.ndim) if self._shape[d] != 1 or axis is not None and d != axis % self.ndim]
        return ndarray._over(self._row, [self._shape[d] for d in kept], [self._strides[d] for d in kept], self._offset)

    def fill(self, value):
        self[...] = value

    def view(self, *_):
        raise _objects.unavailable("numpy.ndarray.view")

    def sort(self, axis=-1, **_):
        if self.ndim != 1:
            raise _objects.unavailable("numpy.ndarray.sort")
        self._assign(sorted(self._elements()))

    def argsort(self, axis=-1, **_):
        if self.ndim != 1:
            raise _objects.unavailable("numpy.ndarray.argsort")
        values = self._elements()
        return ndarray._of(_named("int64"), sorted(range(len(values)), key=values.__getitem__), self._shape)

    def nonzero(self):
        if self.ndim != 1:
            raise _objects.unavailable("numpy.ndarray.nonzero")
        found = [place for place, value in enumerate(self._elements()) if value]
        return (ndarray._of(_named("int64"), found, (len(found),)),)

    def round(self, decimals=0):
        if self.dtype.kind != "f":
            return self.copy()
        scale = 10.0**decimals
        values = [_rounded_half_even(value * scale) / scale for value in self._elements()]
        return ndarray._of(self.dtype, self.dtype._rounded(values), self._shape)

    def clip(self, min=None, max=None):
        values = self._elements()
        values = [value if min is None or value >= min else min for value in values]
        values = [value if max is None or value <= max else max for value in values]
        return ndarray._of(self.dtype, self.dtype._rounded(values), self._shape)

    def _fold(self, name, axis, keepdims=False):
        if axis is None:
            found = _FOLDS[name](self.dtype, self._elements())
            return found.reshape((1,) * self.ndim) if keepdims else found
        axis = axis % self.ndim
        moved = self.transpose([d for d in range(self.ndim) if d != axis] + [axis])
        values, extent = moved._elements(), self._shape[axis]
        found = [_FOLDS[name](self.dtype, values[i : i + extent]) for i in range(0, len(values), extent)]
        shape = [1 if d == axis else n for d, n in enumerate(self._shape) if keepdims or d != axis]
        of = found[0].dtype if found else self.dtype
        return ndarray._of(of, [value.item() for value in found], shape)


def _fold_method(name):
    def method(self, axis=None, keepdims=False, **_):
        return self._fold(name, axis, keepdims)

    method.__name__ = name
    return method


def _rounded_half_even(value):
    return _float(_round(value)) if value == value and _abs(value) < 1e300 else value


def _pairwise(of, values):
    """The sum in numpy's order of additions."""
    count = len(values)
    add = (lambda a, b: of._rounded([a + b])[0]) if of.kind == "f" and of.itemsize < 8 else (lambda a, b: a + b)
    if count < 8:
        total = -0.0 if of.kind == "f" else 0
        for value in values:
            total = add(total, value)
        return total
    if count <= 128:
        lanes = list(values[:8])
        whole = count - count % 8
        for start in range(8, whole, 8):
            for lane in range(8):
                lanes[lane] = add(lanes[lane], values[start + lane])
        total = add(add(add(lanes[0], lanes[1]), add(lanes[2], lanes[3])), add(add(lanes[4], lanes[5]), add(lanes[6], lanes[7])))
        for value in values[whole:]:
            total = add(total, value)
        return total
    half = count // 2
    half -= half % 8
    return add(_pairwise(of, values[:half]), _pairwise(of, values[half:]))


def _sum_of(of, values):
    wide = _named("int64" if of.kind in "bi" else "uint64") if of.kind in "biu" else of
    return _scalar(wide, wide._rounded([_pairwise(wide, [value + 0 for value in values]) if values else 0])[0])


def _mean_of(of, values):
    wide = of if of.kind == "f" else _named("float64")
    total = _pairwise(wide, [_float(value) for value in values])
    return _scalar(wide, wide._rounded([total / len(values) if values else nan])[0])


def _var_of(of, values):
    wide = of if of.kind == "f" else _named("float64")
    mean = _mean_of(of, values).item()
    squares = wide._rounded([wide._rounded([value - mean])[0] ** 2 for value in values])
    return _scalar(wide, wide._rounded([_pairwise(wide, squares) / len(values)])[0])


def _prod_of(of, values):
    wide = _named("int64" if of.kind in "bi" else "uint64") if of.kind in "biu" else of
    total = 1
    for value in values:
        total = wide._rounded([total * value])[0]
    return _scalar(wide, total)


def _extreme(pick, name):
    def fold(of, values):
        if not values:
            raise ValueError(f"zero-size array to reduction operation {name} which has no identity")
        bad = [value for value in values if value != value]
        return _scalar(of, bad[0] if bad else pick(values))

    return fold


def _place_of(pick):
    def fold(of, values):
        bad = [place for place, value in enumerate(values) if value != value]
        return _scalar(_named("int64"), bad[0] if bad else values.index(pick(values)))

    return fold


_FOLDS = {
    "sum": _sum_of,
    "mean": _mean_of,
    "var": _var_of,
    "std": lambda of, values: sqrt(_var_of(of, values)),
    "prod": _prod_of,
    "min": _extreme(min, "minimum"),
    "max": _extreme(max, "maximum"),
    "argmin": _place_of(min),
    "argmax": _place_of(max),
    "all": lambda of, values: _scalar(_named("bool"), _all(values)),
    "any": lambda of, values: _scalar(_named("bool"), _any(values)),
}
for _name in _FOLDS:
    setattr(ndarray, _name, _fold_method(_name))
    setattr(generic, _name, lambda self, axis=None, _name=_name, **_: getattr(asarray(self), _name)())

ndarray.__module__ = "numpy"
_objects._paths[ndarray] = ("numpy", "ndarray")
_objects._paths[dtype] = ("numpy", "dtype")


def _cast(values, before, of):
    if of.kind == "O":
        return values
    if of.kind in "US":
        return [value if isinstance(value, (str, bytes)) else str(value) for value in values]
    if before.kind in "US":
        values = [_float(value) if of.kind == "f" else _int(value) for value in values]
    elif before.kind == "f" and of.kind in "iu" and _any(value != value or _abs(value) == inf for value in values):
        raise _objects.unavailable("a cast of inf or nan to an integer")
    elif of.kind == "f" and before.kind != "f":
        values = [_float(value) for value in values]
    return of._rounded(values)


def array(value, dtype=None, copy=True, ndmin=0, **_):
    """An array of nested lists, of numbers or of an array."""
    if isinstance(value, ndarray):
        new = value.astype(dtype) if dtype is not None else value.copy()
    elif isinstance(value, generic) or isinstance(value, (str_, bytes_)):
        new = ndarray._of(value.dtype, [value.item()], ())
        new = new.astype(dtype) if dtype is not None else new
    elif hasattr(value, "_dtype") and hasattr(value, "numel"):
        new = _of_tensor(value)
        new = new.astype(dtype) if dtype is not None else new
    else:
        new = _of_nested(value, dtype)
    while new.ndim < ndmin:
        new = new[None]
    return new


def _of_tensor(tensor):
    name = str(tensor.dtype).removeprefix("torch.")
    of = _named(name) if name in _scalars else None
    if of is None:
        raise TypeError(f"Got unsupported ScalarType {name}")
    return ndarray._of(of, [v for v in _flat_list(tensor.tolist())], tuple(tensor.shape))


def _flat_list(value):
    if not isinstance(value, list):
        return [value]
    return [item for inner in value for item in _flat_list(inner)]


def _of_nested(value, of):
    shape, level, flat = [], value, [value]
    wanted = None if of is None else _dtype(of)
    while isinstance(level, (list, tuple)) or isinstance(level, (ndarray, range)) and not (isinstance(level, ndarray) and not level.ndim):
        if wanted is not None and wanted.kind == "O" and shape and not _all(isinstance(item, (list, tuple)) and len(item) == len(level) for item in flat):
            break
        shape.append(len(level))
        if _any(not isinstance(item, (list, tuple, ndarray, range)) or len(item) != len(level) for item in flat):
            raise ValueError("setting an array element with a sequence. The requested array has an inhomogeneous shape")
        flat = [item for inner in flat for item in inner]
        if not flat:
            break
        level = flat[0]
    if wanted is None:
        if not flat or shape and not flat:
            wanted = _named("float64")
        elif _all(isinstance(item, str) for item in flat):
            wanted = dtype._of("U", 4 * _max(1, _max([len(item) for item in flat])), "<")
        elif _all(isinstance(item, bytes) for item in flat):
            wanted = dtype._of("S", _max(1, _max([len(item) for item in flat])), "|")
        elif _all(isinstance(item, (bool_, _bool, _int, _float, generic)) for item in flat):
            wanted = result_type(*[_named(_kind_of(item)) for item in flat])
        else:
            wanted = dtype._of("O", 8, "|")
    elif wanted.kind in "US" and not wanted.itemsize:
        flat = [str(item) if wanted.kind == "U" else item for item in flat]
        wide = _max([len(item) for item in flat], default=1) or 1
        wanted = dtype._of(wanted.kind, wide * (4 if wanted.kind == "U" else 1), wanted._order)
    if wanted.kind == "O":
        return ndarray._of(wanted, list(flat), shape)
    flat = [item.item() if isinstance(item, (generic, ndarray)) else item for item in flat]
    if wanted.kind in "iu" and _any(type(item) is _int and wanted._rounded([item])[0] != item for item in flat):
        raise OverflowError(f"Python integer out of bounds for {wanted.name}")
    before = _named("float64") if _any(isinstance(item, _float) for item in flat) else _named("int64")
    if wanted.kind in "US":
        before = wanted
    return ndarray._of(wanted, _cast(flat, before, wanted), shape)


def _kind_of(item):
    if isinstance(item, generic):
        return item.dtype.name
    return "bool" if isinstance(item, _bool) else "int64" if isinstance(item, _int) else "float64"


def asarray(value, dtype=None, **_):
    if isinstance(value, ndarray) and (dtype is None or value.dtype == dtype):
        return value
    return array(value, dtype)


ascontiguousarray = asarray


def copy(value, **_):
    return array(value)


def full(shape, value, dtype=None, **_):
    shape = (shape,) if isinstance(shape, (_int, integer)) else tuple(shape)
    of = _dtype(dtype) if dtype is not None else asarray(value).dtype
    element = asarray(value).astype(of)._elements()[0]
    return ndarray._of(of, [element] * _count([_int(extent) for extent in shape]), [_int(extent) for extent in shape])


def zeros(shape, dtype=None, **_):
    return full(shape, 0, dtype if dtype is not None else "float64")


def ones(shape, dtype=None, **_):
    return full(shape, 1, dtype if dtype is not None else "float64")


empty = zeros


def zeros_like(value, dtype=None, **_):
    return zeros(asarray(value).shape, dtype or asarray(value).dtype)


def ones_like(value, dtype=None, **_):
    return ones(asarray(value).shape, dtype or asarray(value).dtype)


def full_like(value, fill, dtype=None, **_):
    return full(asarray(value).shape, fill, dtype or asarray(value).dtype)


empty_like = zeros_like


def eye(count, dtype=None, **_):
    of = _dtype(dtype)
    return ndarray._of(of, of._rounded([1.0 if i == j else 0.0 for i in range(count) for j in range(count)]), (count, count))


identity = eye


def arange(start, stop=None, step=1, dtype=None):
    if stop is None:
        start, stop = 0, start
    of = _dtype(dtype) if dtype is not None else result_type(*[asarray(value) for value in (start, stop, step)])
    count = _max(0, -_int(-((stop - start) / step) // 1))
    return ndarray._of(of, _cast([start + i * step for i in range(count)], _named("float64"), of), (count,))


def linspace(start, stop, num=50, endpoint=True, dtype=None, **_):
    step = (stop - start) / (num - 1 if endpoint else num) if num > 1 else 0.0
    values = [_float(start + i * step) for i in range(num)]
    if endpoint and num > 1:
        values[-1] = _float(stop)
    of = _dtype(dtype)
    return ndarray._of(of, _cast(values, _named("float64"), of), (num,))


def _shape_of(*shapes):
    out = []
    for place in range(_max([len(shape) for shape in shapes], default=0)):
        extents = {shape[-1 - place] for shape in shapes if place < len(shape)} - {1}
        if len(extents) > 1:
            raise ValueError("operands could not be broadcast together with shapes " + " ".join(map(str, shapes)))
        out.append(extents.pop() if extents else 1)
    return tuple(reversed(out))


def _spread(value, shape):
    """A view in which every element is seen as often as the shape wants."""
    shape = tuple(shape)
    own = value.shape
    while len(own) > len(shape) and own[0] == 1:
        value, own = value[0], own[1:]
    if _shape_of(own, shape) != shape:
        raise ValueError(f"could not broadcast input array from shape {own} into shape {shape}")
    strides = [0] * (len(shape) - len(own)) + [0 if n == 1 and m != 1 else s for n, s, m in zip(own, value._strides, shape[len(shape) - len(own) :])]
    return ndarray._over(value._row, shape, strides, value._offset)


broadcast_to = _spread


def _divided(a, b):
    try:
        return a / b
    except ZeroDivisionError:
        return nan if a == 0 or a != a else _signed_inf(a, b)


def _signed_inf(a, b):
    return inf if (a > 0) != str(b).startswith("-") else -inf


def _floor_divided(a, b):
    try:
        return a // b
    except ZeroDivisionError:
        return 0 if isinstance(a, _int) else _divided(a, b)


def _remainder(a, b):
    try:
        return a % b
    except ZeroDivisionError:
        return 0 if isinstance(a, _int) else nan


def _power(a, b):
    if isinstance(a, _int) and isinstance(b, _int) and b < 0:
        raise ValueError("Integers to negative integer powers are not allowed.")
    try:
        found = a**b
    except OverflowError:
        return inf
    except ZeroDivisionError:
        return inf
    return nan if isinstance(found, complex) else found


def _either(pick):
    return lambda a, b: a if a != a else b if b != b else pick(a, b)


_OPERATORS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "truediv": _divided,
    "floordiv": _floor_divided,
    "mod": _remainder,
    "pow": _power,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "maximum": _either(max),
    "minimum": _either(min),
}
_COMPARISONS = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}


def _operate(name, left, right):
    compares = name in _COMPARISONS
    plain = (_bool, _int, _float)
    arrays = [value if type(value) in plain else asarray(value) for value in (left, right)]
    of = result_type(*arrays)
    if not of._is_number() and not (compares or of.kind == "O"):
        raise _objects.unavailable(f"arithmetic on a numpy array of {of.name}")
    if of.kind in "iu":
        for value in (left, right):
            if type(value) is _int and not compares and of._rounded([value])[0] != value:
                raise OverflowError(f"Python integer {value} out of bounds for {of.name}")
    if name == "truediv" and of.kind in "biu":
        of = _named("float64")
    if of.kind == "b" and name == "sub":
        raise TypeError("numpy boolean subtract, the `-` operator, is not supported")
    if of.kind == "b" and name in ("floordiv", "mod", "pow"):
        of = _named("int8")
    a, b = (asarray(value) for value in arrays)
    shape = _shape_of(a.shape, b.shape)
    if of.kind == "f":
        a, b = (value if value.dtype.kind == "O" else value.astype(of) for value in (a, b))
    lefts, rights = (_spread(value, shape)._elements() for value in (a, b))
    if compares:
        operator, of = _COMPARISONS[name], _named("bool")
    else:
        operator = _OPERATORS[name]
        if of.kind == "b":
            operator = {"add": lambda x, y: x or y, "mul": lambda x, y: x and y}.get(name, operator)
    found = of._rounded([operator(x, y) for x, y in zip(lefts, rights)])
    if of.kind == "f":
        found = [_float(value) for value in found]
    return ndarray._of(of, found, shape) if shape else _scalar(of, found[0])


def _operator(name, swapped=False):
    def method(self, other):
        try:
            return _operate(name, other, self) if swapped else _operate(name, self, other)
        except (TypeError, ValueError):
            if name in ("eq", "ne") and not isinstance(other, (ndarray, list)):
                return name == "ne"
            raise

    return method


def _in_place(name):
    def method(self, other):
        found = asarray(_operate(name, self, other))
        if "biuf".index(found.dtype.kind) > "biuf".index(self.dtype.kind):
            raise TypeError(f"Cannot cast ufunc '{name}' output from {found.dtype!r} to {self.dtype!r} with casting rule 'same_kind'")
        self[...] = found
        return self

    return method


for _cls in (ndarray, generic):
    for _name in _COMPARISONS:
        setattr(_cls, f"__{_name}__", _operator(_name))
    for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"):
        setattr(_cls, f"__{_name}__", _operator(_name))
        setattr(_cls, f"__r{_name}__", _operator(_name, True))
        if _cls is ndarray:
            setattr(_cls, f"__i{_name}__", _in_place(_name))


def _each(function, to_float=True):
    def apply(value, *_, **__):
        value = asarray(value)
        of = _named("float64") if to_float and value.dtype.kind in "biu" else value.dtype
        found = of._rounded([function(item) for item in value._elements()])
        return ndarray._of(of, found, value.shape) if value.ndim else _scalar(of, found[0])

    return apply


def _real(name):
    import math

    own = getattr(math, name)

    def function(x):
        try:
            return own(x)
        except ValueError:
            return -inf if name.startswith("log") and x == 0 else nan
        except OverflowError:
            return inf

    return _each(function)


for _name in "sqrt exp log log2 log10 log1p expm1 sin cos tan tanh".split():
    globals()[_name] = _real(_name)
negative = _each(lambda x: -x, False)
absolute = abs = _each(lambda x: _abs(x), False)
square = _each(lambda x: x * x, False)
sign = _each(lambda x: x if x != x else (x > 0) - (x < 0), False)
floor = _each(lambda x: _float(x // 1) if x == x and _abs(x) != inf else x)
ceil = _each(lambda x: _float(-(-x // 1)) if x == x and _abs(x) != inf else x)
for _cls in (ndarray, generic):
    _cls.__neg__ = lambda self: negative(self)
    _cls.__abs__ = lambda self: absolute(self)
    _cls.__pos__ = lambda self: self * 1
    _cls.__invert__ = lambda self: _inverted(self)


def _inverted(value):
    value = asarray(value)
    if value.dtype.kind not in "biu":
        raise TypeError("ufunc 'invert' not supported for the input types")
    found = value.dtype._rounded([not item if value.dtype.kind == "b" else ~item for item in value._elements()])
    return ndarray._of(value.dtype, found, value.shape) if value.ndim else _scalar(value.dtype, found[0])


logical_not = lambda value: _inverted(asarray(value).astype("bool"))


def _test(function):
    def apply(value):
        value = asarray(value)
        found = [function(item) for item in value._elements()]
        return ndarray._of(_named("bool"), found, value.shape) if value.ndim else _scalar(_named("bool"), found[0])

    return apply


isnan = _test(lambda x: x != x)
isinf = _test(lambda x: x in (inf, -inf))
isfinite = _test(lambda x: x == x and x not in (inf, -inf))


def _function(name):
    return lambda a, b, **_: _operate(name, a, b)


add, subtract, multiply, divide = (_function(name) for name in ("add", "sub", "mul", "truediv"))
true_divide, floor_divide, mod, power = divide, _function("floordiv"), _function("mod"), _function("pow")
maximum, minimum = _function("maximum"), _function("minimum")
equal, not_equal, less, less_equal, greater, greater_equal = (_function(name) for name in ("eq", "ne", "lt", "le", "gt", "ge"))
logical_and = lambda a, b: _operate("and", asarray(a).astype("bool"), asarray(b).astype("bool"))
logical_or = lambda a, b: _operate("or", asarray(a).astype("bool"), asarray(b).astype("bool"))


def _method(name):
    return lambda value, *args, **kwargs: getattr(asarray(value), name)(*args, **kwargs)


for _name in "sum mean std var prod argmin argmax reshape transpose ravel squeeze clip argsort nonzero round".split():
    globals()[_name] = _method(_name)
min = amin = _method("min")
max = amax = _method("max")
all, any = _method("all"), _method("any")
around = round


def sort(value, **_):
    new = array(value)
    new.sort()
    return new


def unique(value, **_):
    values = sorted(set(asarray(value)._elements()))
    return ndarray._of(asarray(value).dtype, values, (len(values),))


def concatenate(parts, axis=0, **_):
    parts = [asarray(part) for part in parts]
    of = result_type(*parts)
    axis = axis % parts[0].ndim
    order = [axis] + [d for d in range(parts[0].ndim) if d != axis]
    moved = [part.astype(of).transpose(order) for part in parts]
    if _any(part.shape[1:] != moved[0].shape[1:] for part in moved):
        raise ValueError("all the input array dimensions except for the concatenation axis must match exactly")
    values = [value for part in moved for value in part._elements()]
    whole = ndarray._of(of, values, (_sum([part.shape[0] for part in moved]),) + moved[0].shape[1:])
    back = [order.index(d) for d in range(len(order))]
    return whole.transpose(back).copy()


def stack(parts, axis=0, **_):
    return concatenate([expand_dims(part, axis) for part in parts], axis)


def vstack(parts):
    return concatenate([part if asarray(part).ndim > 1 else asarray(part)[None] for part in parts])


def hstack(parts):
    return concatenate(parts, axis=0 if asarray(parts[0]).ndim == 1 else 1)


def append(value, more, axis=None):
    return concatenate([ravel(value), ravel(more)] if axis is None else [value, more], axis or 0)


def delete(value, places, axis=None):
    value = ravel(value) if axis is None else asarray(value)
    if axis not in (None, 0):
        raise _objects.unavailable("numpy.delete along this axis")
    gone = {place % len(value) for place in ([places] if isinstance(places, _int) else [_int(place) for place in places])}
    return value[[place for place in range(len(value)) if place not in gone]]


def expand_dims(value, axis):
    value = asarray(value)
    axis = axis % (value.ndim + 1)
    return value[(slice(None),) * axis + (None,)]


def where(condition, *choices):
    condition = asarray(condition)
    if not choices:
        return condition.nonzero()
    a, b = (asarray(choice) for choice in choices)
    of = result_type(*[choice if type(choice) in (_bool, _int, _float) else asarray(choice) for choice in choices])
    shape = _shape_of(condition.shape, a.shape, b.shape)
    rows = [_spread(value, shape)._elements() for value in (condition, a.astype(of), b.astype(of))]
    return ndarray._of(of, [x if c else y for c, x, y in zip(*rows)], shape)


def take(value, places, axis=0):
    if axis:
        raise _objects.unavailable("numpy.take along this axis")
    return asarray(value)[list(places)]


def array_equal(a, b, **_):
    a, b = asarray(a), asarray(b)
    return a.shape == b.shape and a._elements() == b._elements()


def isclose(a, b, rtol=1e-05, atol=1e-08, **_):
    a, b = asarray(a), asarray(b)
    shape = _shape_of(a.shape, b.shape)
    rows = zip(_spread(a, shape)._elements(), _spread(b, shape)._elements())
    found = [x == y or _abs(x - y) <= atol + rtol * _abs(y) for x, y in rows]
    return ndarray._of(_named("bool"), found, shape) if shape else _scalar(_named("bool"), found[0])


def allclose(a, b, rtol=1e-05, atol=1e-08, **_):
    return _bool(asarray(isclose(a, b, rtol, atol)).all())


def shape(value):
    return asarray(value).shape


def ndim(value):
    return asarray(value).ndim


def size(value):
    return asarray(value).size


def isscalar(value):
    return isinstance(value, (generic, _int, _float, str, bytes))


def issubdtype(a, b):
    of = _dtype(a).type
    return issubclass(of, b if isinstance(b, type) and issubclass(b, generic) else _dtype(b).type)


for _name, _class in _scalars.items():
    globals()["bool_" if _name == "bool" else _name] = _class
int_, intp, float_, double, single, half, uint = (_scalars[n] for n in "int64 int64 float64 float64 float32 float16 uint64".split())
bool = bool_


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    error = AttributeError(f"`numpy.{name}` is not available in the sandbox")
    error.ckstore_missing = f"numpy.{name}"
    raise error


def rebuilt_array(arguments, state):
    """The array that a pickle makes with `_reconstruct` and its state."""
    if arguments[0] is not ndarray or not isinstance(state, tuple) or len(state) != 5:
        return None
    _, extents, of, fortran, data = state
    if type(extents) is not tuple or not isinstance(of, dtype):
        return None
    if of.kind == "O" and isinstance(data, list):
        row = _Row(of, data)
    elif isinstance(data, bytes) and len(data) == _count(extents) * of.itemsize:
        # As numpy does when it loads an array.
        row = _Row(of._native(), None, data) if of._native() is of else _Row(of._native(), of._decoded(data))
    else:
        return None
    strides = tuple(reversed(_dense(extents[::-1]))) if fortran else None
    return ndarray._over(row, extents, strides, 0, (arguments, state))


def rebuilt_scalar(arguments):
    """The number that a pickle makes with `scalar`."""
    if len(arguments) != 2 or not isinstance(arguments[0], dtype) or not isinstance(arguments[1], bytes):
        return None
    of, data = arguments
    if len(data) != of.itemsize or of.kind == "O" or not (of._is_number() or of.kind in "US"):
        return None
    return _scalar(of, of._decoded(data)[0] if data else ("" if of.kind == "U" else b""))


def reduced_array(value, is_shown):
    """How numpy pickles an array: arguments and state; None where it is as it was."""
    row = value._row
    if is_shown and not row.changed:
        return None
    if is_shown and row.of.kind == "O" and value._parts[1][1] == value._shape:
        # Its list is a value of the checkpoint, and was changed there.
        return None
    if not (row.of._is_number() or row.of.kind in "USO"):
        if value._parts is None or not value._is_whole():
            raise _objects.unavailable(f"a new numpy array of {row.of.name}")
        arguments, state = value._parts
        return arguments, state[:1] + (value._shape,) + state[2:]
    fortran = value.ndim > 1 and value._strides != _dense(value._shape) and value.T._strides == _dense(value.T._shape)
    values = (value.T if fortran else value)._elements()
    if row.of.kind == "O":
        data = list(values)
    else:
        data = row.of._encoded(values)
    arguments = value._parts[0] if value._parts else (ndarray, (0,), b"b")
    return arguments, (1, value._shape, row.of, fortran, data)
