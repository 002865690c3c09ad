"""The script that ckstore and mongomock both run: it carries cases out that lie in the collection itself."""

import datetime
import json

from bson import Binary, Int64, ObjectId
from exodusutils.migration.base_migration import BaseMigration

EPOCH = datetime.datetime(1970, 1, 1)


def read(value):
    """A value from its JSON: what JSON has no word for is a dict with one key that begins with `@`."""
    if isinstance(value, list):
        return [read(item) for item in value]
    if isinstance(value, dict):
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key == "@oid":
                return ObjectId(inner)
            if key == "@date":
                return EPOCH + datetime.timedelta(milliseconds=inner)
            if key == "@long":
                return Int64(inner)
            if key == "@bytes":
                return bytes(inner)
            if key == "@pairs":
                return [tuple(pair) for pair in inner]
        return {key: read(inner) for key, inner in value.items()}
    return value


def write(value):
    if isinstance(value, list):
        return [write(item) for item in value]
    if isinstance(value, dict):
        return {key: write(inner) for key, inner in value.items()}
    if isinstance(value, ObjectId):
        return {"@oid": str(value)}
    if isinstance(value, datetime.datetime):
        return {"@date": (value - EPOCH) // datetime.timedelta(milliseconds=1)}
    if isinstance(value, Int64):
        return {"@long": int(value)}
    if isinstance(value, bytes):
        return {"@bytes": list(value)}
    return value


class Migration(BaseMigration):
    def up(self, collection):
        results = []
        for case in list(collection.find({"cases": {"$exists": True}}))[0]["cases"]:
            results.append(self.run(collection, json.loads(case)))
        documents = [write(document) for document in collection.find({"case": {"$exists": True}}).sort("_id", 1)]
        collection.insert_one({"_id": "results", "text": json.dumps([results, documents])})

    def run(self, collection, case):
        number, method = case["number"], case["method"]
        arguments = read(case["arguments"])
        if isinstance(arguments.get("filter"), dict):
            arguments["filter"] = {"case": number, **arguments["filter"]}
        try:
            if method == "find":
                return [write(document) for document in collection.find(**arguments)]
            if method == "distinct":
                return [write(value) for value in collection.distinct(**arguments)]
            if method == "count_documents":
                return collection.count_documents(**arguments)
            result = getattr(collection, method)(**arguments)
            if method.startswith("delete"):
                return result.deleted_count
            return [result.matched_count, result.modified_count, write(result.upserted_id)]
        except Exception as error:
            return {"@error": type(error).__name__, "text": str(error)}

    def down(self, collection):
        pass
