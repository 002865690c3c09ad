"""The same case in other words, where the implementations to compare with are known to misread it.

Each rule rests on MongoDB's manual, https://www.mongodb.com/docs/manual/reference/operator/, page names in brackets. A rule
excuses nothing: what it says otherwise is run again, and has to come out as in ckstore.
"""

import json

TYPES = {1: "double", 2: "string", 16: "int"}
MISSING = object()


def said_otherwise(case, before, find):
    """The case in other words, the names of the rules that were used, and how what is found is to be shown.

    `find` tells which documents a filter finds.
    """
    used = set()
    arguments = dict(case["arguments"])
    arguments["filter"] = condition(arguments["filter"], "{}" in json.dumps(before), used)
    if "update" in arguments:
        found = find(arguments["filter"])[: 1 if case["method"] == "update_one" else None]
        arguments["update"] = update(arguments["update"], found or [arguments["filter"]], arguments.get("upsert"), used)
    shown = arguments.get("projection", {})
    if any("." in path for path in shown):
        used.add("a projection of dotted paths is carried out on what is found (project)")
        del arguments["projection"]
    else:
        shown = {}
    return {**case, "arguments": arguments}, used, shown


def condition(value, has_empty, used):
    """A filter, or what is below a field of one; `has_empty` where an empty document could be found."""
    if isinstance(value, list):
        return [condition(item, has_empty, used) for item in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for key, inner in value.items():
        if key == "$all" and inner == []:
            used.add("`$all: []` is `$in: []` (query/all: it matches nothing)")
            out["$in"] = []
        elif key == "$all" and len(inner) == 1 and not isinstance(inner[0], (dict, list)):
            used.add("`$all` of one value is `$eq` (query/all)")
            out["$eq"] = inner[0]
        elif key in ("$in", "$nin") and {} in inner and not has_empty:
            used.add("an empty document is not looked for where there is none (query/in)")
            out[key] = [item for item in inner if item != {}]
        elif key in ("$gte", "$lte") and inner is None:
            used.add("`$gte` and `$lte` of null are `$eq` (query-for-null-fields)")
            out["$eq"] = None
        elif key == "$type" and inner in TYPES:
            used.add("`$type` is named (query/type)")
            out["$type"] = TYPES[inner]
        elif key == "$type" and inner == "number":
            used.add("`number` is the types of numbers (query/type)")
            out["$type"] = ["double", "int", "long", "decimal"]
        elif key == "$regex" and value.get("$options") == "i":
            used.add("`$options` are in the pattern (query/regex)")
            out["$regex"] = "(?i)" + inner
        elif key == "$options":
            continue
        elif key.startswith("$"):
            out[key] = condition(inner, has_empty, used) if key in ("$and", "$or", "$nor", "$not", "$elemMatch") else inner
        else:
            out[key] = field(inner, has_empty, used)
    return out


def field(inner, has_empty, used):
    if inner == {}:
        used.add("an empty document is looked for where something is (query/eq)")
        return {"$in": [{}], "$exists": True}
    is_condition = isinstance(inner, dict) and any(key.startswith("$") for key in inner)
    return condition(inner, has_empty, used) if is_condition else inner


def update(operators, documents, upsert, used):
    out = {}
    for name, fields in operators.items():
        for path, value in fields.items():
            is_missing = all(lookup(document, path.split(".")) is MISSING for document in documents)
            if name in ("$pop", "$pull", "$unset") and is_missing:
                used.add(f"`{name}` of what is missing is left out (update/{name[1:]}: it does nothing)")
                name, path, value = ("$unset", "none", "") if upsert else ("$setOnInsert", "none", 1)
            elif name in ("$min", "$max") and is_missing:
                used.add(f"`{name}` of what is missing is `$set` (update/{name[1:]})")
                name = "$set"
            elif name == "$mul" and is_missing:
                used.add("`$mul` of what is missing is `$set` of 0 (update/mul: of the multiplier's type)")
                name, value = "$set", type(value)(0)
            elif name == "$addToSet" and isinstance(value, dict) and "$each" in value:
                used.add("`$addToSet` is told each value once (update/addToSet)")
                value = {"$each": [json.loads(text) for text in dict.fromkeys(map(json.dumps, value["$each"]))]}
            out.setdefault(name, {})[path] = value
    return out


def lookup(value, parts):
    """What is at a path; `MISSING` where nothing is, or nothing could be."""
    for part in parts:
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith("@"):
            return MISSING
        if isinstance(value, dict):
            value = value.get(part, MISSING)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
        if value is MISSING:
            return MISSING
    return value


def project(document, shown):
    """What a projection shows of a document, as the page on `project` has it: lists are looked through."""
    fields = {key: value for key, value in shown.items() if key != "_id"}
    keeps = all(fields.values())
    out = part(document, [path.split(".") for path in fields], keeps)
    if not shown.get("_id", True):
        out.pop("_id", None)
    elif keeps:
        out = {"_id": document["_id"], **out}
    return out


def part(document, paths, keeps):
    out = {}
    for key, value in document.items():
        below = [path[1:] for path in paths if path[0] == key]
        if not below:
            if not keeps:
                out[key] = value
        elif [] in below:
            if keeps:
                out[key] = value
        else:
            inner = below_of(value, below, keeps)
            if inner is not MISSING:
                out[key] = inner
    return out


def below_of(value, paths, keeps):
    is_document = isinstance(value, dict) and not (len(value) == 1 and next(iter(value)).startswith("@"))
    if is_document:
        return part(value, paths, keeps)
    if isinstance(value, list):
        items = [below_of(item, paths, keeps) for item in value]
        return [item for item in items if item is not MISSING]
    return MISSING if keeps else value
