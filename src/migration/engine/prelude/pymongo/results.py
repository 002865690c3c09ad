from ckstore_documents import BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult

__all__ = ["BulkWriteResult", "DeleteResult", "InsertManyResult", "InsertOneResult", "UpdateResult"]
