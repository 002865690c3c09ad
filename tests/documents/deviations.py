"""What neither mongomock 4.3.0 nor montydb 2.5.6 does as MongoDB's manual has it, and no other words say.

The manual is https://www.mongodb.com/docs/manual/reference/operator/; page names are given in brackets.
"""

import json


def reason(case, before, ours, theirs):
    """Why the two differ where mongomock is to blame; None where it is not known."""
    filter, update = json.dumps(case["arguments"].get("filter")), case["arguments"].get("update", {})
    if ours["failed"]:
        return None
    if '"$elemMatch": {}' in filter:
        return "`$elemMatch: {}` finds elements that are no documents (query/elemMatch: it is a query on documents)"
    if '"$elemMatch": {"$' in filter and "[[" in json.dumps(before):
        return "`$elemMatch` looks into lists that are elements (query/elemMatch: each element is taken by itself)"
    if not theirs["failed"] and same_by_value(ours["after"], theirs["after"]) and changed(ours) > changed(theirs):
        return "a number that gets another type is not counted as changed (update/set: the type is part of the value)"
    if theirs["failed"] and any(True in update.get(name, {}).values() for name in ("$min", "$max")):
        return "True is 1 (bson-type-comparison-order: truth values are greater than all numbers)"
    return None


def changed(side):
    is_update = isinstance(side["result"], list) and len(side["result"]) == 3 and isinstance(side["result"][1], int)
    return side["result"][1] if is_update else 0


def same_by_value(a, b):
    return a == b and json.dumps(a).count("true") == json.dumps(b).count("true")
