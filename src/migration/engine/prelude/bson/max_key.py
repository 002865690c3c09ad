from ckstore_documents import MaxKey

__all__ = ["MaxKey"]
