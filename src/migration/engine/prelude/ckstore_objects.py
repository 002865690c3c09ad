"""Instances of classes that a checkpoint names, as Python would show them.

Nothing is imported for them: a class is made for each path, on the base that knows the family's way of
keeping its content.
"""

import sys

from _ckstore import Object, copy_object, new_object

# Stands for the state of a value that was pickled without one.
NO_STATE = type("NoState", (), {})()

# Bases for the classes of a family, by its name; `ckstore_families` and `ckstore_modules` put theirs in.
FAMILIES = {}

# Set by `ckstore_runtime`.
unavailable = None
refusal = None
deleted_modules = []
deleted_attributes = []


class OrderedDict(dict):
    """A dict that also compares and reorders by order."""

    __module__ = "collections"

    def popitem(self, last=True):
        if not self:
            raise KeyError("dictionary is empty")
        if last:
            return dict.popitem(self)
        key = next(iter(self))
        return key, dict.pop(self, key)

    def move_to_end(self, key, last=True):
        value = dict.pop(self, key)
        if last:
            dict.__setitem__(self, key, value)
            return
        items = list(dict.items(self))
        dict.clear(self)
        dict.__setitem__(self, key, value)
        for other, value in items:
            dict.__setitem__(self, other, value)

    def copy(self):
        new = type(self)()
        dict.update(new, self)
        new.__dict__.update(self.__dict__)
        return new

    def __reversed__(self):
        return reversed(list(self))

    def __eq__(self, other):
        if isinstance(other, OrderedDict):
            return list(dict.items(self)) == list(dict.items(other))
        return dict.__eq__(self, other)

    def __ne__(self, other):
        return not self == other

    def __repr__(self):
        return f"OrderedDict({dict.__repr__(self)})" if self else "OrderedDict()"

    @classmethod
    def fromkeys(cls, keys, value=None):
        new = cls()
        for key in keys:
            dict.__setitem__(new, key, value)
        return new


class defaultdict(dict):
    """A dict that makes missing values."""

    __module__ = "collections"
    __slots__ = ("default_factory",)

    def __init__(self, default_factory=None, *args, **kwargs):
        dict.__init__(self, *args, **kwargs)
        self.default_factory = default_factory

    def __missing__(self, key):
        if self.default_factory is None:
            raise KeyError(key)
        value = self[key] = self.default_factory()
        return value

    def copy(self):
        return type(self)(self.default_factory, self)

    __copy__ = copy

    def __reduce__(self):
        return type(self), (self.default_factory,), None, None, iter(self.items())

    def __repr__(self):
        return f"defaultdict({self.default_factory!r}, {dict.__repr__(self)})"


def set_factory(new, factory):
    new.default_factory = factory


class ClassMeta(type):
    """The type of all classes that checkpoints name."""

    def __instancecheck__(cls, instance):
        return _matches(type(instance), cls)

    def __subclasscheck__(cls, other):
        return _matches(other, cls)

    def __call__(cls, *args, **kwargs):
        if cls not in _paths:
            return type.__call__(cls, *args, **kwargs)
        # A class that a script imported before its family was known stands for the one that is.
        current = class_for(*_paths[cls], issubclass(cls, dict))
        if current is not cls:
            return current(*args, **kwargs)
        make = getattr(cls, "_make", None)
        if make is None:
            raise unavailable(f"{cls.__module__}.{cls.__qualname__}()")
        return make(*args, **kwargs)

    def __getattr__(cls, name):
        if name.startswith("_") or cls not in _paths:
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        module, own = _paths[cls]
        if _families.get((module, own)) == "value":
            raise refusal(f"{own}.{name}", f"`{own}.{name}`: the names of members are not in the checkpoint, `{own}(value)` is known")
        return class_for(module, f"{own}.{name}", False)

    def __repr__(cls):
        return f"<class '{cls.__module__}.{cls.__qualname__}'>"


def _matches(other, cls):
    """Whether a class is the one that a script means, which may name it by a package that re-exports it."""
    if cls is other or cls in getattr(other, "__mro__", ()):
        return True
    path, wanted = _paths.get(other), _paths.get(cls)
    if path is None or wanted is None or path[1] != wanted[1]:
        return False
    if path[0] == wanted[0]:
        return True
    package = wanted[0].split(".")[0]
    return path[0].startswith(wanted[0] + ".") or (path[0].split(".")[0] == package and package in _FLAT)


# Packages that export all their classes at the top.
_FLAT = frozenset(("omegaconf", "torch_geometric"))


class Instance(Object, metaclass=ClassMeta):
    """An instance of any class: its attributes are those it was pickled with."""

    def __getattr__(self, name):
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __copy__(self):
        return copy_object(self, dict(self.__dict__))

    def __deepcopy__(self, memo):
        from copy import deepcopy

        new = copy_object(self, {})
        memo[id(self)] = new
        for key, value in self.__dict__.items():
            new.__dict__[key] = deepcopy(value, memo)
        return new

    def __repr__(self):
        return f"<{type(self).__module__}.{type(self).__qualname__} object>"


class Namespace(Instance):
    """`argparse.Namespace`, or anything else made from keywords."""

    @classmethod
    def _make(cls, **kwargs):
        new = new_object(cls)
        new.__dict__.update(kwargs)
        return new

    def __contains__(self, key):
        return key in self.__dict__

    def __eq__(self, other):
        return isinstance(other, Namespace) and self.__dict__ == other.__dict__

    __hash__ = None

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.__dict__.items())})"


class Opaque(Instance):
    """Something that only its class understands; it can be moved."""


class DictInstance(dict, metaclass=ClassMeta):
    """An instance of a subclass of dict."""

    @classmethod
    def _make(cls, *args, **kwargs):
        new = dict.__new__(cls)
        for key, value in dict(*args, **kwargs).items():
            new[key] = value
        return new

    def copy(self):
        new = dict.__new__(type(self))
        for key, value in self.items():
            dict.__setitem__(new, key, value)
        return new

    __copy__ = copy

    def __deepcopy__(self, memo):
        from copy import deepcopy

        new = dict.__new__(type(self))
        memo[id(self)] = new
        for key, value in self.items():
            dict.__setitem__(new, deepcopy(key, memo), deepcopy(value, memo))
        for key, value in self.__dict__.items():
            new.__dict__[key] = deepcopy(value, memo)
        return new


class OrderedInstance(OrderedDict, metaclass=ClassMeta):
    """An instance of a subclass of OrderedDict."""

    _make, __copy__, __deepcopy__ = DictInstance._make, DictInstance.copy, DictInstance.__deepcopy__
    copy = __copy__


FAMILIES["ordered"] = OrderedInstance


class DotDict(DictInstance):
    """`anemoi.utils.config.DotDict`: items are attributes too, and dicts put in by either become such dicts."""

    @classmethod
    def _make(cls, *args, **kwargs):
        new = dict.__new__(cls)
        dict.update(new, *args, **kwargs)
        for key, value in list(dict.items(new)):
            dict.__setitem__(new, key, cls.convert_to_nested_dot_dict(value))
        return new

    @classmethod
    def convert_to_nested_dot_dict(cls, value):
        own = class_for("anemoi.utils.config", "DotDict", True)
        if isinstance(value, dict) or _is_config(value, "DictConfig"):
            return own._make(value)
        if isinstance(value, (list, tuple)) or _is_config(value, "ListConfig"):
            return [own._make(item) if isinstance(item, dict) or _is_config(item, "DictConfig") else item for item in value]
        return value

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name, value):
        self[name] = value

    def __setitem__(self, key, value):
        dict.__setitem__(self, key, self.convert_to_nested_dot_dict(value))

    def __repr__(self):
        return f"DotDict({dict.__repr__(self)})"


def _is_config(value, name):
    path = _paths.get(type(value))
    return path is not None and path[0].startswith("omegaconf.") and path[1] == name


class _MissingMeta(ClassMeta):
    def __instancecheck__(cls, instance):
        path = _paths.get(type(instance))
        if path is None:
            return False
        return path[0] in deleted_modules or f"{path[0]}.{path[1]}" in deleted_attributes or f"{path[0]}.*" in deleted_attributes


class MissingAttribute(metaclass=_MissingMeta):
    """Stands for instances of classes that `migrate_setup` deleted."""


class _ModuleMeta(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, FAMILIES["module"])


class Module(metaclass=_ModuleMeta):
    """`torch.nn.Module`: every instance that keeps parameters and modules as one does."""


_families = {}
_classes = {}
_paths = {}
_values = {}

_BASES = {
    ("argparse", "Namespace"): Namespace,
    ("types", "SimpleNamespace"): Namespace,
    ("anemoi.utils.config", "DotDict"): DotDict,
    ("ckstore", "Opaque"): Opaque,
}

_BUILTIN = {
    ("builtins", cls.__name__): cls
    for cls in (dict, list, tuple, set, frozenset, str, int, float, bool, bytes, bytearray, complex, object, slice, range)
}
_BUILTIN[("builtins", "long")] = int
_BUILTIN[("collections", "OrderedDict")] = OrderedDict
_BUILTIN[("collections", "defaultdict")] = defaultdict

for _path, _class in _BUILTIN.items():
    _paths.setdefault(_class, _path)


def class_for(module, name, is_dict):
    """The class that instances of this path have."""
    family = _families.get((module, name), "")
    is_dict = is_dict or issubclass(_BASES.get((module, name), Instance), dict)
    path = (module, name, family if family == "ordered" else "dict" if is_dict or family == "dict" else family)
    found = _classes.get(path)
    if found is None:
        found = _BUILTIN.get(path[:2]) if path[2] in ("dict", "ordered") else None
        if found is None:
            if module.split(".")[0] == "omegaconf":
                import omegaconf

                base = omegaconf.BASES.get(name, Instance)
            else:
                plain = DictInstance if path[2] == "dict" else Instance
                base = _BASES.get(path[:2]) or FAMILIES.get(family) or plain
            leaf = name.rpartition(".")[2]
            found = ClassMeta(leaf, (base,), {"__module__": module, "__qualname__": name})
            _paths[found] = path[:2]
        _classes[path] = found
    return found


def set_families(families):
    """What the checkpoint's graph tells of classes: module, name and family of each."""
    _families.clear()
    for module, name, family in families:
        _families[module, name] = family
    if "value" in _families.values():
        from ckstore_families import know_enumerations

        know_enumerations()


def value_of(module, name):
    """What a name in the checkpoint stands for where it is a value, not the class of one."""
    path = (module, name)
    found = _values.get(path)
    if found is None:
        found = _BUILTIN.get(path)
        if found is None and module == "torch":
            import torch

            found = torch.named_value(name)
        if found is None and module in ("numpy", "datetime", "pathlib"):
            __import__(module)
            found = sys.modules[module].__dict__.get(name)
        if found is None and module in ("collections", "functools"):
            import ckstore_values

            found = getattr(sys.modules[module], name, None)
        if found is None:
            found = class_for(module, name, False)
        _values[path] = found
    return found


def size_of(extents):
    """A shape."""
    from ckstore_tensor import Size

    return Size(extents)


def path_of(value):
    """The path under which a checkpoint names a value, or None."""
    try:
        path = _paths.get(value)
    except TypeError:
        return None
    if path is None and isinstance(value, type) is False:
        path = getattr(value, "_ckstore_path", None)
    return path


def int_from_bytes(data):
    return int.from_bytes(data, "little", signed=True)


def stand_in(module, name):
    """The class of a module that is not here."""
    # Small letters are a module below, which the import system then asks for; or a function.
    if not name.lstrip("_")[:1].isupper():
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return class_for(module, name, False)


class Package(type(sys)):
    """A module that is not here: its attributes are the classes that the checkpoint may name."""

    __path__ = []

    def __getattr__(self, name):
        return stand_in(self.__name__, name)

    def __call__(self, *args, **kwargs):
        raise unavailable(f"{self.__name__}()")
