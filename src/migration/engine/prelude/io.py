"""Text and bytes in memory; there are no files."""

from _io import BytesIO, StringIO

from ckstore_runtime import missing as _missing

SEEK_SET, SEEK_CUR, SEEK_END = 0, 1, 2
DEFAULT_BUFFER_SIZE = 8192
__all__ = ["BytesIO", "StringIO"]


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    raise _missing(f"io.{name}", f"`io.{name}` is not available in the sandbox", NotImplementedError)
