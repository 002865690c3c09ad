from ckstore_documents import Int64

__all__ = ["Int64"]
