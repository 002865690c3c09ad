"""Compares two loaded object graphs, with identity.

Two graphs are the same when one walk goes through both in step: every value has the same type and content, every
object that is shared or cyclic in one is so in the other, and tensors agree in dtype, shape, strides, offset and in
which of them lie over one storage. Strings, numbers and tuples count by value alone: Python may share them or not.
"""

import collections
import enum
import functools
import struct
import types
import weakref

import numpy
import torch

_BY_REPR = (torch.dtype, torch.device, torch.layout, torch.memory_format, torch.qscheme, numpy.dtype)
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
_SPARSE_PARTS = {
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: ("crow_indices", "col_indices", "values"),
    torch.sparse_bsr: ("crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("ccol_indices", "row_indices", "values"),
    torch.sparse_bsc: ("ccol_indices", "row_indices", "values"),
}


def differences(left, right, most=5):
    """The first places in which the graphs differ, as text; empty when they are the same."""
    return _Walk(most).compare(left, right)


class _Walk:
    def __init__(self, most):
        self.most = most
        self.partner = {}
        self.partner_back = {}
        self.seen_values = set()
        self.found = []
        # What the walk makes itself must live on, or its id could be given again.
        self.alive = []

    def compare(self, left, right):
        todo = [("", left, right)]
        while todo and len(self.found) < self.most:
            path, a, b = todo.pop()
            try:
                one, other = describe(a), describe(b)
            except Exception as error:  # a class of its own may fail in its own way
                self.found.append(f"{path or 'root'}: cannot be looked into: {error!r}")
                continue
            if one.head != other.head:
                self.found.append(f"{path or 'root'}: {short(one.head)} is {short(other.head)}")
                continue
            if not self.goes_on(path, one, other):
                continue
            self.alive.append((a, b, one, other))
            if len(one.parts) != len(other.parts):
                self.found.append(f"{path or 'root'}: {len(one.parts)} parts are {len(other.parts)}")
                continue
            pairs = zip(one.parts, other.parts)
            todo.extend(reversed([(f"{path}{label}", x, y) for (label, x), (_, y) in pairs]))
        return self.found

    def goes_on(self, path, one, other):
        """Whether the pair is met for the first time; says so if identity differs."""
        if one.identity is None:
            if not one.parts:
                return False
            key = (one.number, other.number)
            if key in self.seen_values:
                return False
            self.seen_values.add(key)
            return True
        known = self.partner.get(one.identity)
        known_back = self.partner_back.get(other.identity)
        if known is None and known_back is None:
            self.partner[one.identity] = other.identity
            self.partner_back[other.identity] = one.identity
            return True
        if known != other.identity or known_back != one.identity:
            left, right = ("shared" if k else "not shared" for k in (known, known_back))
            self.found.append(f"{path or 'root'}: {left} on the left, {right} on the right, or with something else")
        return False


class Described:
    """A value's own content, what it holds, and what tells it from an equal one."""

    def __init__(self, value, head, parts=(), identity=True):
        self.head = head
        self.parts = list(parts)
        self.number = id(value)
        self.identity = ("object", id(value)) if identity is True else identity


def short(head, length=160):
    text = repr(head)
    return text if len(text) <= length else text[:length] + "..."


def class_path(cls):
    return f"{cls.__module__}.{cls.__qualname__}"


def describe(value):
    kind = type(value)
    if kind is float:
        return Described(value, ("float", struct.pack(">d", value).hex()), identity=None)
    if kind is complex:
        return Described(value, ("complex", struct.pack(">dd", value.real, value.imag).hex()), identity=None)
    if value is None or kind in (bool, int, str, bytes, type(Ellipsis), type(NotImplemented), range, slice):
        return Described(value, (kind.__name__, repr(value)), identity=None)
    if isinstance(value, _BY_REPR):
        return Described(value, (class_path(kind), repr(value)), identity=None)
    if isinstance(value, _NAMED):
        name = f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else value.__name__
        return Described(value, ("named", name), identity=None)
    if isinstance(value, enum.Enum):
        return Described(value, ("enum", class_path(kind), value.name), identity=None)
    if isinstance(value, weakref.ref):
        return Described(value, ("weakref",), identity=None)
    if isinstance(value, (torch.ScriptObject, torch.jit.ScriptModule)):
        return Described(value, ("script", class_path(kind)), identity=None)
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    if isinstance(value, torch.storage.TypedStorage):
        return Described(value, (class_path(kind), str(value.dtype)), [(".storage", value._untyped_storage)])
    if isinstance(value, torch.UntypedStorage):
        return _storage(value)
    if isinstance(value, torch.Generator):
        return Described(value, ("generator", str(value.device), value.get_state().tolist()))
    if isinstance(value, numpy.ndarray):
        return _array(value)
    if isinstance(value, numpy.generic):
        return Described(value, (class_path(kind), str(value.dtype), value.tobytes()), identity=None)
    if isinstance(value, (tuple, frozenset)) and kind in (tuple, frozenset, torch.Size):
        return Described(value, (class_path(kind), len(value)), _elements(value), identity=None)
    if isinstance(value, (dict, list, set, tuple, frozenset, collections.deque)):
        return _container(value)
    return _object(value)


def _elements(value):
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=_set_order)
    return [(f"[{place}]", element) for place, element in enumerate(value)]


def _set_order(element):
    described = describe(element)
    return repr(described.head), repr([describe(part).head for _, part in described.parts[:4]])


def _container(value):
    kind = type(value)
    if isinstance(value, dict):
        parts = []
        for place, (key, item) in enumerate(dict.items(value)):
            parts.append((f"<key {place}>", key))
            parts.append((f"[{key!r:.60}]", item))
    else:
        parts = _elements(value)
    head = [class_path(kind), len(parts)]
    if isinstance(value, collections.deque):
        head.append(value.maxlen)
    if isinstance(value, collections.defaultdict):
        parts.append((".default_factory", value.default_factory))
    return Described(value, head, parts + _attributes(value))


def _attributes(value):
    parts = []
    own = getattr(value, "__dict__", None)
    if own:
        parts.append((".__dict__", own))
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot in ("__dict__", "__weakref__", "default_factory"):
                continue
            hidden = slot.startswith("__") and not slot.endswith("__")
            name = f"_{cls.__name__.lstrip('_')}{slot}" if hidden else slot
            if hasattr(value, name):
                parts.append((f".{name}", getattr(value, name)))
    return parts


def _object(value):
    """Anything else, as `pickle` would take it apart."""
    kind = type(value)
    if isinstance(value, functools.partial):
        parts = [(".func", value.func), (".args", value.args), (".keywords", value.keywords)]
        return Described(value, (class_path(kind),), parts + _attributes(value))
    if isinstance(value, torch.nn.Module) or "__reduce__" not in vars(kind) and "__reduce_ex__" not in vars(kind):
        own = _attributes(value)
        if own and not isinstance(value, (int, float, str, bytes, bytearray, BaseException)):
            return Described(value, (class_path(kind),), own)
    reduced = value.__reduce_ex__(4)
    if isinstance(reduced, str):
        return Described(value, (class_path(kind), reduced), identity=None)
    labels = (".<callable>", ".<arguments>", ".<state>", ".<items>", ".<pairs>", ".<setter>")
    parts = []
    for label, part in zip(labels, reduced):
        if label in (".<items>", ".<pairs>") and part is not None:
            part = tuple(part)
        parts.append((label, part))
    return Described(value, (class_path(kind), len(parts)), parts)


def _storage(value):
    identity = ("storage", value._cdata)
    if value.device.type == "meta":
        return Described(value, ("storage", "meta", value.nbytes()), identity=identity)
    view = torch.tensor([], dtype=torch.uint8).set_(value)
    return Described(value, ("storage", value.nbytes(), view.numpy().tobytes()), identity=identity)


def _tensor(value):
    head = [class_path(type(value)), str(value.dtype), tuple(value.shape), str(value.layout), str(value.device)]
    head.append(value.requires_grad)
    own = {k: v for k, v in getattr(value, "__dict__", {}).items() if k != "_backward_hooks"}
    parts = [(".__dict__", own)] if own else []
    if hasattr(value, "_local_tensor"):
        parts.append((".local", value._local_tensor))
        parts = [(label, part) for label, part in parts if label != ".__dict__"]
        head.append(str(value._spec))
    elif isinstance(value, torch.nn.parameter.UninitializedTensorMixin):
        head.append("uninitialized")
    elif value.is_nested:
        head[2] = None
        parts += [(".values", value.values().detach()), (".sizes", value._nested_tensor_size())]
    elif value.layout in _SPARSE_PARTS:
        if value.layout == torch.sparse_coo:
            head.append(value.is_coalesced())
        bare = value.detach()
        parts += [(f".{name}", getattr(bare, name)()) for name in _SPARSE_PARTS[value.layout]]
    elif value.device.type == "meta":
        head.append(tuple(value.stride()))
    else:
        head += [tuple(value.stride()), value.storage_offset(), value.is_conj(), value.is_neg()]
        if value.is_quantized:
            head.append(str(value.qscheme()))
            if value.qscheme() == torch.per_tensor_affine:
                head += [value.q_scale(), value.q_zero_point()]
            else:
                head.append(value.q_per_channel_axis())
                parts += [(".scales", value.q_per_channel_scales()), (".zeros", value.q_per_channel_zero_points())]
        parts.append((".storage", value.untyped_storage()))
    return Described(value, head, parts)


def _array(value):
    head = [class_path(type(value)), repr(value.dtype), value.shape, value.flags.f_contiguous, value.flags.c_contiguous]
    if value.dtype.hasobject:
        return Described(value, head, [(f"[{place}]", item) for place, item in enumerate(value.ravel())])
    return Described(value, head + [value.tobytes()])
