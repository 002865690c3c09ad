from ckstore_documents import Binary

__all__ = ["Binary"]
