from ckstore_documents import Decimal128

__all__ = ["Decimal128"]
