from ckstore_documents import DatetimeMS

__all__ = ["DatetimeMS"]
