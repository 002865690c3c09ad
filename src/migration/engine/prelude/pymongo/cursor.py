from ckstore_documents import Cursor

__all__ = ["Cursor"]
