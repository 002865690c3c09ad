"""Paths as text: nothing here looks at a file system."""

import re

import ckstore_objects as _objects


class PurePath:
    """A path."""

    _separator = "/"

    def __new__(cls, *parts):
        if cls in (PurePath, Path):
            cls = PurePosixPath if cls is PurePath else PosixPath
        new = object.__new__(cls)
        new._set(parts)
        return new

    def _set(self, parts):
        texts = []
        for part in parts:
            text = part if isinstance(part, str) else part.__fspath__()
            if not isinstance(text, str):
                raise TypeError(f"argument should be a str or an os.PathLike object, not {type(part).__name__!r}")
            if self._separator == "\\":
                text = text.replace("/", "\\")
            texts.append(text)
        drive, root, names = "", "", []
        for text in texts:
            own_drive, own_root, rest = self._split(text)
            if own_root or own_drive and own_drive.lower() != drive.lower():
                drive, root, names = own_drive or drive, own_root, []
            elif own_drive:
                drive = own_drive
            names.extend(name for name in rest.split(self._separator) if name and name != ".")
        self.drive, self.root, self._names = drive, root, names

    def _split(self, text):
        if not text.startswith("/"):
            return "", "", text
        root = "//" if text.startswith("//") and not text.startswith("///") else "/"
        return "", root, text.lstrip("/")

    def _made(self, names):
        new = object.__new__(type(self))
        new.drive, new.root, new._names = self.drive, self.root, list(names)
        return new

    @property
    def anchor(self):
        return self.drive + self.root

    @property
    def parts(self):
        return ((self.anchor,) if self.anchor else ()) + tuple(self._names)

    @property
    def name(self):
        return self._names[-1] if self._names else ""

    @property
    def suffix(self):
        name = self.name
        at = name.rfind(".")
        return name[at:] if 0 < at < len(name) - 1 else ""

    @property
    def suffixes(self):
        name = self.name
        return [] if name.endswith(".") else ["." + part for part in name.lstrip(".").split(".")[1:]]

    @property
    def stem(self):
        return self.name[: len(self.name) - len(self.suffix)]

    @property
    def parent(self):
        return self._made(self._names[:-1])

    @property
    def parents(self):
        return tuple(self._made(self._names[:count]) for count in reversed(range(len(self._names))))

    def joinpath(self, *others):
        return type(self)(self, *others)

    def __truediv__(self, other):
        if not isinstance(other, (str, PurePath)):
            return NotImplemented
        return type(self)(self, other)

    def __rtruediv__(self, other):
        if not isinstance(other, (str, PurePath)):
            return NotImplemented
        return type(self)(other, self)

    def with_name(self, name):
        if not self.name:
            raise ValueError(f"{self!r} has an empty name")
        if not name or self._separator in name or name == ".":
            raise ValueError(f"Invalid name {name!r}")
        return self._made(self._names[:-1] + [name])

    def with_stem(self, stem):
        return self.with_name(stem + self.suffix)

    def with_suffix(self, suffix):
        if suffix and not suffix.startswith(".") or suffix == ".":
            raise ValueError(f"Invalid suffix {suffix!r}")
        return self.with_name(self.stem + suffix)

    def with_segments(self, *parts):
        return type(self)(*parts)

    def as_posix(self):
        return str(self).replace("\\", "/")

    def is_absolute(self):
        return bool(self.root)

    def _folded(self):
        return self.drive, self.root, self._names

    def is_relative_to(self, *other):
        drive, root, names = type(self)(*other)._folded()
        own_drive, own_root, own = self._folded()
        return (own_drive, own_root, own[: len(names)]) == (drive, root, names)

    def relative_to(self, *other):
        base = type(self)(*other)
        if not self.is_relative_to(base):
            raise ValueError(f"{str(self)!r} is not in the subpath of {str(base)!r}")
        new = object.__new__(type(self))
        new.drive, new.root, new._names = "", "", self._names[len(base._names) :]
        return new

    def match(self, pattern):
        import fnmatch

        wanted = type(self)(pattern).parts
        own = self.parts
        if not wanted:
            raise ValueError("empty pattern")
        if len(wanted) > len(own) or wanted[0].startswith("/") and len(wanted) != len(own):
            return False
        return all(re.match(fnmatch.translate(w), o) for w, o in zip(reversed(wanted), reversed(own)))

    def __fspath__(self):
        return str(self)

    def __str__(self):
        return self.anchor + self._separator.join(self._names) or "."

    def __bytes__(self):
        return str(self).encode()

    def __repr__(self):
        return f"{type(self).__name__}({self.as_posix()!r})"

    def __eq__(self, other):
        if not isinstance(other, PurePath) or other._separator != self._separator:
            return NotImplemented
        return self._folded() == other._folded()

    def __hash__(self):
        return hash(str(self))

    def __lt__(self, other):
        return self.parts < other.parts if isinstance(other, PurePath) else NotImplemented

    def __le__(self, other):
        return self.parts <= other.parts if isinstance(other, PurePath) else NotImplemented

    def __gt__(self, other):
        return self.parts > other.parts if isinstance(other, PurePath) else NotImplemented

    def __ge__(self, other):
        return self.parts >= other.parts if isinstance(other, PurePath) else NotImplemented

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


class PurePosixPath(PurePath):
    pass


class PureWindowsPath(PurePath):
    _separator = "\\"

    def _split(self, text):
        drive = text[:2] if text[1:2] == ":" else ""
        rest = text[len(drive) :]
        if not drive and text.startswith("\\\\"):
            host, _, rest = text[2:].partition("\\")
            share, _, rest = rest.partition("\\")
            return f"\\\\{host}\\{share}", "\\", rest
        root = "\\" if rest.startswith("\\") else ""
        return drive, root, rest.lstrip("\\")

    def _folded(self):
        return self.drive.lower(), self.root, [name.lower() for name in self._names]

    def __hash__(self):
        return hash(str(self).lower())


def _refused(name):
    def method(self, *_, **__):
        raise _objects.unavailable(f"pathlib.Path.{name}")

    return method


class Path(PurePath):
    """A path of this system; what would look at a file is refused."""

    @classmethod
    def cwd(cls):
        raise _objects.unavailable("pathlib.Path.cwd")

    home = cwd


for _name in (
    "exists is_file is_dir is_symlink stat lstat resolve absolute open read_text read_bytes write_text write_bytes mkdir "
    "rmdir unlink rename replace touch iterdir glob rglob walk expanduser samefile owner group chmod readlink symlink_to "
    "hardlink_to is_mount"
).split():
    setattr(Path, _name, _refused(_name))


class PosixPath(Path, PurePosixPath):
    pass


class WindowsPath(Path, PureWindowsPath):
    pass


for _class in (PurePath, PurePosixPath, PureWindowsPath, Path, PosixPath, WindowsPath):
    _objects._paths[_class] = ("pathlib", _class.__name__)
