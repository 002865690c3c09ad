from ckstore_documents import SON

__all__ = ["SON"]
