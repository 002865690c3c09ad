from ckstore_documents import MinKey

__all__ = ["MinKey"]
