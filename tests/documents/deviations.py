"""Where mongomock 4.3.0 is known to depart from MongoDB, and what MongoDB's manual says there.

The manual is https://www.mongodb.com/docs/manual/reference/operator/; page names are given below it.
"""

import json


def reason(case, before, ours, theirs):
    """Why the two differ where mongomock is to blame; None where it is not known."""
    update = case["arguments"].get("update", {})
    text = json.dumps(case["arguments"].get("filter"))
    documents = json.dumps(before)
    if ours["failed"] and not theirs["failed"]:
        for begin, why in REFUSED_BY_US.items():
            if ours["text"].startswith(begin):
                return why
        return None
    if theirs["failed"] and not ours["failed"]:
        if "$pop" in update and theirs["text"].startswith("'"):
            return "`$pop` of what is missing fails (update/pop: it does nothing)"
        for part, why in FAILS_THERE.items():
            if part in theirs["text"]:
                return why
        return None
    shown = case["arguments"].get("projection", {})
    numbers, truths = any(n in text + documents for n in (" 0", " 1")), any(t in text + documents for t in ("true", "false"))
    if any("." in path for path in shown) and same_but_shown(ours, theirs):
        return "projections of dotted paths drop values that hold no fields (project: they stay)"
    if any(name in update for name in ("$min", "$max")) and ours["result"] != theirs["result"] and "." in json.dumps(update):
        return "`$min` and `$max` do not reach into lists (update: a number names a place)"
    if "$addToSet" in update and "upsert" in case["arguments"]:
        return "`$addToSet` of an upsert adds values twice (update/addToSet: each once)"
    if "$pull" in update and "." in json.dumps(list(update["$pull"])):
        return "`$pull` at a number takes elements of another list (update/pull: it is for the list at the path)"
    if '"$all": [null]' in text:
        return "`$all` of null does not find what is missing (query/all: it is `$eq` of each)"
    if '"$all": []' in text:
        return "`$all: []` finds documents (query/all: an empty list matches nothing)"
    if "$size" in text:
        return "`$size` counts what is no list (query/size: it is for lists)"
    if any(part in text for part in ('"$gte": null', '"$lte": null')):
        return "`$gte` and `$lte` of null do not find what is missing (query-for-null-fields: they do)"
    if "$elemMatch" in text and "[[" in documents:
        return "`$elemMatch` looks into lists that are elements (query/elemMatch: each element is taken by itself)"
    if "sort" in case["arguments"] and "[" in documents:
        return "lists are sorted by their first element (cursor.sort: by their least or greatest)"
    below = any("." in key for key in keys(case["arguments"]["filter"]))
    if below and any(word in text for word in ("null", "$not", "$ne", "$nin", "$nor", "false}")):
        return "what would be below a scalar is not taken as missing (query-for-null-fields: it is)"
    if "{}" in text:
        return "an empty document equals what is missing (query/eq: it does not)"
    if numbers and truths:
        return "True is 1 and False is 0 (bson-type-comparison-order: they are of another type)"
    return None


def keys(value):
    """Every key of a filter, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def same_but_shown(ours, theirs):
    """Whether the same documents were found, and only what is shown of them differs."""
    return isinstance(ours["result"], list) and ours["after"] == theirs["after"] and len(ours["result"]) == len(theirs["result"])


REFUSED_BY_US = {
    "updating the path": "two operators on one path are not refused (update: a conflict is an error)",
    "`$pull` wants a list": "`$pull` takes what is no list (update/pull: it is for lists)",
    "`$pop` wants a list": "`$pop` takes what is no list (update/pop: it fails if the field is no list)",
    "`$inc` wants a number": "`$inc` takes truth values (update/inc: it fails on what is no number)",
    "cannot create the field": "a path through a value without fields is passed over (update/set: it is an error)",
}

FAILS_THERE = {
    "[$mul]": "`$mul` is not there",
    "modifier specified: $mul": "`$mul` is not there",
    "unknown operator: $options": "`$options` inside `$not` is not understood (query/regex: it goes with `$regex`)",
    "index out of range": "`$min` and `$max` do not reach into lists (update: a number names a place)",
    "non-array type": "`$pop` of what is missing fails (update/pop: it does nothing)",
    "can only concatenate": "`$size` counts what is no list (query/size: it is for lists)",
    "is not subscriptable": "a path through a value without fields fails (update: it is an error only if something is to be made)",
    "a bytes-like object is required": "a path through a value without fields fails (update/pull: it is passed over)",
    "is not a valid $type": "`$type` takes no numbers (query/type: it does)",
    "is a valid $type but not implemented": "`$type` lacks `null`",
    "not yet supported by mongomock": "`$rename` takes no dotted paths (update/rename: it does)",
    "indices must be": "a path through a value without fields fails (update/pull: it is passed over)",
    "argument of type": "a path through a value without fields fails (update/pull: it is passed over)",
    "invalid literal for int()": "a path through a list fails where nothing is to be changed",
    "unhashable type": "`distinct` fails on lists in lists",
    "object has no attribute": "a path through nested lists fails (project: it is passed over)",
    "not supported between instances": "values of different types are not compared (bson-type-comparison-order)",
}
