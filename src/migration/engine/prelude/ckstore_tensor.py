"""Tensor handles: shapes and views here, elements never. What is computed is only written down.

The module `torch` exports what is here; its names `sum`, `int` and the like would hide those of Python.
"""

import _ckstore
import ckstore_layout as _layout
import ckstore_objects as _objects
from _ckstore import TensorBase as _TensorBase


class dtype:
    """An element type."""

    def __init__(self, name, rank):
        self._name = name
        self._rank = rank
        self._ckstore_path = ("torch", name)

    @property
    def itemsize(self):
        return _ckstore.item_bytes(self._name)

    @property
    def is_floating_point(self):
        return self._name.startswith(("float", "bfloat"))

    @property
    def is_complex(self):
        return self._name.startswith("complex")

    @property
    def is_signed(self):
        return not self._name.startswith(("uint", "bool", "quint"))

    def __repr__(self):
        return f"torch.{self._name}"

    def __reduce__(self):
        return self._name


_DTYPES = {}
for _rank, _names in enumerate((
    "bool",
    "uint8 int8 int16 int32 int64 uint16 uint32 uint64",
    "float16 bfloat16 float32 float64 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu "
    "float4_e2m1fn_x2",
    "complex32 complex64 complex128",
    "qint8 quint8 qint32 quint4x2 quint2x4 bits1x8 bits2x4 bits4x2 bits8 bits16",
)):
    for _name in _names.split():
        _DTYPES[_name] = dtype(_name, _rank)
float16, bfloat16, float32, float64 = (_DTYPES[_name] for _name in ("float16", "bfloat16", "float32", "float64"))
uint8, int8, int16, int32, int64 = (_DTYPES[_name] for _name in ("uint8", "int8", "int16", "int32", "int64"))
_int, _float, _bool = int, float, bool
_BOOL = _DTYPES["bool"]


class Size(tuple):
    """A shape."""

    def numel(self):
        count = 1
        for extent in self:
            count *= extent
        return count

    def __getitem__(self, key):
        found = tuple.__getitem__(self, key)
        return Size(found) if isinstance(key, slice) else found

    def __add__(self, other):
        return Size(tuple.__add__(self, tuple(other)))

    def __repr__(self):
        return f"torch.Size({list(self)})"


class device:
    """Where a tensor lay."""

    def __init__(self, type, index=None):
        if isinstance(type, device):
            type, index = type.type, type.index
        elif ":" in type:
            type, _, place = type.partition(":")
            index = _int(place)
        self.type = type
        self.index = index

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self):
        return f"device(type={self.type!r}" + (f", index={self.index})" if self.index is not None else ")")

    def __eq__(self, other):
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self):
        return hash((self.type, self.index))


contiguous_format = "contiguous_format"
preserve_format = "preserve_format"
strided = "strided"


def _one_dim(dim, count, extra=0):
    """A dimension, counted from either end."""
    room = count + extra
    if not -max(room, 1) <= dim < max(room, 1):
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-max(room, 1)}, {max(room, 1) - 1}], but got {dim})"
        )
    return dim + room if dim < 0 else dim


def _ints(args):
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = args[0]
    return [arg if isinstance(arg, _int) else arg.__index__() for arg in args]


def _numel(shape):
    count = 1
    for extent in shape:
        count *= extent
    return count


def _reshaped_strides(shape, strides, new):
    """Strides of another shape over the same elements, or None where they would have to be copied."""
    if _numel(shape) == 0:
        return _layout.dense(new)
    out = [0] * len(new)
    at = len(new) - 1
    base = strides[-1] if shape else 1
    run = view = 1
    for i in range(len(shape) - 1, -1, -1):
        run *= shape[i]
        if i == 0 or (shape[i - 1] != 1 and strides[i - 1] != run * base):
            while at >= 0 and (view < run or new[at] == 1):
                out[at] = view * base
                view *= new[at]
                at -= 1
            if view != run:
                return None
            if i > 0:
                base = strides[i - 1]
                run = view = 1
    if not shape:
        return _layout.dense(new)
    return out if at == -1 else None


def _inferred(shape, count):
    shape = list(shape)
    if -1 in shape:
        rest = _numel([extent for extent in shape if extent != -1])
        if shape.count(-1) > 1:
            raise RuntimeError("only one dimension can be inferred")
        if rest == 0 or count % rest:
            raise RuntimeError(f"shape '{shape}' is invalid for input of size {count}")
        shape[shape.index(-1)] = count // rest
    if _numel(shape) != count:
        raise RuntimeError(f"shape '{shape}' is invalid for input of size {count}")
    return shape


def _unavailable(name):
    return _objects.unavailable(f"torch.{name}")


# Type promotion, https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc

_WIDTH = {"uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
_WIDTH.update(uint16=2, uint32=4, uint64=8)


def promote_types(a, b):
    if a is None or a is b:
        return b
    if b is None:
        return a
    if a._rank != b._rank:
        return a if a._rank > b._rank else b
    if a._name not in _WIDTH or b._name not in _WIDTH:
        raise _unavailable(f"promote_types({a!r}, {b!r})")
    if a._rank == 2:
        if _WIDTH[a._name] == _WIDTH[b._name]:
            return float32
        return a if _WIDTH[a._name] > _WIDTH[b._name] else b
    unsigned = [t for t in (a, b) if t._name.startswith("uint")]
    if len(unsigned) == 1:
        other = b if unsigned[0] is a else a
        need = _WIDTH[unsigned[0]._name] * 2
        if need > 8:
            raise _unavailable(f"promote_types({a!r}, {b!r})")
        return other if _WIDTH[other._name] >= need else _DTYPES[f"int{need * 8}"]
    return a if _WIDTH[a._name] > _WIDTH[b._name] else b


def _combined(higher, lower):
    if higher is None or lower is None:
        return higher or lower
    return higher if higher._rank >= lower._rank else promote_types(higher, lower)


def _scalar_type(value):
    if isinstance(value, _bool):
        return _DTYPES["bool"]
    return int64 if isinstance(value, _int) else float32


def result_type(*values):
    dims = zeros_ = plain = None
    for value in values:
        if not isinstance(value, Tensor):
            plain = promote_types(plain, _scalar_type(value))
        elif value._shape:
            dims = promote_types(dims, value.dtype)
        else:
            zeros_ = promote_types(zeros_, value.dtype)
    return _combined(dims, _combined(zeros_, plain))


def broadcast_shapes(*shapes):
    out = []
    for shape in shapes:
        shape = list(shape)
        while len(out) < len(shape):
            out.insert(0, 1)
        for i in range(1, len(shape) + 1):
            if shape[-i] != 1:
                if out[-i] not in (1, shape[-i]):
                    raise RuntimeError(
                        f"The size of tensor a ({out[-i]}) must match the size of tensor b ({shape[-i]}) "
                        f"at non-singleton dimension {len(out) - i}"
                    )
                out[-i] = shape[-i]
    return Size(out)


def _laid(shape, strides, run, *operands):
    """What `run` makes of the operands, over memory in which the dimensions lie as the strides say."""
    shape = tuple(shape)
    if list(strides) == _layout.dense(shape):
        return run(*operands)
    order = sorted(range(len(shape)), key=lambda dim: -strides[dim] if shape[dim] != 1 else 0)
    moved = [v.permute(*order) if isinstance(v, Tensor) and v._shape == shape else v for v in operands]
    return run(*moved)._viewed(shape, strides, 0)


def _place(value, kind):
    """Shape and strides of an operand of an element-wise operation that computes with elements of this type."""
    if not isinstance(value, Tensor):
        return (), ()
    if value.dtype is not kind:
        return value._shape, _layout.copied(value._shape, value._strides)
    return value._shape, value._strides


_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


def _pair(op, a, b, to_float=False, numbers_count=True, strides=None):
    """An operation on two values of which at least one is a tensor.

    In some of torch's operations a plain number is no operand of the loop over the elements, which decides how the
    result lies in memory.
    """
    for value in (a, b):
        if not isinstance(value, (Tensor, _int, _float)):
            return NotImplemented
    kind = result_type(a, b)
    if to_float and kind._rank < 2:
        kind = float32
    if kind._name.startswith("float8") and op in _COMPARISONS:
        kind = float32
    shape = broadcast_shapes(*(value._shape for value in (a, b) if isinstance(value, Tensor)))
    places = [_place(value, kind) for value in (a, b) if numbers_count or isinstance(value, Tensor)]
    strides = strides or _layout.elementwise(shape, places)

    def ready(value):
        if not isinstance(value, Tensor) or value._shape == tuple(shape):
            return value
        return value if value.numel() == 1 and len(value._shape) <= len(shape) else value.expand(*shape)

    a, b = (v._cast(kind) if isinstance(v, Tensor) and v._dtype.startswith("float8") else v for v in (a, b))
    a, b = ready(a), ready(b)
    if isinstance(a, Tensor) and isinstance(b, Tensor) and tuple(shape) not in (a._shape, b._shape):
        a = a.expand(*shape)
    return _laid(shape, strides, lambda a, b: _ckstore.binary(op, a, b, kind._name), a, b)


def _each(op, value):
    """A function of each element."""
    if value._dtype.startswith("float8"):
        found = _each(op, value.float())
        return found if found.dtype is _BOOL else found.to(value.dtype)
    strides = _layout.elementwise(value._shape, [(value._shape, value._strides)])
    return _laid(value._shape, strides, lambda value: _ckstore.unary(op, value), value)


def _copied(value, run):
    """A copy that lies in memory as its source does."""
    return _laid(value._shape, _layout.copied(value._shape, value._strides), run, value)


def _needs_no_bool(op, a, b):
    if all(isinstance(v, _bool) or (isinstance(v, Tensor) and v.dtype is _DTYPES["bool"]) for v in (a, b)):
        raise RuntimeError(f"{op} is not supported for bool tensors; use logical operators instead")


class Tensor(_TensorBase):
    """A handle of a tensor: shape, type and place are known, elements are not here."""

    # What it is.

    @property
    def shape(self):
        return Size(self._shape)

    @property
    def dtype(self):
        return _DTYPES[self._dtype]

    @property
    def ndim(self):
        return len(self._shape)

    @property
    def device(self):
        return device(self._location or "cpu")

    @property
    def is_cuda(self):
        return self._location.startswith("cuda")

    @property
    def requires_grad(self):
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        self._requires_grad = _bool(value)

    @property
    def data(self):
        return self.detach()

    @data.setter
    def data(self, value):
        self.copy_(value)

    grad = None
    is_leaf = True
    is_sparse = False
    is_quantized = False
    layout = strided

    @property
    def nbytes(self):
        return self.numel() * self.itemsize

    @property
    def itemsize(self):
        return self.dtype.itemsize

    def element_size(self):
        return self.itemsize

    def size(self, dim=None):
        return self.shape if dim is None else self._shape[_one_dim(dim, self.ndim)]

    def stride(self, dim=None):
        return self._strides if dim is None else self._strides[_one_dim(dim, self.ndim)]

    def storage_offset(self):
        return self._offset

    def data_ptr(self):
        return self._memory + self._offset * self.itemsize

    def untyped_storage(self):
        return _Storage(self._memory)

    storage = untyped_storage

    def dim(self):
        return len(self._shape)

    ndimension = dim

    def numel(self):
        return _numel(self._shape)

    nelement = numel

    def is_floating_point(self):
        return self.dtype.is_floating_point

    def is_complex(self):
        return self.dtype.is_complex

    def is_contiguous(self, memory_format=None):
        return _layout.is_dense(self._shape, self._strides)

    def get_device(self):
        return -1 if self._location == "cpu" else (self.device.index or 0)

    def type(self, kind=None):
        if kind is None:
            names = {"float64": "Double", "float32": "Float", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long"}
            names.update(int32="Int", int16="Short", int8="Char", uint8="Byte", bool="Bool")
            return f"torch.{names.get(self._dtype, self._dtype)}Tensor"
        return self.to(kind)

    def requires_grad_(self, requires_grad=True):
        self._requires_grad = requires_grad
        return self

    # Views.

    def detach(self):
        return _ckstore.detach(self, False, False)

    def detach_(self):
        self._requires_grad = False
        return self

    def _viewed(self, shape, strides, offset=None):
        return _ckstore.view(self, list(shape), list(strides), self._offset if offset is None else offset)

    def view(self, *shape):
        if len(shape) == 1 and isinstance(shape[0], dtype):
            if shape[0] is self.dtype:
                return self._viewed(self._shape, self._strides)
            raise _unavailable("Tensor.view(dtype)")
        shape = _inferred(_ints(shape), self.numel())
        strides = _reshaped_strides(self._shape, self._strides, shape)
        if strides is None:
            raise RuntimeError(
                "view size is not compatible with input tensor's size and stride (at least one dimension spans "
                "across two contiguous subspaces). Use .reshape(...) instead."
            )
        return self._viewed(shape, strides)

    def reshape(self, *shape):
        shape = _inferred(_ints(shape), self.numel())
        strides = _reshaped_strides(self._shape, self._strides, shape)
        if strides is not None:
            return self._viewed(shape, strides)
        return _ckstore.clone(self)._viewed(shape, _layout.dense(shape))

    def as_strided(self, size, stride, storage_offset=None):
        size, stride = _ints((size,)), _ints((stride,))
        if len(size) != len(stride) or any(number < 0 for number in (*size, *stride)):
            raise RuntimeError("as_strided: size and stride must be of one length and not negative")
        return self._viewed(size, stride, storage_offset)

    def view_as(self, other):
        return self.view(*other._shape)

    def reshape_as(self, other):
        return self.reshape(*other._shape)

    def unflatten(self, dim, sizes):
        dim = _one_dim(dim, self.ndim)
        sizes = _inferred(_ints((sizes,)), self._shape[dim])
        return self.view(*self._shape[:dim], *sizes, *self._shape[dim + 1 :])

    def flatten(self, start_dim=0, end_dim=-1):
        if not self._shape:
            return self.reshape(1)
        start, end = _one_dim(start_dim, self.ndim), _one_dim(end_dim, self.ndim)
        if start > end:
            raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
        if start == end:
            return self
        return self.reshape(*self._shape[:start], _numel(self._shape[start : end + 1]), *self._shape[end + 1 :])

    def ravel(self):
        return self.contiguous().view(-1)

    def permute(self, *dims):
        dims = [_one_dim(dim, self.ndim) for dim in _ints(dims)]
        if sorted(dims) != list(range(self.ndim)):
            raise RuntimeError("permute(sparse_coo): number of dimensions in the tensor input does not match")
        return self._viewed([self._shape[d] for d in dims], [self._strides[d] for d in dims])

    def transpose(self, dim0, dim1):
        dims = list(range(self.ndim))
        a, b = _one_dim(dim0, self.ndim), _one_dim(dim1, self.ndim)
        if dims:
            dims[a], dims[b] = dims[b], dims[a]
        return self.permute(*dims)

    swapaxes = swapdims = transpose

    def movedim(self, source, destination):
        source = [_one_dim(d, self.ndim) for d in _ints((source,) if isinstance(source, _int) else (source,))]
        target = [_one_dim(d, self.ndim) for d in _ints((destination,) if isinstance(destination, _int) else (destination,))]
        if not self.ndim:
            return self._viewed((), ())
        order = [None] * self.ndim
        for a, b in zip(source, target):
            order[b] = a
        rest = iter(d for d in range(self.ndim) if d not in source)
        return self.permute(*[next(rest) if d is None else d for d in order])

    moveaxis = movedim

    def t(self):
        if self.ndim > 2:
            raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {self.ndim}D")
        return self.transpose(0, 1) if self.ndim == 2 else self._viewed(self._shape, self._strides)

    @property
    def T(self):
        return self.permute(*range(self.ndim - 1, -1, -1))

    @property
    def mT(self):
        return self.transpose(-2, -1) if self.ndim else self._viewed((), ())

    def narrow(self, dim, start, length):
        dim = _one_dim(dim, self.ndim)
        start = _int(start)
        if start < 0:
            start += self._shape[dim]
        if not 0 <= start <= self._shape[dim] or length < 0 or start + length > self._shape[dim]:
            raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({self._shape[dim]}).")
        shape = list(self._shape)
        shape[dim] = length
        return self._viewed(shape, self._strides, self._offset + start * self._strides[dim])

    def select(self, dim, index):
        dim = _one_dim(dim, self.ndim)
        if not self._shape or not -self._shape[dim] <= index < self._shape[dim]:
            raise IndexError(f"index {index} is out of bounds for dimension {dim} with size {self._shape[dim]}")
        index %= self._shape[dim]
        shape, strides = list(self._shape), list(self._strides)
        offset = self._offset + index * strides[dim]
        del shape[dim], strides[dim]
        return self._viewed(shape, strides, offset)

    def unsqueeze(self, dim):
        dim = _one_dim(dim, self.ndim, 1)
        shape, strides = list(self._shape), list(self._strides)
        step = shape[dim] * strides[dim] if dim < len(shape) else 1
        shape.insert(dim, 1)
        strides.insert(dim, step)
        return self._viewed(shape, strides)

    def squeeze(self, *dims):
        if dims:
            chosen = {_one_dim(dim, self.ndim) for dim in _ints(dims)}
        else:
            chosen = set(range(self.ndim))
        kept = [d for d in range(self.ndim) if not (d in chosen and self._shape[d] == 1)]
        return self._viewed([self._shape[d] for d in kept], [self._strides[d] for d in kept])

    def expand(self, *shape):
        shape = _ints(shape)
        extra = len(shape) - self.ndim
        if extra < 0:
            raise RuntimeError("the number of sizes provided must be greater or equal to the number of dimensions")
        out, strides = [], []
        for i, extent in enumerate(shape):
            old = self._shape[i - extra] if i >= extra else 1
            step = self._strides[i - extra] if i >= extra else 0
            if extent == -1:
                if i < extra:
                    raise RuntimeError("-1 is not allowed in a leading, non-existing dimension")
                extent = old
            if old != extent:
                if old != 1:
                    raise RuntimeError(
                        f"The expanded size of the tensor ({extent}) must match the existing size ({old}) at "
                        f"non-singleton dimension {i}"
                    )
                step = 0
            elif i < extra:
                # A new dimension of one entry gets the stride that a dense tensor would have.
                step = 0 if extent != 1 else (self._shape[0] * self._strides[0] if self._shape else 1)
            out.append(extent)
            strides.append(step)
        return self._viewed(out, strides)

    def expand_as(self, other):
        return self.expand(*other._shape)

    def broadcast_to(self, shape):
        return self.expand(*shape)

    def split(self, split_size, dim=0):
        dim = _one_dim(dim, self.ndim)
        total = self._shape[dim]
        if isinstance(split_size, _int):
            if split_size <= 0 and total:
                raise RuntimeError("split_size must be positive")
            sizes = [min(split_size, total - at) for at in range(0, total, split_size)] or [0]
        else:
            sizes = list(split_size)
            if sum(sizes) != total:
                raise RuntimeError(
                    f"split_with_sizes expects split_sizes to sum exactly to {total}, but got split_sizes={sizes}"
                )
        out, at = [], 0
        for size in sizes:
            out.append(self.narrow(dim, at, size))
            at += size
        return tuple(out)

    split_with_sizes = split

    def chunk(self, chunks, dim=0):
        dim = _one_dim(dim, self.ndim)
        if chunks <= 0:
            raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
        size = -(-self._shape[dim] // chunks)
        if size == 0:
            return self.split([0] * chunks, dim)
        return self.split(size, dim)

    def tensor_split(self, sections, dim=0):
        dim = _one_dim(dim, self.ndim)
        total = self._shape[dim]
        if isinstance(sections, _int):
            sizes = [total // sections + (1 if i < total % sections else 0) for i in range(sections)]
        else:
            marks = [0, *sections, total]
            sizes = [b - a for a, b in zip(marks, marks[1:])]
        return self.split(sizes, dim)

    def unbind(self, dim=0):
        dim = _one_dim(dim, self.ndim)
        return tuple(self.select(dim, i) for i in range(self._shape[dim]))

    def diagonal(self, offset=0, dim1=0, dim2=1):
        a, b = _one_dim(dim1, self.ndim), _one_dim(dim2, self.ndim)
        start = self._offset + (offset * self._strides[b] if offset >= 0 else -offset * self._strides[a])
        extent = max(min(self._shape[a] - max(-offset, 0), self._shape[b] - max(offset, 0)), 0)
        kept = [d for d in range(self.ndim) if d not in (a, b)]
        return self._viewed(
            [self._shape[d] for d in kept] + [extent],
            [self._strides[d] for d in kept] + [self._strides[a] + self._strides[b]],
            start if extent else self._offset,
        )

    def __getitem__(self, key):
        window, chosen = self._window(key)
        return window._gathered(chosen) if chosen else window

    def _window(self, key):
        """The view that the plain parts of a key make, and the rows of indices that are left, by dimension."""
        keys = []
        for k in key if isinstance(key, tuple) else (key,):
            if isinstance(k, list):
                k = tensor(k) if k else tensor(k, dtype=int64)
            if isinstance(k, Tensor) and not k._shape and k.dtype is not _BOOL:
                k = k.__index__()
            keys.append(k)

        def room(k):
            if k is None or k is Ellipsis:
                return 0
            return k.ndim if isinstance(k, Tensor) and k.dtype is _BOOL else 1

        used = sum(room(k) for k in keys)
        if used > self.ndim:
            raise IndexError(f"too many indices for tensor of dimension {self.ndim}")
        out, dim, chosen = self, 0, {}
        for k in keys:
            if k is Ellipsis:
                dim += self.ndim - used
            elif k is None:
                out = out.unsqueeze(dim)
                dim += 1
            elif isinstance(k, slice):
                start, stop, step = k.indices(out._shape[dim])
                if k.step is not None and k.step <= 0:
                    raise ValueError("step must be greater than zero")
                count = max(0, -(-(stop - start) // step))
                shape, strides = list(out._shape), list(out._strides)
                offset = out._offset + min(start, shape[dim]) * strides[dim]
                shape[dim] = count
                strides[dim] *= step
                out = out._viewed(shape, strides, offset)
                dim += 1
            elif isinstance(k, Tensor) and k.dtype is _BOOL and k._shape:
                if k._shape != out._shape[dim : dim + k.ndim]:
                    raise IndexError(
                        f"The shape of the mask {list(k._shape)} at index {dim} does not match the shape of the "
                        f"indexed tensor {list(out._shape)}"
                    )
                places = [i for i, yes in enumerate(_ckstore.numbers(k)) if yes]
                for d in range(k.ndim):
                    inner = _numel(k._shape[d + 1 :])
                    chosen[dim] = tensor([i // inner % k._shape[d] for i in places], dtype=int64)
                    dim += 1
            elif isinstance(k, Tensor) and k._dtype in ("int64", "int32", "int16", "int8"):
                chosen[dim] = k
                dim += 1
            elif isinstance(k, _int) and not isinstance(k, _bool):
                out = out.select(dim, k)
            else:
                raise _unavailable(f"Tensor[{type(k).__name__}]")
        return out, chosen

    def _rows(self, chosen):
        """For each element of the indices together: which entry of the dimensions that they choose from."""
        shape = broadcast_shapes(*(index._shape for index in chosen.values()))
        total = [0] * _numel(shape)
        for dim, index in sorted(chosen.items()):
            extent = self._shape[dim]
            for place, entry in enumerate(_ckstore.numbers(index.expand(*shape))):
                if not -extent <= entry < extent:
                    raise IndexError(f"index {entry} is out of bounds for dimension {dim} with size {extent}")
                total[place] = total[place] * extent + entry % extent
        return shape, total

    def _gathered(self, chosen):
        """Entries that rows of indices choose; the rows go together as far as they are several."""
        shape, rows = self._rows(chosen)
        dims = sorted(chosen)
        others = [dim for dim in range(self.ndim) if dim not in chosen]
        # Rows that are next to one another leave their dimensions in place, others go to the front.
        at = dims[0] if dims[-1] - dims[0] == len(dims) - 1 else 0
        before, after = others[:at], others[at:]
        head, tail = [self._shape[d] for d in before], [self._shape[d] for d in after]
        moved = self.permute(*before, *dims, *after)
        flat = moved.reshape(*head, _numel([self._shape[d] for d in dims]), *tail)
        out = _ckstore.index_select(flat, at, _ckstore.literal([len(rows)], rows, "int64"))
        full_shape = [*head, *shape, *tail]
        out = out._viewed(full_shape, _layout.dense(full_shape), 0)
        steps = [[self._strides[d] for d in before] + [0] * len(shape) + [self._strides[d] for d in after]]
        for index in chosen.values():
            steps.append([0] * len(before) + list(index.expand(*shape)._strides) + [0] * len(after))
        strides = _layout.ordered(full_shape, steps)
        return _laid(full_shape, strides, _ckstore.clone, out)

    def __len__(self):
        if not self._shape:
            raise TypeError("len() of a 0-d tensor")
        return self._shape[0]

    def __iter__(self):
        if not self._shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    # Copies.

    def clone(self, memory_format=None):
        if memory_format == contiguous_format:
            return _ckstore.clone(self)
        return _copied(self, _ckstore.clone)

    def contiguous(self, memory_format=None):
        return self if self.is_contiguous() else _ckstore.clone(self)

    def __copy__(self):
        return _ckstore.detach(self, self._requires_grad, self._parameter)

    def __deepcopy__(self, memo):
        new = self.clone()
        if self._parameter or new._requires_grad != self._requires_grad:
            new = _ckstore.detach(new, self._requires_grad, self._parameter)
        memo[id(self)] = new
        return new

    def index_select(self, dim, index):
        dim = _one_dim(dim, self.ndim)
        if index.ndim > 1:
            raise IndexError("index_select(): Index is supposed to be a vector")
        of = self.reshape(1) if not self._shape else self
        return _ckstore.index_select(of, dim, index.reshape(-1))

    def flip(self, *dims):
        def flipped(value):
            for place, old in enumerate(order):
                if old in chosen:
                    value = _ckstore.index_select(value, place, arange(value._shape[place] - 1, -1, -1))
            return value

        chosen = [_one_dim(dim, self.ndim) for dim in _ints(dims)]
        strides = _layout.copied(self._shape, self._strides)
        order = sorted(range(self.ndim), key=lambda dim: -strides[dim] if self._shape[dim] != 1 else 0)
        if not chosen or not self.ndim:
            return self.clone()
        return flipped(self.permute(*order))._viewed(self._shape, strides, 0)

    def roll(self, shifts, dims=None):
        if dims is None:
            return self.flatten().roll(shifts, 0).view(*self._shape)
        out = self
        for shift, dim in zip(_ints((shifts,)) if not isinstance(shifts, _int) else [shifts], _ints((dims,)) if not isinstance(dims, _int) else [dims]):
            if not self.numel():
                return self.clone()
            dim = _one_dim(dim, self.ndim)
            extent = self._shape[dim]
            at = -shift % extent
            out = cat((out.narrow(dim, at, extent - at), out.narrow(dim, 0, at)), dim)
        return out

    def repeat(self, *times):
        times = _ints(times)
        if len(times) < self.ndim:
            raise RuntimeError(
                "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
            )
        out, wide = self, []
        while out.ndim < len(times):
            out = out.unsqueeze(0)
        shape = out._shape
        for place, (count, extent) in enumerate(zip(times, shape)):
            out = out.unsqueeze(2 * place)
            wide += [count, extent]
        total = [count * extent for count, extent in zip(times, shape)]
        return _ckstore.clone(out.expand(*wide))._viewed(total, _layout.dense(total), 0)

    def tile(self, *times):
        times = _ints(times)
        return self.repeat(*[1] * (self.ndim - len(times)), *times)

    def _triangle(self, keeps):
        if self.ndim < 2:
            raise RuntimeError("input tensor must have at least 2 dimensions")
        rows, columns = arange(self._shape[-2]).unsqueeze(1), arange(self._shape[-1]).unsqueeze(0)
        mask = keeps(columns - rows).expand(*self._shape)
        return _ckstore.where(mask, self, full(self._shape, 0, dtype=self.dtype))

    def tril(self, diagonal=0):
        return self._triangle(lambda place: place <= diagonal)

    def triu(self, diagonal=0):
        return self._triangle(lambda place: place >= diagonal)

    def repeat_interleave(self, repeats, dim=None):
        if dim is None:
            return self.flatten().repeat_interleave(repeats, 0)
        dim = _one_dim(dim, self.ndim)
        index = [i for i in range(self._shape[dim]) for _ in range(repeats)]
        return self.index_select(dim, tensor(index, dtype=int64))

    def to(self, *args, dtype=None, device=None, copy=False, non_blocking=False, memory_format=None):
        for arg in args:
            if isinstance(arg, Tensor):
                dtype = arg.dtype
            elif isinstance(arg, _DTYPE):
                dtype = arg
        out = self if dtype is None or dtype is self.dtype else self._cast(dtype)
        return out.clone() if copy and out is self else out

    def _cast(self, kind):
        return _copied(self, lambda value: _ckstore.cast(value, kind._name))

    def type_as(self, other):
        return self.to(other.dtype)

    def cpu(self):
        return self

    def cuda(self, *args, **kwargs):
        return self

    def float(self):
        return self.to(float32)

    def double(self):
        return self.to(float64)

    def half(self):
        return self.to(float16)

    def bfloat16(self):
        return self.to(bfloat16)

    def int(self):
        return self.to(int32)

    def long(self):
        return self.to(int64)

    def short(self):
        return self.to(int16)

    def char(self):
        return self.to(int8)

    def byte(self):
        return self.to(uint8)

    def bool(self):
        return self.to(_DTYPES["bool"])

    def new_zeros(self, *shape, dtype=None, **_):
        return zeros(*shape, dtype=dtype or self.dtype)

    def new_ones(self, *shape, dtype=None, **_):
        return ones(*shape, dtype=dtype or self.dtype)

    def new_full(self, shape, value, dtype=None, **_):
        return full(shape, value, dtype=dtype or self.dtype)

    new_empty = new_zeros

    def new_tensor(self, data, dtype=None, **_):
        return tensor(data, dtype=dtype or self.dtype)

    # Values.

    def item(self):
        if self.numel() != 1:
            raise RuntimeError(f"a Tensor with {self.numel()} elements cannot be converted to Scalar")
        return _ckstore.numbers(self)[0]

    def tolist(self):
        flat = _ckstore.numbers(self)

        def nested(shape, at):
            if not shape:
                return flat[at]
            step = _numel(shape[1:])
            return [nested(shape[1:], at + i * step) for i in range(shape[0])]

        return nested(self._shape, 0)

    def numpy(self, *args, **kwargs):
        raise _unavailable("Tensor.numpy()")

    def __bool__(self):
        if self.numel() != 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return _bool(self.item())

    def __int__(self):
        return _int(self.item())

    def __float__(self):
        return _float(self.item())

    def __index__(self):
        if self.dtype._rank > 1 or self.numel() != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return _int(self.item())

    def __contains__(self, value):
        return _bool((self == value).any())

    def __hash__(self):
        return id(self)

    def __repr__(self):
        return f"<tensor {list(self._shape)} {self._dtype}>"

    def __format__(self, spec):
        return format(self.item(), spec) if not self._shape else repr(self)

    def equal(self, other):
        if self._shape != other._shape:
            return False
        return _bool((self == other).all())

    def allclose(self, other, rtol=1e-05, atol=1e-08, equal_nan=False):
        return _bool(self.isclose(other, rtol, atol, equal_nan).all())

    def isclose(self, other, rtol=1e-05, atol=1e-08, equal_nan=False):
        a, b = self.double(), other.double()
        near = ((a - b).abs() <= b.abs() * rtol + atol) | (a == b)
        return near | (a.isnan() & b.isnan()) if equal_nan else near

    # Arithmetic.

    def __add__(self, other):
        return _pair("add", self, other)

    __radd__ = __add__

    def add(self, other, *, alpha=1):
        return self + (other if alpha == 1 else self._times(other, alpha))

    def _times(self, other, alpha):
        """What is added in steps of `alpha`: of the type of the sum, which for truth values is one of theirs."""
        kind = result_type(self, other)
        scaled = other * alpha
        return scaled.to(kind) if isinstance(scaled, Tensor) else scaled

    def __sub__(self, other):
        _needs_no_bool("Subtraction", self, other)
        return _pair("sub", self, other)

    def __rsub__(self, other):
        return _pair("sub", other, self)

    def sub(self, other, *, alpha=1):
        return self - (other if alpha == 1 else self._times(other, alpha))

    subtract = sub

    def __mul__(self, other):
        return _pair("mul", self, other)

    __rmul__ = mul = multiply = __mul__

    def __truediv__(self, other):
        return _pair("div", self, other, True)

    def __rtruediv__(self, other):
        # As torch does it; a division would round otherwise.
        return self.reciprocal() * other

    def div(self, other, *, rounding_mode=None):
        if rounding_mode is None:
            return self / other
        if rounding_mode == "floor":
            return self // other
        kind = result_type(self, other)
        return (self / other).trunc().to(kind)

    divide = true_divide = div

    def __floordiv__(self, other):
        return _pair("floor_div", self, other)

    def __rfloordiv__(self, other):
        return _pair("floor_div", other, self)

    floor_divide = __floordiv__

    def __mod__(self, other):
        return _pair("remainder", self, other)

    remainder = __mod__

    def __pow__(self, other):
        return _pair("pow", self, other, numbers_count=False)

    def __rpow__(self, other):
        return _pair("pow", other, self)

    pow = __pow__

    def maximum(self, other):
        return _pair("maximum", self, other)

    def minimum(self, other):
        return _pair("minimum", self, other)

    def clamp(self, min=None, max=None):
        out = self
        if min is not None:
            out = _pair("maximum", out, self._bound(min), numbers_count=False)
        # Both bounds are one operation: the second changes no place in memory.
        strides = out._strides if out is not self else None
        if max is not None:
            out = _pair("minimum", out, self._bound(max), numbers_count=False, strides=strides)
        return out

    def _bound(self, value):
        """A bound as far as elements of this type reach."""
        if isinstance(value, (Tensor, _float)) or self.dtype._rank != 1:
            return value
        bits = self.itemsize * 8
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if self.dtype.is_signed else (0, (1 << bits) - 1)
        return least if value < least else most if value > most else value

    clip = clamp

    def __neg__(self):
        return _each("neg", self)

    neg = __neg__

    def __pos__(self):
        return self

    def __abs__(self):
        return _each("abs", self)

    abs = __abs__

    def _floating(self, op):
        return _each(op, self if self.dtype._rank >= 2 else self.float())

    def sqrt(self):
        return self._floating("sqrt")

    def rsqrt(self):
        return self.sqrt().reciprocal()

    def exp(self):
        return self._floating("exp")

    def log(self):
        return self._floating("log")

    def reciprocal(self):
        return self._floating("reciprocal")

    def floor(self):
        return _each("floor", self)

    def ceil(self):
        return _each("ceil", self)

    def trunc(self):
        return _each("trunc", self)

    def round(self):
        return _each("round", self)

    def sign(self):
        return _each("sign", self)

    def isnan(self):
        return _each("isnan", self)

    def isinf(self):
        if self.dtype._rank < 2:
            return zeros_like(self, dtype=_BOOL)
        return self.abs() == _float("inf")

    def isfinite(self):
        if self.dtype._rank < 2:
            return ones_like(self, dtype=_BOOL)
        return (self == self) * (self.abs() != _float("inf"))

    def square(self):
        return self**2

    def __eq__(self, other):
        return _pair("eq", self, other)

    def __ne__(self, other):
        return _pair("ne", self, other)

    def __lt__(self, other):
        return _pair("lt", self, other)

    def __le__(self, other):
        return _pair("le", self, other)

    def __gt__(self, other):
        return _pair("gt", self, other)

    def __ge__(self, other):
        return _pair("ge", self, other)

    eq, ne, lt, le, gt, ge = __eq__, __ne__, __lt__, __le__, __gt__, __ge__

    def __and__(self, other):
        return _pair("and", self, other)

    def __or__(self, other):
        return _pair("or", self, other)

    def __xor__(self, other):
        return _pair("xor", self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def logical_not(self):
        return _each("not", self.bool())

    def logical_and(self, other):
        return self.bool() & other.bool()

    def logical_or(self, other):
        return self.bool() | other.bool()

    def __invert__(self):
        if self.dtype is _DTYPES["bool"]:
            return _each("not", self)
        return _pair("xor", self, -1, numbers_count=False)

    def masked_fill(self, mask, value):
        shape = broadcast_shapes(mask._shape, self._shape)
        filled = full(shape, value.item() if isinstance(value, Tensor) else value, dtype=self.dtype)
        return _ckstore.where(mask.expand(*shape), filled, self.expand(*shape))

    def where(self, condition, other):
        return where(condition, self, other)

    # Folds.

    def _folded(self, op, dim, keepdim, kind):
        if dim is None or not self.ndim or (isinstance(dim, (tuple, list)) and not dim):
            dims = list(range(self.ndim))
        else:
            dims = sorted(_one_dim(d, self.ndim) for d in ([dim] if isinstance(dim, _int) else dim))
        kept = [d for d in range(self.ndim) if d not in dims]
        moved = self.permute(*kept, *dims)
        count = _numel([self._shape[d] for d in dims])
        out = _ckstore.fold(op, moved.reshape(*[self._shape[d] for d in kept], count), kind._name)
        for d in dims if keepdim else ():
            out = out.unsqueeze(d)
        return out

    def sum(self, dim=None, keepdim=False, *, dtype=None):
        return self._folded("sum", dim, keepdim, dtype or (self.dtype if self.dtype._rank >= 2 else int64))

    def prod(self, dim=None, keepdim=False, *, dtype=None):
        return self._folded("prod", dim, keepdim, dtype or (self.dtype if self.dtype._rank >= 2 else int64))

    def mean(self, dim=None, keepdim=False, *, dtype=None):
        if dtype is None and self.dtype._rank < 2:
            raise RuntimeError("mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype.")
        return self._folded("mean", dim, keepdim, dtype or self.dtype)

    def var(self, dim=None, unbiased=True, keepdim=False, correction=None):
        centre = self - self.mean(dim, True)
        total = (centre * centre).sum(dim, keepdim)
        count = self.numel() // max(total.numel(), 1)
        less = correction if correction is not None else (1 if unbiased else 0)
        return total / (count - less)

    def std(self, dim=None, unbiased=True, keepdim=False, correction=None):
        return self.var(dim, unbiased, keepdim, correction).sqrt()

    def norm(self, p=2, dim=None, keepdim=False):
        if p != 2:
            raise _unavailable(f"Tensor.norm(p={p!r})")
        return (self * self).sum(dim, keepdim).sqrt()

    def all(self, dim=None, keepdim=False):
        return self._folded("all", dim, keepdim, _DTYPES["bool"])

    def any(self, dim=None, keepdim=False):
        return self._folded("any", dim, keepdim, _DTYPES["bool"])

    def _extreme(self, op, dim, keepdim):
        if isinstance(dim, Tensor):
            return _pair({"min": "minimum", "max": "maximum"}[op], self, dim)
        values = self._folded(op, dim, keepdim, self.dtype)
        if dim is None:
            return values
        return _Extremes(values, self._folded("arg" + op, dim, keepdim, int64))

    def min(self, dim=None, keepdim=False):
        return self._extreme("min", dim, keepdim)

    def max(self, dim=None, keepdim=False):
        return self._extreme("max", dim, keepdim)

    def amin(self, dim=None, keepdim=False):
        return self._folded("min", dim, keepdim, self.dtype)

    def amax(self, dim=None, keepdim=False):
        return self._folded("max", dim, keepdim, self.dtype)

    def argmin(self, dim=None, keepdim=False):
        return self._folded("argmin", dim, keepdim, int64)

    def argmax(self, dim=None, keepdim=False):
        return self._folded("argmax", dim, keepdim, int64)

    # In place: every tensor over the same memory sees it.

    def _assigned(self, value):
        if not isinstance(value, Tensor):
            value = full(self._shape, value, dtype=self.dtype)
        elif value._shape != self._shape:
            value = value.expand(*self._shape)
        _ckstore.assign(self, value.to(self.dtype))
        return self

    def copy_(self, other, non_blocking=False):
        return self._assigned(other)

    def fill_(self, value):
        return self._assigned(value)

    def zero_(self):
        return self._assigned(0)

    def __setitem__(self, key, value):
        if isinstance(key, Tensor) and key.dtype is _BOOL and key._shape == self._shape[: key.ndim]:
            if not isinstance(value, Tensor) or value.numel() == 1:
                mask = key.reshape(*key._shape, *[1] * (self.ndim - key.ndim))
                value = full((), value, dtype=self.dtype) if not isinstance(value, Tensor) else value.reshape(())
                self._assigned(where(mask, value.to(self.dtype), self))
                return
        window, chosen = self._window(key)
        if not chosen:
            window._assigned(value)
            return
        shape, rows = window._rows(chosen)
        dims = sorted(chosen)
        at = dims[0] if dims[-1] - dims[0] == len(dims) - 1 else 0
        others = [dim for dim in range(window.ndim) if dim not in chosen]
        tail = [window._shape[d] for d in others]
        if not isinstance(value, Tensor):
            value = full((), value, dtype=window.dtype)
        value = value.expand(*tail[:at], *shape, *tail[at:])
        places = list(range(at, at + len(shape)))
        values = value.permute(*places, *[d for d in range(value.ndim) if d not in places]).reshape(len(rows), *tail)
        moved = window.permute(*dims, *others)
        for place, row in enumerate(rows):
            target = moved
            for dim in reversed(dims):
                target = target.select(dims.index(dim), row % window._shape[dim])
                row //= window._shape[dim]
            target._assigned(values.select(0, place))

    def add_(self, other, *, alpha=1):
        return self._assigned(self.add(other, alpha=alpha))

    def sub_(self, other, *, alpha=1):
        return self._assigned(self.sub(other, alpha=alpha))

    def mul_(self, other):
        return self._assigned(self * other)

    def div_(self, other):
        return self._assigned(self / other)

    def neg_(self):
        return self._assigned(-self)

    def clamp_(self, min=None, max=None):
        return self._assigned(self.clamp(min, max))

    __iadd__, __isub__, __imul__, __itruediv__ = add_, sub_, mul_, div_

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(f"'Tensor' object has no attribute {name!r}")
        raise _MissingTensorAttribute(name)


class _MissingTensorAttribute(AttributeError):
    def __init__(self, name):
        AttributeError.__init__(self, f"`torch.Tensor.{name}` is not available in the sandbox")
        self.ckstore_missing = f"torch.Tensor.{name}"


_DTYPE = dtype
_objects._paths[Size] = ("torch", "Size")
_objects._paths[Tensor] = ("torch", "Tensor")


class _Storage:
    """Tells whether tensors share memory; nothing else."""

    def __init__(self, memory):
        self._memory = memory

    def data_ptr(self):
        return self._memory

    def __eq__(self, other):
        return isinstance(other, _Storage) and self._memory == other._memory

    def __hash__(self):
        return hash(self._memory)


class _Extremes(tuple):
    def __new__(cls, values, indices):
        return tuple.__new__(cls, (values, indices))

    values = property(lambda self: self[0])
    indices = property(lambda self: self[1])


def is_tensor(value):
    return isinstance(value, Tensor)


def numel(value):
    return value.numel()


def _shape_of(shape):
    shape = _ints(shape)
    if any(extent < 0 for extent in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension: {shape}")
    return shape


def full(size, fill_value, *, dtype=None, **_):
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    return _ckstore.full(_shape_of((tuple(size),) if not isinstance(size, _int) else (size,)), fill_value, (dtype or _scalar_type(fill_value))._name)


def zeros(*size, dtype=None, **_):
    return _ckstore.full(_shape_of(size), 0, (dtype or float32)._name)


def ones(*size, dtype=None, **_):
    return _ckstore.full(_shape_of(size), 1, (dtype or float32)._name)


empty = zeros


def full_like(like, value, *, dtype=None, **_):
    made = full(like._shape, value, dtype=dtype or like.dtype)
    return made._viewed(like._shape, _layout.copied(like._shape, like._strides), 0)


def zeros_like(like, *, dtype=None, **_):
    return full_like(like, 0, dtype=dtype)


def ones_like(like, *, dtype=None, **_):
    return full_like(like, 1, dtype=dtype)


empty_like = zeros_like


def eye(n, m=None, *, dtype=None, **_):
    m = n if m is None else m
    return (arange(n).unsqueeze(1) == arange(m).unsqueeze(0)).to(dtype or float32)


def arange(start, end=None, step=1, *, dtype=None, **_):
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    if step == 0 or (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    whole = all(isinstance(v, _int) for v in (start, end, step))
    if whole:
        count = -(-(end - start) // step)
    else:
        count = _int((end - start) / step)
        count += 1 if start + count * step != end and (end - start - count * step) * step > 0 else 0
    return _ckstore.arange(count, start, step, (dtype or (int64 if whole else float32))._name)


def linspace(start, end, steps, *, dtype=None, **_):
    if steps == 1:
        return full((1,), _float(start), dtype=dtype or float32)
    step = (end - start) / (steps - 1)
    half = steps // 2
    values = [start + i * step if i < half else end - (steps - 1 - i) * step for i in range(steps)]
    return tensor(values, dtype=dtype or float32)


def tensor(data, *, dtype=None, requires_grad=False, **_):
    if isinstance(data, Tensor):
        out = data.detach().clone()
        return out if dtype is None else out.to(dtype)
    shape, flat = [], data
    level = [data]
    while level and isinstance(level[0], (list, tuple)):
        extent = len(level[0])
        if any(not isinstance(item, (list, tuple)) or len(item) != extent for item in level):
            raise ValueError(f"expected sequence of length {extent} at dim {len(shape)}")
        shape.append(extent)
        level = [inner for item in level for inner in item]
    level = [item.item() if isinstance(item, Tensor) else item for item in level]
    if dtype is None:
        dtype = float32
        if level:
            dtype = _DTYPES["bool"]
            for item in level:
                dtype = promote_types(dtype, _scalar_type(item))
    out = _ckstore.literal(shape, level, dtype._name)
    out._requires_grad = requires_grad
    return out


def as_tensor(data, *, dtype=None, **_):
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    return tensor(data, dtype=dtype)


def scalar_tensor(value, *, dtype=None, **_):
    return tensor(value, dtype=dtype or float32)


def _joined(tensors):
    tensors = list(tensors)
    if not tensors:
        raise RuntimeError("expected a non-empty list of Tensors")
    kind = None
    for part in tensors:
        kind = promote_types(kind, part.dtype)
    return [part.to(kind) for part in tensors]


def cat(tensors, dim=0, **_):
    tensors = list(tensors)
    places = [(part._shape, part._strides) for part in tensors if part._shape != (0,)] or [((0,), (1,))]
    parts = _joined(tensors)
    # Empty rows of one dimension are left out, as torch has done since its first days.
    parts = [part for part in parts if part._shape != (0,)] or parts[:1]
    if not parts[0]._shape:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated")
    dim = _one_dim(dim, parts[0].ndim)
    for place, part in enumerate(parts):
        fits = part.ndim == parts[0].ndim and all(
            a == b for d, (a, b) in enumerate(zip(part._shape, parts[0]._shape)) if d != dim
        )
        if not fits:
            raise RuntimeError(
                f"Sizes of tensors must match except in dimension {dim}. Got {list(part._shape)} and "
                f"{list(parts[0]._shape)} for tensor number {place} in the list."
            )
    shape = list(parts[0]._shape)
    shape[dim] = sum(part._shape[dim] for part in parts)
    return _cat(parts, dim, _layout.joined(shape, places), shape)


def _cat(parts, dim, strides, shape):
    if strides == _layout.dense(shape):
        return _ckstore.cat(parts, dim)
    order = sorted(range(len(shape)), key=lambda d: -strides[d] if shape[d] != 1 else 0)
    made = _ckstore.cat([part.permute(*order) for part in parts], order.index(dim))
    return made._viewed(shape, strides, 0)


concat = concatenate = cat


def stack(tensors, dim=0, **_):
    parts = list(tensors)
    if any(part._shape != parts[0]._shape for part in parts):
        raise RuntimeError("stack expects each tensor to be equal size")
    count = parts[0].ndim
    dim = _one_dim(dim, count, 1)
    wide = [part.unsqueeze(dim) for part in parts]
    kind = parts[0].dtype
    if dim < count and kind in (float16, bfloat16, float32, float64) and all(part.dtype is kind for part in parts):
        places = [(part._shape, part._strides) for part in parts]
        if _layout.stacked_in_rows(places[0], places[1:]):
            return _ckstore.cat(wide, dim)
    return cat(wide, dim)


def vstack(tensors):
    return cat([part.reshape(1, -1) if part.ndim < 2 else part for part in tensors], 0)


def hstack(tensors):
    parts = [part.reshape(1) if part.ndim < 1 else part for part in tensors]
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


def where(condition, input=None, other=None):
    if input is None:
        raise _unavailable("where(condition)")
    tensors = [value for value in (input, other) if isinstance(value, Tensor)]
    kind = result_type(input, other)
    shape = broadcast_shapes(condition._shape, *(value._shape for value in tensors))

    strides = _layout.elementwise(shape, [_place(condition, condition.dtype), _place(input, kind), _place(other, kind)])

    def ready(value):
        if not isinstance(value, Tensor):
            return full(shape, value, dtype=kind)
        return value.to(kind).expand(*shape)

    return _laid(shape, strides, _ckstore.where, condition.bool().expand(*shape), ready(input), ready(other))


def equal(a, b):
    return a.equal(b)


def allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    return a.allclose(b, rtol, atol, equal_nan)


def einsum(*_):
    raise _unavailable("einsum()")


def block_diag(*parts):
    raise _unavailable("block_diag()")


