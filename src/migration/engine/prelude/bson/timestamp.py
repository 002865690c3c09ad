from ckstore_documents import Timestamp

__all__ = ["Timestamp"]
