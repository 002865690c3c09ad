from ckstore_documents import Collection

__all__ = ["Collection"]
