"""Modules of torch as a pickle keeps them: `_parameters`, `_buffers` and `_modules`, and the names of a state dict."""

import ckstore_objects as _objects
from _ckstore import TensorBase, detach
from ckstore_objects import Instance, OrderedDict


class Module(Instance):
    """A pickled `torch.nn.Module`; its code is not here and is not run."""

    def __getattr__(self, name):
        own = self.__dict__
        for part in ("_parameters", "_buffers", "_modules"):
            if name in own.get(part, ()):
                return own[part][name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name, value):
        own = self.__dict__
        parts = [own[part] for part in ("_parameters", "_buffers", "_modules") if part in own]
        if isinstance(value, TensorBase) and value._parameter:
            target = own["_parameters"]
        elif isinstance(value, Module):
            target = own["_modules"]
        elif name in own.get("_parameters", ()):
            if value is not None:
                raise TypeError(f"cannot assign '{type(value).__name__}' as parameter '{name}' (torch.nn.Parameter or None expected)")
            target = own["_parameters"]
        elif name in own.get("_modules", ()):
            if value is not None:
                raise TypeError(f"cannot assign '{type(value).__name__}' as child module '{name}' (torch.nn.Module or None expected)")
            target = own["_modules"]
        elif name in own.get("_buffers", ()):
            if value is not None and not isinstance(value, TensorBase):
                raise TypeError(f"cannot assign '{type(value).__name__}' object to buffer '{name}' (torch.Tensor or None expected)")
            target = own["_buffers"]
        else:
            own[name] = value
            return
        for part in [own, *parts]:
            if part is not target:
                part.pop(name, None)
        target[name] = value

    def __delattr__(self, name):
        own = self.__dict__
        for part in ("_parameters", "_buffers", "_modules"):
            if name in own.get(part, ()):
                del own[part][name]
                own.get("_non_persistent_buffers_set", set()).discard(name)
                return
        if name not in own:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        del own[name]

    def _steps(self):
        """The modules below by name, parents first; one that is reached twice counts twice."""
        todo, path = [("", self, ())], []
        while todo:
            name, module, above = todo.pop()
            if any(module is other for other in above):
                continue
            path.append((name, module))
            below = [(f"{name}.{step}" if name else step, child) for step, child in module.__dict__["_modules"].items()]
            todo.extend((inner, child, above + (module,)) for inner, child in reversed(below) if isinstance(child, Module))
        return path

    def _entries(self, part):
        """Name, module, leaf and tensor of each parameter or buffer that is there."""
        for name, module in self._steps():
            for leaf, tensor in module.__dict__[part].items():
                if tensor is not None:
                    yield (f"{name}.{leaf}" if name else leaf), module, leaf, tensor

    def _kept(self):
        """What a state dict holds: name, module, part, leaf and tensor, in torch's order."""
        for name, module in self._steps():
            own = module.__dict__
            for part in ("_parameters", "_buffers"):
                passing = own.get("_non_persistent_buffers_set", ()) if part == "_buffers" else ()
                for leaf, tensor in own[part].items():
                    if tensor is not None and leaf not in passing:
                        yield (f"{name}.{leaf}" if name else leaf), module, part, leaf, tensor

    def state_dict(self, *, prefix="", keep_vars=False):
        if root is not None and self is root.module:
            return root.view()
        made = OrderedDict()
        for name, _, _, _, tensor in self._kept():
            made[prefix + name] = tensor if keep_vars else tensor.detach()
        return made

    def load_state_dict(self, state_dict, strict=True, assign=False):
        entries = {name: entry for name, *entry in self._kept()}
        missing, more = [n for n in entries if n not in state_dict], [n for n in state_dict if n not in entries]
        if strict and (missing or more):
            raise RuntimeError(f"Error(s) in loading state_dict: missing {missing}, unexpected {more}")
        for name, (module, part, leaf, old) in entries.items():
            if name in state_dict:
                module.__dict__[part][leaf] = _like(old, state_dict[name])

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def _named(self, part, prefix, recurse, remove_duplicate):
        seen = set()
        for name, module, _, tensor in list(self._entries(part)):
            if (recurse or module is self) and not (remove_duplicate and id(tensor) in seen):
                seen.add(id(tensor))
                yield (f"{prefix}.{name}" if prefix else name), tensor

    def parameters(self, recurse=True):
        return (tensor for _, tensor in self.named_parameters(recurse=recurse))

    def buffers(self, recurse=True):
        return (tensor for _, tensor in self.named_buffers(recurse=recurse))

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        seen = set()
        for name, module in self._steps():
            if not (remove_duplicate and id(module) in seen):
                seen.add(id(module))
                yield (".".join(filter(None, (prefix, name)))), module

    def modules(self):
        return (module for _, module in self.named_modules())

    def named_children(self):
        return iter([(name, child) for name, child in self.__dict__["_modules"].items() if child is not None])

    def children(self):
        return (child for _, child in self.named_children())

    def get_submodule(self, target):
        module = self
        for step in target.split(".") if target else ():
            module = getattr(module, step)
            if not isinstance(module, Module):
                raise AttributeError(f"`{step}` is not an nn.Module")
        return module

    def get_parameter(self, target):
        path, _, leaf = target.rpartition(".")
        return self.get_submodule(path).__dict__["_parameters"][leaf]

    def get_buffer(self, target):
        path, _, leaf = target.rpartition(".")
        return self.get_submodule(path).__dict__["_buffers"][leaf]

    def register_parameter(self, name, param):
        self.__dict__["_parameters"][name] = param

    def register_buffer(self, name, tensor, persistent=True):
        own = self.__dict__
        own["_buffers"][name] = tensor
        passing = own["_non_persistent_buffers_set"]
        passing.discard(name) if persistent else passing.add(name)

    def add_module(self, name, module):
        self.__dict__["_modules"][name] = module

    register_module = add_module

    def train(self, mode=True):
        for _, module in self._steps():
            module.__dict__["training"] = mode
        return self

    def eval(self):
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def _holds(self):
        """The modules of a container, as torch's own three are; other classes may mean anything."""
        name = type(self).__name__
        if name not in ("Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"):
            raise TypeError(f"{name!r} object is not subscriptable")
        if name.startswith("Parameter"):
            raise _objects.unavailable(f"an item of a torch.nn.{name}")
        return self.__dict__["_modules"], name == "ModuleDict"

    def __getitem__(self, key):
        if root is not None and self is root.module:
            return root[key]
        held, by_name = self._holds()
        if not by_name and isinstance(key, slice):
            raise _objects.unavailable("a slice of modules")
        return held[key] if by_name else list(held.values())[key]

    def __setitem__(self, key, value):
        if root is not None and self is root.module:
            root[key] = value
            return
        held, by_name = self._holds()
        held[key if by_name else list(held)[key]] = value

    def __delitem__(self, key):
        if root is not None and self is root.module:
            del root[key]
            return
        held, by_name = self._holds()
        if by_name:
            del held[key]
            return
        modules = list(held.values())
        del modules[key]
        self.__dict__["_modules"] = OrderedDict((str(place), module) for place, module in enumerate(modules))

    def __len__(self):
        return len(self._holds()[0])

    def __iter__(self):
        if root is not None and self is root.module:
            return iter(root)
        held, by_name = self._holds()
        return iter(list(held) if by_name else list(held.values()))

    def __contains__(self, key):
        if root is not None and self is root.module:
            return key in root
        held, by_name = self._holds()
        return key in held if by_name else any(key is module for module in held.values())

    def get(self, key, default=None):
        if root is None or self is not root.module:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute 'get'")
        return root[key] if key in root else default

    def keys(self):
        if root is not None and self is root.module:
            return list(root)
        return self._holds()[0].keys()

    def values(self):
        return self._holds()[0].values()

    def items(self):
        return self._holds()[0].items()

    def append(self, module):
        held, _ = self._holds()
        held[str(len(held))] = module
        return self


def _like(old, new):
    """A tensor in the place of another: a parameter stays one."""
    if isinstance(old, TensorBase) and old._parameter and not new._parameter:
        return detach(new, old.requires_grad, True)
    return new


class _Root:
    """A checkpoint that is a module: the state dict that a script edits, and what it means for the tree."""

    def __init__(self, module):
        self.module = module
        self._view = None
        self._before = list(module._kept())

    def view(self):
        if self._view is None:
            self._view = OrderedDict((name, tensor) for name, _, _, _, tensor in self._before)
        return self._view

    def __contains__(self, key):
        return key == "state_dict" or key == "hyper_parameters" and bool(self._attributes())

    def __iter__(self):
        return iter([key for key in ("state_dict", "hyper_parameters") if key in self])

    def __getitem__(self, key):
        if key == "state_dict":
            return self.view()
        if key == "hyper_parameters" and self._attributes():
            return _Attributes(self.module)
        raise KeyError(key)

    def __setitem__(self, key, value):
        if key != "state_dict" or not isinstance(value, dict):
            raise _objects.refusal(f"ckpt[{key!r}]", f"a module has no place for `{key}`: only `state_dict` can be set")
        self._view = value

    def __delitem__(self, key):
        raise _objects.refusal(f"ckpt[{key!r}]", f"`{key}` of a module cannot be deleted")

    def _attributes(self):
        return [name for name in self.module.__dict__ if _is_own(name)]


_TORCH = frozenset(("training", "call_super_init", "dump_patches"))


def _is_own(name):
    return not name.startswith("_") and name not in _TORCH


class _Attributes:
    """The attributes of a module that are not torch's: what a training checkpoint keeps as `hyper_parameters`."""

    def __init__(self, module):
        self._own = module.__dict__

    def __getitem__(self, key):
        if key not in self:
            raise KeyError(key)
        return self._own[key]

    def __setitem__(self, key, value):
        if not _is_own(key):
            raise KeyError(key)
        self._own[key] = value

    def __delitem__(self, key):
        if key not in self:
            raise KeyError(key)
        del self._own[key]

    def __contains__(self, key):
        return _is_own(key) and key in self._own

    def __iter__(self):
        return iter(self.keys())

    def __len__(self):
        return len(self.keys())

    def keys(self):
        return [name for name in self._own if _is_own(name)]

    def values(self):
        return [self._own[name] for name in self.keys()]

    def items(self):
        return [(name, self._own[name]) for name in self.keys()]

    def get(self, key, default=None):
        return self._own[key] if key in self else default

    def pop(self, key, *default):
        if key in self or not default:
            value = self[key]
            del self._own[key]
            return value
        return default[0]

    def setdefault(self, key, default=None):
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args, **kwargs):
        for key, value in dict(*args, **kwargs).items():
            self[key] = value


root = None


def open_root(value):
    """Lets a script see the checkpoint itself as a mapping, where that is a module."""
    global root
    if isinstance(value, Module):
        root = _Root(value)


def commit():
    """Brings the tree of modules to the names that the script left in the state dict."""
    if root is None or root._view is None:
        return
    after, before = root._view, root._before
    for name, tensor in after.items():
        if not isinstance(name, str) or not isinstance(tensor, TensorBase):
            raise _objects.refusal(f"state_dict[{name!r}]", f"`{name}` in the state dict of a module is no tensor")
    now = list(root.module._kept())
    if [entry[0] for entry in now] != [entry[0] for entry in before] or any(a[4] is not b[4] for a, b in zip(now, before)):
        if [(name, id(tensor)) for name, tensor in after.items()] != [(name, id(entry)) for name, _, _, _, entry in before]:
            raise _objects.refusal("state_dict", "the script changed both the modules and their state dict")
        return
    _rearrange(root.module, before, _origins(before, after), after)


def _origins(before, after):
    """Where each name of before went, by the identity of its tensor; names that stay come first."""
    free = {}
    for name, tensor in after.items():
        free.setdefault(id(tensor), []).append(name)
    went = {}
    for name, _, _, _, tensor in before:
        if after.get(name) is tensor:
            free[id(tensor)].remove(name)
            went[name] = name
    for name, _, _, _, tensor in before:
        if name not in went and free.get(id(tensor)):
            went[name] = free[id(tensor)].pop(0)
    return went


def _below(path, names):
    start = path + "." if path else ""
    return [name for name in names if name.startswith(start)]


def _rearrange(module, before, went, after):
    names = [entry[0] for entry in before]
    stayed = {name for name in names if went.get(name) == name or name not in went and name in after}
    # The largest modules all of whose names moved alike move as a whole.
    moves, gone, settled = {}, [], []
    for path, inner in module._steps():
        own = _below(path, names)
        if not path or not own or any(path.startswith(done + ".") for done in settled):
            continue
        if all(name in stayed for name in own):
            settled.append(path)
            continue
        if all(name not in went and name not in after for name in own):
            gone.append(path)
            settled.append(path)
            continue
        to = went.get(own[0])
        tail = own[0][len(path) :]
        if to is not None and to.endswith(tail) and to != tail.lstrip("."):
            new = to[: len(to) - len(tail)]
            if new and all(went.get(name) == new + name[len(path) :] for name in own):
                moves[path] = new
                settled.append(path)
    _move_modules(module, moves, gone)
    _settle_leaves(module, before, went, after, moves, gone)


def _parent(module, path, name):
    """The module that holds what is called `path`."""
    above, _, leaf = path.rpartition(".")
    inner = module
    for step in above.split(".") if above else ():
        inner = inner.__dict__["_modules"].get(step)
        if inner is None:
            raise _objects.refusal(f"state_dict[{name!r}]", f"`{name}`: there is no module `{above}` that could hold it")
    return inner, leaf


def _renamed(held, old, new):
    """Another name for an item in its place."""
    items = [(new if key == old else key, value) for key, value in held.items()]
    held.clear()
    held.update(items)


def _move_modules(module, moves, gone):
    for path in gone:
        holder, step = _parent(module, path, path)
        del holder.__dict__["_modules"][step]
    # All leave before any arrives, so that two can change places.
    taken, in_place = {}, []
    for old, new in moves.items():
        holder, step = _parent(module, old, old)
        held = holder.__dict__["_modules"]
        if old.rpartition(".")[0] == new.rpartition(".")[0]:
            in_place.append((held, step, new.rpartition(".")[2]))
        else:
            taken[new] = held.pop(step)
    groups = {}
    for held, old, new in in_place:
        groups.setdefault(id(held), (held, {}))[1][old] = new
    for held, names in groups.values():
        items = [(names.get(key, key), value) for key, value in held.items() if names.get(key, key) not in names.values() or key in names]
        if len({key for key, _ in items}) != len(items) or len(items) != len(held):
            raise _objects.refusal("state_dict", "two modules would have one name")
        held.clear()
        held.update(items)
    for new, inner in taken.items():
        holder, step = _parent(module, new, new)
        if step in holder.__dict__["_modules"] or step in holder.__dict__["_parameters"]:
            raise _objects.refusal(f"state_dict[{new!r}]", f"`{new}`: two modules would have one name")
        holder.__dict__["_modules"][step] = inner


def _settle_leaves(module, before, went, after, moves, gone):
    def current(name):
        for old, new in moves.items():
            if name.startswith(old + "."):
                return new + name[len(old) :]
        return name

    where = {current(name): (name, inner, part, leaf, tensor) for name, inner, part, leaf, tensor in before}
    origin = {to: name for name, to in went.items()}
    arrivals = []
    for name, tensor in after.items():
        entry = where.get(name)
        if entry is not None and (went.get(entry[0]) == name or entry[0] not in went and name not in origin):
            _, inner, part, leaf, old = entry
            if old is not tensor:
                inner.__dict__[part][leaf] = _like(old, tensor)
            continue
        arrivals.append((name, tensor, origin.get(name)))
    leaving = {}
    for name, (old_name, inner, part, leaf, tensor) in where.items():
        if name in after and not any(name == arrival for arrival, _, _ in arrivals):
            continue
        if any(old_name.startswith(path + ".") for path in gone):
            continue
        leaving[old_name] = (inner, part, leaf)
    for name, tensor, old_name in arrivals:
        holder, leaf = _parent(module, name, name)
        if old_name in leaving:
            inner, part, old_leaf = leaving[old_name]
            if inner is holder and leaf not in inner.__dict__[part]:
                _renamed(inner.__dict__[part], old_leaf, leaf)
                del leaving[old_name]
    for inner, part, leaf in leaving.values():
        inner.__dict__[part].pop(leaf, None)
    for name, tensor, old_name in arrivals:
        holder, leaf = _parent(module, name, name)
        own = holder.__dict__
        if any(own[part].get(leaf) is tensor for part in ("_parameters", "_buffers")):
            continue
        if leaf in own["_modules"] or leaf in own and leaf not in ("_parameters", "_buffers"):
            raise _objects.refusal(f"state_dict[{name!r}]", f"`{name}` would hide a module or an attribute")
        part = "_parameters" if tensor._parameter else "_buffers"
        other = "_buffers" if tensor._parameter else "_parameters"
        own[other].pop(leaf, None)
        own[part][leaf] = tensor


_objects.FAMILIES["module"] = Module
