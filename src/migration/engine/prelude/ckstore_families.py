"""Families of classes that keep their content in a way of their own, as the checkpoint's graph shows."""

import ckstore_objects as _objects
from _ckstore import copy_object, new_object, outer_state, set_outer_state
from ckstore_objects import ClassMeta, Instance


def _unknown(what):
    return _objects.refusal(what, f"{what} is not in the checkpoint")


class SlotInstance(Instance):
    """An instance whose attributes are in slots, some or all of them."""

    def _both(self):
        return outer_state(self)

    @property
    def __dict__(self):
        own = outer_state(self)[0]
        if own is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute '__dict__'")
        return own

    def __getattr__(self, name):
        own, slots = outer_state(self)
        if name in slots:
            return slots[name]
        if own is not None and name in own:
            return own[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name, value):
        own, slots = outer_state(self)
        if name in slots:
            slots[name] = value
        elif own is not None:
            own[name] = value
        else:
            raise _unknown(f"a slot `{name}` of {type(self).__name__}")

    def __delattr__(self, name):
        own, slots = outer_state(self)
        if name in slots:
            del slots[name]
        elif own is not None and name in own:
            del own[name]
        else:
            raise AttributeError(name)

    def _copied(self, change):
        own, slots = outer_state(self)
        new = copy_object(self, {})
        set_outer_state(new, (change(own), change(slots)))
        return new

    def __copy__(self):
        return self._copied(lambda part: None if part is None else dict(part))

    def __deepcopy__(self, memo):
        from copy import deepcopy

        return self._copied(lambda part: deepcopy(part, memo))

    def _ckstore_parts(self, is_shown):
        path = _objects._paths[type(self)]
        return None if is_shown else (*path, (), outer_state(self), None, True)


class Pydantic(Instance):
    """A model of pydantic, version 2."""

    _FIELDS_SET, _EXTRA, _PRIVATE = "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"

    def __getattr__(self, name):
        state = outer_state(self)
        if name.startswith("__pydantic_") and name in state:
            return state[name]
        for part in (self._PRIVATE, self._EXTRA):
            if name in (state.get(part) or ()):
                return state[part][name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name, value):
        state = outer_state(self)
        own, extra, private = self.__dict__, state.get(self._EXTRA), state.get(self._PRIVATE)
        if name.startswith("_"):
            if private is None or name not in private:
                raise _unknown(f"a private attribute `{name}` of {type(self).__name__}")
            private[name] = value
        elif name in own:
            own[name] = value
            state[self._FIELDS_SET].add(name)
        elif extra is not None:
            extra[name] = value
            state[self._FIELDS_SET].add(name)
        else:
            raise ValueError(f'"{type(self).__name__}" object has no field "{name}"')

    def __delattr__(self, name):
        state = outer_state(self)
        for part in (self._PRIVATE, self._EXTRA):
            if name in (state.get(part) or ()):
                del state[part][name]
                return
        if name not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        del self.__dict__[name]

    @property
    def model_fields_set(self):
        return outer_state(self)[self._FIELDS_SET]

    @property
    def model_extra(self):
        return outer_state(self).get(self._EXTRA)

    def __iter__(self):
        yield from [(name, value) for name, value in self.__dict__.items() if not name.startswith("_")]
        yield from (outer_state(self).get(self._EXTRA) or {}).items()

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        mine, theirs = outer_state(self), outer_state(other)
        parts = (self._EXTRA, self._PRIVATE)
        return self.__dict__ == other.__dict__ and all(mine.get(part) == theirs.get(part) for part in parts)

    __hash__ = None

    def model_dump(self, *, include=None, exclude=None, exclude_unset=False, exclude_none=False, **others):
        if any(others.values()):
            raise _objects.unavailable("this option of model_dump")
        items = {}
        for name, value in self:
            if include is not None and name not in include or exclude is not None and name in exclude:
                continue
            if exclude_unset and name not in self.model_fields_set or exclude_none and value is None:
                continue
            items[name] = _dumped(value, exclude_unset, exclude_none)
        return items

    def _copied(self, change):
        state = outer_state(self)
        new = copy_object(self, change(self.__dict__))
        inner = {name: new.__dict__ if name == "__dict__" else change(part) for name, part in state.items()}
        set_outer_state(new, inner)
        return new

    def __copy__(self):
        return self._copied(lambda part: part.copy() if isinstance(part, (dict, set)) else part)

    def __deepcopy__(self, memo):
        from copy import deepcopy

        return self._copied(lambda part: deepcopy(part, memo))

    def model_copy(self, *, update=None, deep=False):
        new = self.__deepcopy__({}) if deep else self.__copy__()
        for name, value in (update or {}).items():
            extra = outer_state(new).get(self._EXTRA)
            (new.__dict__ if extra is None or name in new.__dict__ else extra)[name] = value
            outer_state(new)[self._FIELDS_SET].add(name)
        return new

    def _ckstore_parts(self, is_shown):
        path = _objects._paths[type(self)]
        return None if is_shown else (*path, (), outer_state(self), None, True)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self)})"


def _dumped(value, exclude_unset, exclude_none):
    if isinstance(value, Pydantic):
        return value.model_dump(exclude_unset=exclude_unset, exclude_none=exclude_none)
    if isinstance(value, dict):
        return {k: _dumped(v, exclude_unset, exclude_none) for k, v in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(_dumped(item, exclude_unset, exclude_none) for item in value)
    return value


class OldPydantic(Pydantic):
    """A model of pydantic, version 1."""

    _FIELDS_SET, _EXTRA, _PRIVATE = "__fields_set__", "", "__private_attribute_values__"

    def __getattr__(self, name):
        state = outer_state(self)
        if name == "__fields_set__":
            return state[name]
        if name in (state.get(self._PRIVATE) or ()):
            return state[self._PRIVATE][name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name, value):
        if not name.startswith("_") and name not in self.__dict__:
            # Whether further fields are welcome is in the class.
            raise _unknown(f"a field `{name}` of {type(self).__name__}")
        Pydantic.__setattr__(self, name, value)

    def __delattr__(self, name):
        if name not in self.__dict__:
            raise AttributeError(name)
        del self.__dict__[name]

    def __iter__(self):
        yield from self.__dict__.items()

    def dict(self, **others):
        return Pydantic.model_dump(self, **others)

    def copy(self, *, update=None, deep=False, **_):
        return self.model_copy(update=update, deep=deep)


class Value(metaclass=ClassMeta):
    """What a class makes of one plain value, as the members of an enumeration are pickled."""

    @classmethod
    def _make(cls, *arguments):
        if len(arguments) != 1 or type(arguments[0]) not in (str, int, float, bool, bytes, tuple, type(None)):
            raise _objects.unavailable(f"{cls.__module__}.{cls.__qualname__}()")
        return value_of_class(cls, arguments[0])

    @property
    def value(self):
        return self._value_

    def __getattr__(self, name):
        if name == "name" or name == "_name_":
            raise _unknown(f"the name of a member of `{type(self).__qualname__}`")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name, value):
        raise AttributeError(f"<enum '{type(self).__name__}'> cannot set attribute {name!r}")

    def __eq__(self, other):
        if isinstance(other, Value):
            return self is other
        if isinstance(other, (str, int, float)):
            raise _unknown(f"whether a member of `{type(self).__qualname__}` equals a plain value")
        return False

    def __hash__(self):
        return hash(self._value_)

    def _plain(self, *_):
        raise _unknown(f"whether a member of `{type(self).__qualname__}` is a plain value too")

    __int__ = __index__ = __float__ = __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __or__ = __and__ = _plain
    __len__ = __iter__ = __getitem__ = __contains__ = __mul__ = __sub__ = __format__ = __str__ = _plain

    def __bool__(self):
        if not self._value_:
            self._plain()
        return True

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __repr__(self):
        return f"<{type(self).__name__}: {self._value_!r}>"

    def _ckstore_parts(self, is_shown):
        return None if is_shown else (*_objects._paths[type(self)], (self._value_,), _objects.NO_STATE, None)


_values = {}


def value_of_class(cls, value):
    """The one member of a class with a value."""
    try:
        key = (cls, type(value), value)
        found = _values.get(key)
    except TypeError:
        key, found = None, None
    if found is None:
        found = object.__new__(cls)
        object.__setattr__(found, "_value_", value)
        if key is not None:
            _values[key] = found
    return found


class TupleInstance(tuple, metaclass=ClassMeta):
    """An instance of a subclass of tuple, as `namedtuple` makes them: the names of its fields are in the class."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise _unknown(f"a field `{name}` of `{type(self).__qualname__}`")

    def __repr__(self):
        return f"{type(self).__name__}{tuple.__repr__(self)}"

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        from copy import deepcopy

        return tuple.__new__(type(self), [deepcopy(item, memo) for item in self])

    def _ckstore_parts(self, is_shown):
        return None if is_shown else (*_objects._paths[type(self)], tuple(self), _objects.NO_STATE, None, True)


def rebuild_value(cls, arguments):
    """An instance that is made by a call alone."""
    return tuple.__new__(cls, arguments) if issubclass(cls, TupleInstance) else value_of_class(cls, arguments[0])


def rebuild_member(outer, name):
    """What `getattr` gives of a class: a member of an enumeration, by its name."""
    return getattr(outer, name)


def know_enumerations():
    """Lets `isinstance(value, enum.Enum)` know the members that a checkpoint holds."""
    import enum

    def instancecheck(cls, instance):
        return type.__instancecheck__(cls, instance) or (cls is enum.Enum and isinstance(instance, Value))

    enum.EnumMeta.__instancecheck__ = instancecheck


_objects.FAMILIES.update({"slots": SlotInstance, "pydantic": Pydantic, "pydantic1": OldPydantic, "value": Value, "tuple": TupleInstance})
