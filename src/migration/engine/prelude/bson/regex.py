from ckstore_documents import Regex

__all__ = ["Regex"]
