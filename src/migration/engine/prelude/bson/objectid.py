from ckstore_documents import ObjectId

__all__ = ["ObjectId"]
