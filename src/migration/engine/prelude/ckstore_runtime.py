"""Closes the interpreter and calls the script's functions."""

import sys

import _ckstore
import ckstore_families
import ckstore_modules
import ckstore_objects

# Modules of the standard library that touch the host, or that nobody supplies here.
_HOST = frozenset(
    """
    aifc antigravity array asynchat asyncio asyncore atexit audioop base64 bdb binascii bz2 cProfile calendar cgi cgitb
    chunk cmath cmd code codeop colorsys compileall compression concurrent configparser contextvars crypt csv ctypes
    curses dbm decimal difflib dis distutils doctest email ensurepip faulthandler fcntl filecmp fileinput
    ftplib gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib hmac html http idlelib imaplib imghdr
    imp ipaddress linecache locale lzma mailbox mailcap marshal mimetypes mmap modulefinder msilib msvcrt
    multiprocessing netrc nis nntplib nt ntpath nturl2path opcode optparse os ossaudiodev parser pdb pickle
    pickletools pipes pkgutil platform plistlib poplib posix posixpath profile pstats pty pwd py_compile pyclbr
    pydoc queue quopri random readline resource rlcompleter runpy sched secrets select selectors shelve shlex shutil
    signal site smtpd smtplib sndhdr socket socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat
    statistics stringprep struct subprocess sunau symtable sysconfig syslog tabnanny tarfile telnetlib tempfile
    termios test threading time timeit tkinter tokenize tomllib trace traceback tracemalloc tty turtle
    turtledemo unicodedata unittest urllib uu uuid venv wave webbrowser winreg winsound wsgiref xdrlib xml xmlrpc
    zipapp zipfile zlib zoneinfo
    pandas scipy xarray requests yaml h5py zarr dask psutil boto3 botocore s3fs fsspec httpx aiohttp
    tensorflow jax safetensors transformers
    """.split()
)


def missing(name, message, base=ImportError):
    """The exception for something that the sandbox does not have."""
    error = base(message)
    error.ckstore_missing = name
    return error


def unavailable(name):
    return missing(name, f"`{name}` is not available in the sandbox", NotImplementedError)


def refusal(name, message):
    """The exception for something that a checkpoint cannot tell or hold."""
    return missing(name, message, NotImplementedError)


ckstore_objects.unavailable = unavailable
ckstore_objects.refusal = refusal


class _Finder:
    """Answers last: host modules are refused by name, packages of the checkpoint's classes are stood for."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        top = fullname.partition(".")[0]
        if top in _HOST:
            raise missing(fullname, f"`{fullname}` is not available in the sandbox")
        if top.startswith("_") or top in sys.builtin_module_names or top in _OURS:
            return None
        return _spec(fullname, _Loader, is_package=True)


class _Loader:
    @staticmethod
    def create_module(spec):
        return ckstore_objects.Package(spec.name)

    @staticmethod
    def exec_module(module):
        pass


_spec = None
_OURS = frozenset()


class _Absent(type(sys)):
    """In place of a module of the host."""

    def __getattr__(self, name):
        raise unavailable(f"{self.__name__}.{name}")


class _Printed:
    """Where `print` goes."""

    encoding = "utf-8"
    errors = "replace"

    def write(self, text):
        _ckstore.print_text(text)
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return False


def harden():
    """Removes what could still reach out, once everything that needs it is loaded."""
    global _spec, _OURS
    import _collections
    import _frozen_importlib

    _spec = _frozen_importlib.ModuleSpec
    _collections.OrderedDict = ckstore_objects.OrderedDict
    # `contextlib` names the system's module for one class of its own.
    sys.modules["os"] = _Absent("os")
    import contextlib  # noqa: F401
    import types

    del sys.modules["os"]
    types.SimpleNamespace = ckstore_objects.class_for("types", "SimpleNamespace", False)
    _OURS = frozenset(("ckstore_objects", "ckstore_runtime", "ckstore_tensor", "inspect", "logging", "math", "argparse", "collections"))
    _OURS |= frozenset(("ckstore_families", "ckstore_modules", "ckstore_values", "datetime", "fnmatch", "io", "warnings", "numpy", "pathlib"))
    # What is not among the kept modules cannot come back.
    for name in ("time", "marshal", "gc", "atexit"):
        sys.modules.pop(name, None)
    sys.stdin = sys.__stdin__ = None
    sys.stdout = sys.__stdout__ = sys.stderr = sys.__stderr__ = _Printed()
    sys.path[:] = []
    sys.path_hooks[:] = []
    sys.meta_path.append(_Finder)


class _Script(type(sys)):
    """The script as a module, for whatever looks its classes' module up."""

    def __init__(self, name, namespace):
        super().__init__(name)
        object.__setattr__(self, "_namespace", namespace)

    def __getattribute__(self, name):
        namespace = object.__getattribute__(self, "_namespace")
        if name == "__dict__":
            return namespace
        try:
            return namespace[name]
        except KeyError:
            raise AttributeError(name) from None


def register(name, namespace):
    """Makes the script a module that its own classes can name."""
    sys.modules[name] = _Script(name, namespace)


def setup(function):
    """Runs `migrate_setup` and returns the moves of modules and of classes, old path to new."""
    from anemoi.models.migrations import MigrationContext

    context = MigrationContext()
    function(context)
    ckstore_objects.deleted_modules.extend(context.deleted_modules)
    ckstore_objects.deleted_attributes.extend(context.deleted_attributes)
    return context.module_paths, context.attribute_paths


def call(function, ckpt):
    """Calls a function of the script; one that asks for a model gets none. Returns whether it asked, too."""
    code = getattr(function, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    if len(names) > 1 and names[1] == "model":
        return function(ckpt, None), True
    return function(ckpt), False
