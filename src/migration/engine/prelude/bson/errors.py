from ckstore_documents import BSONError, InvalidDocument, InvalidId

__all__ = ["BSONError", "InvalidDocument", "InvalidId"]
