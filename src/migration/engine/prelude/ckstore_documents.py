"""Documents as pymongo shows them to a script. What is found and changed is decided elsewhere."""

import datetime
import re

import _ckstore_documents as _native
import ckstore_runtime


def not_supported(what):
    """The exception for what is not spoken here."""
    return ckstore_runtime.missing(what, f"`{what}` is not supported", NotImplementedError)


_EPOCH = datetime.datetime(1970, 1, 1)


class PyMongoError(Exception):
    pass


class InvalidOperation(PyMongoError):
    pass


class OperationFailure(PyMongoError):
    def __init__(self, error, code=None, details=None):
        super().__init__(error)
        self.code = code
        self.details = details


class WriteError(OperationFailure):
    pass


class DuplicateKeyError(WriteError):
    pass


class BulkWriteError(OperationFailure):
    def __init__(self, results):
        super().__init__("batch op errors occurred", 65, results)


class BSONError(Exception):
    pass


class InvalidId(BSONError):
    pass


class InvalidDocument(BSONError):
    pass


_ERRORS = {
    "value": ValueError,
    "operation": OperationFailure,
    "write": WriteError,
    "duplicate": DuplicateKeyError,
    "document": InvalidDocument,
}


def error(kind, message):
    return not_supported_text(message) if kind == "unsupported" else _ERRORS[kind](message)


def not_supported_text(message):
    return ckstore_runtime.missing(message, message, NotImplementedError)


class _Ordered:
    """Values that compare by one key."""

    def _key(self):
        raise NotImplementedError

    def __eq__(self, other):
        return self._key() == other._key() if isinstance(other, type(self)) else NotImplemented

    def __lt__(self, other):
        return self._key() < other._key() if isinstance(other, type(self)) else NotImplemented

    def __le__(self, other):
        return self._key() <= other._key() if isinstance(other, type(self)) else NotImplemented

    def __gt__(self, other):
        return self._key() > other._key() if isinstance(other, type(self)) else NotImplemented

    def __ge__(self, other):
        return self._key() >= other._key() if isinstance(other, type(self)) else NotImplemented

    def __hash__(self):
        return hash(self._key())


class ObjectId(_Ordered):
    def __init__(self, oid=None):
        if oid is None:
            self._bytes = _native.new_id()
        elif isinstance(oid, ObjectId):
            self._bytes = oid._bytes
        elif isinstance(oid, bytes) and len(oid) == 12:
            self._bytes = oid
        elif isinstance(oid, str) and re.fullmatch("[0-9a-fA-F]{24}", oid):
            self._bytes = bytes.fromhex(oid)
        elif isinstance(oid, (str, bytes)):
            raise InvalidId(f"{oid!r} is not a valid ObjectId: it must be 12 bytes or 24 hexadecimal digits")
        else:
            raise TypeError("id must be an instance of (bytes, str, ObjectId)")

    def _key(self):
        return self._bytes

    @classmethod
    def is_valid(cls, oid):
        try:
            return bool(oid) and cls(oid) is not None
        except (InvalidId, TypeError):
            return False

    @property
    def binary(self):
        return self._bytes

    @property
    def generation_time(self):
        return _EPOCH.replace(tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=int.from_bytes(self._bytes[:4], "big"))

    def __str__(self):
        return self._bytes.hex()

    def __repr__(self):
        return f"ObjectId('{self}')"


class Int64(int):
    """An integer that stays one of 64 bits, however small."""


class Binary(bytes):
    def __new__(cls, data, subtype=0):
        self = super().__new__(cls, data)
        self.subtype = subtype
        return self

    def __eq__(self, other):
        if isinstance(other, Binary):
            return (self.subtype, bytes(self)) == (other.subtype, bytes(other))
        return False

    def __hash__(self):
        return hash((self.subtype, bytes(self)))

    def __repr__(self):
        return f"Binary({bytes(self)!r}, {self.subtype})"


class Decimal128:
    def __init__(self, value):
        if not isinstance(value, str):
            raise not_supported("Decimal128 of something that is not text")
        if not _native.is_decimal(value):
            raise ValueError(f"{value!r} is no decimal of 128 bits")
        self._text = value

    def __eq__(self, other):
        return self._text == other._text if isinstance(other, Decimal128) else NotImplemented

    def __hash__(self):
        return hash(self._text)

    def __str__(self):
        return self._text

    def __repr__(self):
        return f"Decimal128('{self._text}')"

    def to_decimal(self):
        raise not_supported("Decimal128.to_decimal")


class Regex:
    def __init__(self, pattern, flags=0):
        self.pattern = pattern
        if isinstance(flags, str):
            self.flags = sum(flag for letter, flag in _FLAGS if letter in flags)
        else:
            self.flags = int(flags)

    def __eq__(self, other):
        return (self.pattern, self.flags) == (other.pattern, other.flags) if isinstance(other, Regex) else NotImplemented

    __hash__ = None

    def __repr__(self):
        return f"Regex({self.pattern!r}, {self.flags!r})"

    def try_compile(self):
        return re.compile(self.pattern, self.flags)


_FLAGS = (("i", 2), ("m", 8), ("s", 16), ("u", 32), ("x", 64))


class Timestamp(_Ordered):
    def __init__(self, time, inc):
        self.time = time
        self.inc = inc

    def _key(self):
        return (self.time, self.inc)

    def __repr__(self):
        return f"Timestamp({self.time}, {self.inc})"


class _End:
    """A value before or behind all others: all of one class are one value."""

    def __eq__(self, other):
        return type(other) is type(self)

    def __hash__(self):
        return hash(type(self).__name__)

    def __repr__(self):
        return f"{type(self).__name__}()"


class MinKey(_End):
    pass


class MaxKey(_End):
    pass


class DatetimeMS(_Ordered):
    """A moment that Python's `datetime` cannot hold."""

    def __init__(self, value):
        self._value = value

    def _key(self):
        return self._value

    def __int__(self):
        return self._value

    def __repr__(self):
        return f"DatetimeMS({self._value})"


class SON(dict):
    """A dict, which keeps its order by itself."""

    def to_dict(self):
        return dict(self)


def encode(value):
    """A value of a class of its own as a tuple of plain ones; the name of its kind comes first."""
    if isinstance(value, ObjectId):
        return ("oid", value._bytes)
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        since = value - _EPOCH
        return ("date", since.days * 86400000 + since.seconds * 1000 + since.microseconds // 1000)
    if isinstance(value, DatetimeMS):
        return ("date", value._value)
    if isinstance(value, Decimal128):
        return ("decimal", value._text)
    if isinstance(value, Int64):
        return ("long", int(value))
    if isinstance(value, Binary):
        return ("binary", value.subtype, bytes(value))
    if isinstance(value, (Regex, re.Pattern)):
        letters = "".join(letter for letter, flag in _FLAGS if int(value.flags) & flag)
        pattern = value.pattern
        if not isinstance(pattern, str):
            raise not_supported("a pattern of bytes")
        if isinstance(value, re.Pattern):
            # Python sets this for every pattern of text.
            letters = letters.replace("u", "")
        return ("regex", pattern, letters)
    if isinstance(value, Timestamp):
        return ("timestamp", value.time, value.inc)
    if isinstance(value, MinKey):
        return ("min",)
    if isinstance(value, MaxKey):
        return ("max",)
    if isinstance(value, bool):
        return ("bool", bool(value))
    if isinstance(value, int):
        return ("int", int(value))
    if isinstance(value, float):
        return ("float", float(value))
    if isinstance(value, str):
        return ("text", str.__str__(value))
    if isinstance(value, dict):
        return ("dict", dict(value))
    if isinstance(value, (list, tuple)):
        return ("list", list(value))
    raise InvalidDocument(f"cannot encode object: {value!r}, of type: {type(value)}")


def decode(kind, *parts):
    """The value that Rust names by its kind."""
    if kind == "oid":
        return ObjectId(*parts)
    if kind == "date":
        try:
            return _EPOCH + datetime.timedelta(milliseconds=parts[0])
        except OverflowError:
            return DatetimeMS(*parts)
    return _KINDS[kind](*parts)


_KINDS = {
    "long": Int64,
    "decimal": Decimal128,
    "binary": lambda subtype, data: Binary(data, subtype),
    "regex": Regex,
    "timestamp": Timestamp,
    "min": MinKey,
    "max": MaxKey,
}


class InsertOneResult:
    acknowledged = True

    def __init__(self, inserted_id):
        self.inserted_id = inserted_id


class InsertManyResult:
    acknowledged = True

    def __init__(self, inserted_ids):
        self.inserted_ids = inserted_ids


class UpdateResult:
    acknowledged = True

    def __init__(self, matched, modified, upserted):
        self.matched_count = matched
        self.modified_count = modified
        self.upserted_id = upserted

    @property
    def raw_result(self):
        raise not_supported("UpdateResult.raw_result")


class DeleteResult:
    acknowledged = True

    def __init__(self, deleted):
        self.deleted_count = deleted


class BulkWriteResult:
    acknowledged = True

    def __init__(self):
        self.inserted_count = 0
        self.matched_count = 0
        self.modified_count = 0
        self.deleted_count = 0
        self.upserted_count = 0
        self.upserted_ids = {}


def refuse(method, **options):
    """Refuses options that are given and not spoken here."""
    for name, value in options.items():
        if value is not None and value is not False:
            raise not_supported(f"{method}: {name}")


def _filter(value):
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError("filter must be an instance of dict")
    return value


def _projection(value):
    if value is None or isinstance(value, dict):
        return value or None
    if isinstance(value, str):
        raise TypeError("projection must be a list of field names or a dict")
    return dict.fromkeys(value, 1) or {"_id": 1}


def _sort(key, direction=None):
    if key is None:
        return []
    if isinstance(key, str):
        return [(key, 1 if direction is None else direction)]
    if isinstance(key, dict):
        return list(key.items())
    return [(item, 1) if isinstance(item, str) else (item[0], item[1]) for item in key]


def _whole(name, value):
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an instance of int")
    if value < 0:
        raise ValueError(f"{name} must be >= 0")
    return value


class Cursor:
    """Documents that are found when the first is asked for."""

    def __init__(self, filter, projection, sort, skip, limit):
        self._query = [filter, projection, sort, skip, limit]
        self._found = None
        self._place = 0

    def _change(self, place, value):
        if self._found is not None:
            raise InvalidOperation("cannot set options after executing query")
        self._query[place] = value
        return self

    def sort(self, key_or_list, direction=None):
        return self._change(2, _sort(key_or_list, direction))

    def skip(self, skip):
        return self._change(3, _whole("skip", skip))

    def limit(self, limit):
        return self._change(4, abs(limit) if isinstance(limit, int) else _whole("limit", limit))

    def batch_size(self, batch_size):
        return self

    def _documents(self):
        if self._found is None:
            self._found = _native.find(*self._query)
        return self._found

    def __iter__(self):
        return self

    def __next__(self):
        found = self._documents()
        if self._place >= len(found):
            raise StopIteration
        self._place += 1
        return found[self._place - 1]

    next = __next__

    def __getitem__(self, place):
        if isinstance(place, slice):
            raise not_supported("a slice of a cursor")
        return _native.find(*self._query)[place]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    @property
    def alive(self):
        return self._place < len(self._documents())

    def to_list(self, length=None):
        found = self._documents()[self._place :]
        return found if length is None else found[:length]

    def rewind(self):
        self._found = None
        self._place = 0
        return self

    def clone(self):
        return Cursor(*self._query)

    def distinct(self, key):
        return _native.distinct(key, self._query[0])

    def close(self):
        pass

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        raise not_supported("Cursor." + name)


class Collection:
    """All documents of a collection."""

    def __init__(self, name):
        self._name = name

    @property
    def name(self):
        return self._name

    @property
    def full_name(self):
        return self._name

    def find(self, filter=None, projection=None, skip=0, limit=0, sort=None, batch_size=0, no_cursor_timeout=False, **options):
        refuse("find", **options)
        limit = abs(limit) if isinstance(limit, int) else _whole("limit", limit)
        return Cursor(_filter(filter), _projection(projection), _sort(sort), _whole("skip", skip), limit)

    def find_one(self, filter=None, projection=None, skip=0, sort=None, **options):
        refuse("find_one", **options)
        if filter is not None and not isinstance(filter, dict):
            filter = {"_id": filter}
        found = _native.find(_filter(filter), _projection(projection), _sort(sort), _whole("skip", skip), 1)
        return found[0] if found else None

    def count_documents(self, filter, skip=0, limit=0, **options):
        refuse("count_documents", **options)
        return _native.count(_filter(filter), _whole("skip", skip), _whole("limit", limit))

    def estimated_document_count(self, **options):
        refuse("estimated_document_count", **options)
        return _native.count({}, 0, 0)

    def distinct(self, key, filter=None, **options):
        refuse("distinct", **options)
        if not isinstance(key, str):
            raise TypeError("key must be an instance of str")
        return _native.distinct(key, _filter(filter))

    def insert_one(self, document, **options):
        refuse("insert_one", **options)
        if not isinstance(document, dict):
            raise TypeError("document must be an instance of dict")
        if "_id" not in document:
            document["_id"] = ObjectId()
        _native.insert(document)
        return InsertOneResult(document["_id"])

    def insert_many(self, documents, ordered=True, **options):
        refuse("insert_many", **options)
        if not isinstance(documents, (list, tuple)) and not hasattr(documents, "__next__"):
            raise TypeError("documents must be a non-empty list")
        documents = list(documents)
        if not documents:
            raise TypeError("documents must be a non-empty list")
        if not ordered:
            raise not_supported("insert_many: ordered=False")
        return InsertManyResult([self.insert_one(document).inserted_id for document in documents])

    def _update(self, method, filter, update, many, replace, upsert, options):
        refuse(method, **options)
        if isinstance(update, (list, tuple)):
            raise not_supported(f"{method}: a pipeline")
        if not isinstance(update, dict):
            raise TypeError("update must be an instance of dict")
        return UpdateResult(*_native.update(_filter(filter), update, replace, many, bool(upsert)))

    def update_one(self, filter, update, upsert=False, **options):
        return self._update("update_one", filter, update, False, False, upsert, options)

    def update_many(self, filter, update, upsert=False, **options):
        return self._update("update_many", filter, update, True, False, upsert, options)

    def replace_one(self, filter, replacement, upsert=False, **options):
        return self._update("replace_one", filter, replacement, False, True, upsert, options)

    def delete_one(self, filter, **options):
        refuse("delete_one", **options)
        return DeleteResult(_native.delete(_filter(filter), False))

    def delete_many(self, filter, **options):
        refuse("delete_many", **options)
        return DeleteResult(_native.delete(_filter(filter), True))

    def bulk_write(self, requests, ordered=True, **options):
        import pymongo.operations as operations

        refuse("bulk_write", **options)
        if not ordered:
            raise not_supported("bulk_write: ordered=False")
        requests = list(requests)
        if not requests:
            raise InvalidOperation("No operations to execute")
        result = BulkWriteResult()
        for place, request in enumerate(requests):
            try:
                self._one(operations, place, request, result)
            except OperationFailure as failure:
                raise BulkWriteError({"writeErrors": [{"index": place, "errmsg": str(failure)}]}) from failure
        return result

    def _one(self, operations, place, request, result):
        if isinstance(request, operations.InsertOne):
            self.insert_one(request.document)
            result.inserted_count += 1
        elif isinstance(request, (operations.DeleteOne, operations.DeleteMany)):
            many = isinstance(request, operations.DeleteMany)
            result.deleted_count += _native.delete(_filter(request.filter), many)
        elif isinstance(request, (operations.UpdateOne, operations.UpdateMany, operations.ReplaceOne)):
            replace = isinstance(request, operations.ReplaceOne)
            many = isinstance(request, operations.UpdateMany)
            update = request.replacement if replace else request.update
            done = self._update("bulk_write", request.filter, update, many, replace, request.upsert, {})
            result.matched_count += done.matched_count
            result.modified_count += done.modified_count
            if done.upserted_id is not None:
                result.upserted_count += 1
                result.upserted_ids[place] = done.upserted_id
        else:
            raise TypeError(f"{request!r} is not a valid request")

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        raise not_supported("collection." + name)

    def __getitem__(self, name):
        raise not_supported(f"collection[{name!r}]")

    def __bool__(self):
        raise not_supported("the truth value of a collection")


def instance(migration, timestamp, name):
    """The script's migration, as its registry would make it."""
    function = migration.__init__
    code = getattr(function, "__code__", None)
    wanted = code.co_argcount - 1 if code is not None else 2
    if wanted == 0:
        return migration()
    return migration(timestamp, name) if wanted > 1 else migration(timestamp)
