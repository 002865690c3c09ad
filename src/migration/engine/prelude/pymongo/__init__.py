"""The names of pymongo that migration scripts use, over the documents that ckstore holds."""

from pymongo.operations import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne

ASCENDING = 1
DESCENDING = -1


def __getattr__(name):
    from ckstore_documents import not_supported

    if name.startswith("_"):
        raise AttributeError(name)
    raise not_supported("pymongo." + name)
