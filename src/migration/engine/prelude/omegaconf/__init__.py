"""Configurations as OmegaConf pickles them: containers keep `_content`, leaves `_val`, both `_metadata`."""

import _collections_abc as _abc
import ckstore_objects as _objects
from _ckstore import copy_object as _copy_object, new_object as _new_object
from ckstore_objects import Instance, class_for as _class_for

MISSING = "???"
_OWN = frozenset(("_metadata", "_parent", "_content", "_val", "_flags_cache"))
_NOTHING = object()


class OmegaConfBaseException(Exception):
    pass


class MissingMandatoryValue(OmegaConfBaseException):
    pass


class ReadonlyConfigError(OmegaConfBaseException):
    pass


# The interpreter allows only one built-in exception as a base.


class ConfigKeyError(KeyError):
    def __str__(self):
        return self.args[0] if self.args else ""


class ConfigAttributeError(AttributeError):
    pass


class InterpolationResolutionError(ValueError):
    pass


def _is_interpolation(value):
    return isinstance(value, str) and "${" in value


def _flag(config, name):
    while config is not None:
        fields = config.__dict__["_metadata"].__dict__
        value = (fields.get("flags") or {}).get(name)
        if value is not None or fields.get("flags_root"):
            return value
        config = config.__dict__["_parent"]
    return None


def _is_typed(node):
    return node.__dict__["_metadata"].__dict__.get("ref_type") is not _objects.value_of("typing", "Any")


class _Node(Instance):
    """A leaf."""

    def _value(self):
        return self.__dict__["_val"]

    def __bool__(self):
        return bool(self._value())

    def __eq__(self, other):
        return self._value() == (other._value() if isinstance(other, _Node) else other)

    def __hash__(self):
        return hash(self._value())

    def __repr__(self):
        return repr(self._value())


class _Container(Instance):
    """What dicts and lists have in common."""

    def _is_none(self):
        return self.__dict__["_content"] is None

    def _items_of(self):
        content = self.__dict__["_content"]
        if content is None:
            raise TypeError(f"{type(self).__name__} is None")
        if isinstance(content, str):
            target = _read(self.__dict__["_parent"], self, self.__dict__["_metadata"].key)
            return target._items_of()
        return content

    def _wrap(self, key, value):
        """The node of a value that is new at this place."""
        if isinstance(value, (_Node, _Container)):
            parent = value.__dict__.get("_parent")
            if parent is not None and any(node is value for node in _nodes(parent)):
                value = _deepcopy(value, {})
            value.__dict__["_parent"] = self
            value.__dict__["_metadata"].__dict__["key"] = key
            return value
        if isinstance(value, dict):
            new = _container(self, key, "dictconfig", "DictConfig", dict, {})
            for inner, item in value.items():
                new.__dict__["_content"][inner] = new._wrap(inner, item)
            return new
        if isinstance(value, (list, tuple)):
            new = _container(self, key, "listconfig", "ListConfig", list, [])
            for place, item in enumerate(value):
                new.__dict__["_content"].append(new._wrap(place, item))
            return new
        if value is not None and not isinstance(value, (str, int, float, bool, bytes)):
            raise TypeError(f"Value '{type(value).__name__}' is not a supported primitive type")
        return _leaf(self, key, value)

    def _put(self, content, key, value):
        known = isinstance(content, list) or key in content
        if _flag(self, "readonly"):
            raise ReadonlyConfigError("Cannot change read-only config container")
        if not known and _flag(self, "struct"):
            raise ConfigAttributeError(f"Key '{key}' is not in struct")
        old = content[key] if known else None
        plain = value is None or isinstance(value, (str, int, float, bool, bytes))
        special = plain and (value is None or value == MISSING or _is_interpolation(value))
        if isinstance(old, _Container) and special and _is_typed(old):
            old.__dict__["_content"] = value
        elif isinstance(old, _Node) and plain:
            old.__dict__["_val"] = value
        else:
            content[key] = self._wrap(key, value)

    def __ne__(self, other):
        return not self == other

    __hash__ = None

    def __copy__(self):
        return _deepcopy(self, {})

    def copy(self):
        return _deepcopy(self, {})

    def __deepcopy__(self, memo):
        return _deepcopy(self, memo)

    def __repr__(self):
        return repr(_plain(self))

    def _get_parent(self):
        return self.__dict__["_parent"]


def _deepcopy(node, memo):
    from copy import deepcopy

    state = dict(node.__dict__)
    parent = state.pop("_parent", None)
    new = _copy_object(node, {})
    memo[id(node)] = new
    for key, value in node.__dict__.items():
        new.__dict__[key] = memo.get(id(parent), parent) if key == "_parent" else deepcopy(value, memo)
    return new


def _nodes(container):
    content = container.__dict__.get("_content")
    if isinstance(content, dict):
        return list(content.values())
    return list(content) if isinstance(content, list) else []


def _some_leaf(container):
    """A leaf near this place, to make others like it."""
    todo, seen = [container], set()
    while todo and len(seen) < 1000:
        node = todo.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        inside = _nodes(node)
        for item in inside:
            if type(item).__name__ == "AnyNode":
                return item
        todo.append(node.__dict__.get("_parent"))
        todo.extend(item for item in inside if isinstance(item, _Container))
    return None


def _metadata(like, name, key, object_type):
    fields = dict(like.__dict__["_metadata"].__dict__) if like is not None else {
        "ref_type": _objects.value_of("typing", "Any"),
        "object_type": None,
        "optional": True,
        "key": None,
        "flags": {},
        "flags_root": False,
        "resolver_cache": None,
    }
    if name == "ContainerMetadata":
        fields.setdefault("key_type", fields["ref_type"])
        fields.setdefault("element_type", fields["ref_type"])
        for typed in ("ref_type", "key_type", "element_type"):
            fields[typed] = _objects.value_of("typing", "Any")
        if object_type is list:
            fields["key_type"] = int
    fields.update(object_type=object_type, key=key, optional=True)
    fields["flags"] = {} if fields.get("flags") is not None else None
    if "resolver_cache" in fields:
        fields["resolver_cache"] = _objects.defaultdict(dict)
    new = _new_object(_class_for("omegaconf.base", name, False))
    new.__dict__.update(fields)
    return new


def _leaf(parent, key, value):
    like = _some_leaf(parent)
    new = _new_object(_class_for("omegaconf.nodes", "AnyNode", False))
    new.__dict__["_metadata"] = _metadata(like, "Metadata", key, None)
    new.__dict__["_parent"] = parent
    new.__dict__["_val"] = value
    return new


def _container(parent, key, module, name, object_type, content):
    new = _new_object(_class_for(f"omegaconf.{module}", name, False))
    new.__dict__["_metadata"] = _metadata(parent, "ContainerMetadata", key, object_type)
    new.__dict__["_parent"] = parent
    new.__dict__["_content"] = content
    return new


def _read(container, node, key, default=_NOTHING):
    """What Python shows for a node."""
    if isinstance(node, _Container):
        content = node.__dict__["_content"]
        if content is None:
            return None
        if not isinstance(content, str):
            return node
        value = content
    elif isinstance(node, _Node):
        value = node._value()
    else:
        return node
    if value == MISSING and isinstance(value, str):
        if default is not _NOTHING:
            return default
        raise MissingMandatoryValue(f"Missing mandatory value: {key}")
    if _is_interpolation(value):
        return _resolve(container, value)
    return value


def _resolve(container, text):
    def one(inner):
        inner = inner.strip()
        if ":" in inner or "${" in inner:
            raise _objects.unavailable(f"interpolation ${{{inner}}}")
        start = container
        if inner.startswith("."):
            inner = inner[1:]
            while inner.startswith("."):
                start, inner = start.__dict__["_parent"], inner[1:]
        else:
            while start.__dict__["_parent"] is not None:
                start = start.__dict__["_parent"]
        found = _select(start, inner, _NOTHING)
        if found is _NOTHING:
            raise InterpolationResolutionError(f"Interpolation key '{inner}' not found")
        return found

    if text.startswith("${") and text.find("}") == len(text) - 1:
        return one(text[2:-1])
    out = ""
    while "${" in text:
        before, _, rest = text.partition("${")
        inner, closed, text = rest.partition("}")
        if not closed or "${" in inner:
            raise _objects.unavailable(f"interpolation ${{{rest}")
        out += before + str(one(inner))
    return out + text


def _select(config, path, default):
    for step in path.replace("[", ".").replace("]", "").split(".") if path else ():
        if isinstance(config, ListConfig):
            if not step.lstrip("-").isdigit() or not -len(config) <= int(step) < len(config):
                return default
            config = config[int(step)]
        elif isinstance(config, DictConfig):
            content = config._items_of()
            if step not in content and step.isdigit() and int(step) in content:
                step = int(step)
            if step not in content:
                return default
            config = _read(config, content[step], step)
        else:
            return default
    return config


class DictConfig(_Container):
    def __getattr__(self, name):
        if name in _OWN or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        content = self._items_of()
        if name not in content:
            raise ConfigAttributeError(f"Missing key {name}")
        return _read(self, content[name], name)

    def __setattr__(self, name, value):
        if name in _OWN or (name.startswith("__") and name.endswith("__")):
            self.__dict__[name] = value
        else:
            self[name] = value

    def __delattr__(self, name):
        content = self._items_of()
        if name not in content:
            raise ConfigAttributeError(f"Missing key {name}")
        del content[name]

    def __getitem__(self, key):
        content = self._items_of()
        if key not in content:
            raise ConfigKeyError(f"Missing key {key}")
        return _read(self, content[key], key)

    def __setitem__(self, key, value):
        if self.__dict__["_content"] is None:
            self.__dict__["_content"] = {}
        self._put(self._items_of(), key, value)

    def __delitem__(self, key):
        content = self._items_of()
        if key not in content:
            raise ConfigKeyError(f"Missing key {key}")
        del content[key]

    def __contains__(self, key):
        content = self._items_of()
        if key not in content:
            return False
        node = content[key]
        value = node._value() if isinstance(node, _Node) else None
        if isinstance(value, str) and value == MISSING:
            return False
        if _is_interpolation(value):
            try:
                _resolve(self, value)
            except (InterpolationResolutionError, MissingMandatoryValue):
                return False
            except NotImplementedError:
                return True
        return True

    def __iter__(self):
        return iter(list(self.keys()))

    def __len__(self):
        content = self.__dict__["_content"]
        return len(content) if isinstance(content, dict) else 0

    def __bool__(self):
        return len(self) > 0

    def keys(self):
        content = self.__dict__["_content"]
        return content.keys() if isinstance(content, dict) else {}.keys()

    def values(self):
        return [self[key] for key in self.keys()]

    def items(self):
        return [(key, self[key]) for key in self.keys()]

    def items_ex(self, resolve=True, keys=None):
        content = self._items_of()
        return [(k, self[k] if resolve else content[k]) for k in content if keys is None or k in keys]

    def get(self, key, default=None):
        content = self.__dict__["_content"]
        if content is None or key not in self._items_of():
            return default
        return _read(self, self._items_of()[key], key, default)

    def pop(self, key, default=_NOTHING):
        content = self._items_of()
        if key in content:
            value = _read(self, content[key], key, default)
            del content[key]
            return value
        if default is _NOTHING:
            raise ConfigKeyError(f"Key not found: '{key}'")
        return default

    def popitem(self):
        key = list(self.keys())[-1]
        return key, self.pop(key)

    def clear(self):
        self._items_of().clear()

    def setdefault(self, key, default=None):
        if key not in self._items_of():
            self[key] = default
        return self[key]

    def update(self, *args, **kwargs):
        for source in args:
            for key in list(source.keys()) if hasattr(source, "keys") else [pair[0] for pair in source]:
                self[key] = source[key] if hasattr(source, "keys") else dict(source)[key]
        for key, value in kwargs.items():
            self[key] = value

    def _get_node(self, key, *args, **kwargs):
        return self._items_of().get(key)

    def __eq__(self, other):
        if isinstance(other, (dict, DictConfig)):
            return _plain(self) == (_plain(other) if isinstance(other, _Container) else other)
        return other is None and self._is_none()

    @classmethod
    def _make(cls, content=None, **_):
        return _root(dict(content or {}))


class ListConfig(_Container):
    def __getattr__(self, name):
        if name in _OWN or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        raise ConfigAttributeError(f"Key {name} is not supported on a list")

    def __setattr__(self, name, value):
        self.__dict__[name] = value

    def _renumber(self):
        for place, node in enumerate(self._items_of()):
            node.__dict__["_metadata"].__dict__["key"] = place

    def __getitem__(self, place):
        content = self._items_of()
        if isinstance(place, slice):
            return [_read(self, node, i) for i, node in list(enumerate(content))[place]]
        return _read(self, content[place], place)

    def __setitem__(self, place, value):
        self._put(self._items_of(), place, value)

    def __delitem__(self, place):
        del self._items_of()[place]
        self._renumber()

    def __len__(self):
        content = self.__dict__["_content"]
        return len(content) if isinstance(content, list) else 0

    def __bool__(self):
        return len(self) > 0

    def __iter__(self):
        return iter([self[place] for place in range(len(self))])

    def __contains__(self, value):
        return any(item == value for item in self)

    def append(self, value):
        content = self._items_of()
        content.append(self._wrap(len(content), value))

    def extend(self, values):
        for value in values:
            self.append(value)

    def insert(self, place, value):
        self._items_of().insert(place, self._wrap(place, value))
        self._renumber()

    def pop(self, place=-1):
        value = self[place]
        del self[place]
        return value

    def remove(self, value):
        del self[self.index(value)]

    def clear(self):
        self._items_of().clear()

    def index(self, value):
        for place, item in enumerate(self):
            if item == value:
                return place
        raise ValueError("Item not found in ListConfig")

    def count(self, value):
        return sum(1 for item in self if item == value)

    def sort(self, key=None, reverse=False):
        read = lambda node: _read(self, node, None)
        self._items_of().sort(key=(lambda node: key(read(node))) if key else read, reverse=reverse)
        self._renumber()

    def __add__(self, other):
        return _root(_plain(self) + list(_plain(other) if isinstance(other, _Container) else other))

    def __eq__(self, other):
        if isinstance(other, (list, tuple, ListConfig)):
            return _plain(self) == (_plain(other) if isinstance(other, _Container) else list(other))
        return other is None and self._is_none()

    @classmethod
    def _make(cls, content=None, **_):
        return _root(list(content or []))


def _root(content):
    kind = ("dictconfig", "DictConfig", dict, {}) if isinstance(content, dict) else ("listconfig", "ListConfig", list, [])
    new = _new_object(_class_for(f"omegaconf.{kind[0]}", kind[1], False))
    new.__dict__["_metadata"] = _metadata(None, "ContainerMetadata", None, kind[2])
    new.__dict__["_parent"] = None
    new.__dict__["_content"] = kind[3]
    if isinstance(content, dict):
        for key, value in content.items():
            new.__dict__["_content"][key] = new._wrap(key, value)
    else:
        for place, value in enumerate(content):
            new.__dict__["_content"].append(new._wrap(place, value))
    return new


def _plain(config, resolve=False):
    content = config.__dict__["_content"]

    def value(key, node):
        if isinstance(node, _Container):
            return _plain(node, resolve)
        raw = node._value() if isinstance(node, _Node) else node
        return _resolve(config, raw) if resolve and _is_interpolation(raw) else raw

    if isinstance(content, dict):
        return {key: value(key, node) for key, node in content.items()}
    if isinstance(content, list):
        return [value(place, node) for place, node in enumerate(content)]
    return content


BASES = {"DictConfig": DictConfig, "ListConfig": ListConfig}
for _name in "AnyNode ValueNode StringNode IntegerNode FloatNode BooleanNode BytesNode PathNode EnumNode".split():
    BASES[_name] = _Node


class OmegaConf:
    @staticmethod
    def create(content=None, **_):
        if isinstance(content, _Container):
            return _deepcopy(content, {})
        return _root({} if content is None else content)

    @staticmethod
    def to_container(config, resolve=False, **_):
        return _plain(config, resolve)

    to_object = to_container

    @staticmethod
    def is_config(value):
        return isinstance(value, _Container)

    @staticmethod
    def is_dict(value):
        return isinstance(value, DictConfig)

    @staticmethod
    def is_list(value):
        return isinstance(value, ListConfig)

    @staticmethod
    def is_missing(config, key):
        node = config._items_of()[key]
        return isinstance(node, _Node) and isinstance(node._value(), str) and node._value() == MISSING

    @staticmethod
    def is_interpolation(config, key=None):
        node = config._items_of()[key]
        return _is_interpolation(node._value() if isinstance(node, _Node) else node.__dict__["_content"])

    @staticmethod
    def select(config, key, default=None, **_):
        return _select(config, key, default)

    @staticmethod
    def update(config, key, value, **_):
        *path, last = key.split(".")
        for step in path:
            if config.get(step) is None:
                config[step] = {}
            config = config[step]
        config[last] = value

    @staticmethod
    def merge(*configs):
        out = OmegaConf.create(configs[0] if isinstance(configs[0], _Container) else dict(configs[0]))
        for config in configs[1:]:
            _merge(out, config)
        return out

    @staticmethod
    def set_struct(config, value):
        config.__dict__["_metadata"].__dict__["flags"] = _flags(config, "struct", value)

    @staticmethod
    def set_readonly(config, value):
        config.__dict__["_metadata"].__dict__["flags"] = _flags(config, "readonly", value)

    @staticmethod
    def resolve(config):
        for key in config.keys() if isinstance(config, DictConfig) else range(len(config)):
            if OmegaConf.is_interpolation(config, key):
                config[key] = config[key]
            elif isinstance(config[key], _Container):
                OmegaConf.resolve(config[key])


def _flags(config, name, value):
    flags = dict(config.__dict__["_metadata"].__dict__.get("flags") or {})
    if value is None:
        flags.pop(name, None)
    else:
        flags[name] = value
    return flags


def _merge(into, other):
    for key in list(other.keys()):
        value = other._items_of()[key] if isinstance(other, DictConfig) else other[key]
        if isinstance(value, _Node):
            value = value._value()
        old = into._items_of().get(key)
        if isinstance(old, DictConfig) and isinstance(value, (dict, DictConfig)):
            _merge(old, value)
        else:
            into[key] = value


class flag_override:
    """Sets flags for a while."""

    def __init__(self, config, names, values):
        names = [names] if isinstance(names, str) else names
        values = [values] * len(names) if values is None or isinstance(values, bool) else values
        self._config = config
        self._flags = dict(zip(names, values))

    def __enter__(self):
        self._fields = self._config.__dict__["_metadata"].__dict__
        self._before = self._fields.get("flags")
        self._fields["flags"] = {**(self._before or {}), **self._flags}
        return self._config

    def __exit__(self, *args):
        self._fields["flags"] = self._before


def open_dict(config):
    return flag_override(config, "struct", False)


def read_write(config):
    return flag_override(config, "readonly", False)


def __getattr__(name):
    modules = {"AnyNode": "nodes", "ContainerMetadata": "base", "Metadata": "base", "Node": "base", "Container": "base"}
    if name.startswith("__"):
        raise AttributeError(name)
    return _class_for(f"omegaconf.{modules.get(name, 'nodes')}", name, False)


_abc.MutableMapping.register(DictConfig)
_abc.MutableSequence.register(ListConfig)
_DictBase, _ListBase = DictConfig, ListConfig
DictConfig = _class_for("omegaconf.dictconfig", "DictConfig", False)
ListConfig = _class_for("omegaconf.listconfig", "ListConfig", False)
