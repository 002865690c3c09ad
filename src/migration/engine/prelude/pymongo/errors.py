from ckstore_documents import (
    BulkWriteError,
    DuplicateKeyError,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    WriteError,
)

__all__ = [
    "BulkWriteError",
    "DuplicateKeyError",
    "InvalidOperation",
    "OperationFailure",
    "PyMongoError",
    "WriteError",
]
