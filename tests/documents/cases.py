"""Cases from a seed: small documents, and something to find or change in them."""

import json
import random

KEYS = ["a", "b", "c"]
SCALARS = [
    None, True, False, 0, 1, 2, 3, -1, 1.0, 1.5, 2.5, "", "a", "ab", "b", "x1",
    {"@oid": "507f1f77bcf86cd799439011"}, {"@date": 1577836800000}, {"@date": 0}, {"@long": 2}, {"@bytes": [1, 2]},
]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def scalar(self):
        return self.random.choice(SCALARS)

    def value(self, depth=2):
        kind = self.random.random()
        if depth and kind < 0.2:
            return [self.value(depth - 1) for _ in range(self.random.randrange(4))]
        if depth and kind < 0.35:
            return self.document(depth - 1)
        return self.scalar()

    def document(self, depth=2):
        keys = self.random.sample(KEYS, self.random.randrange(len(KEYS) + 1))
        return {key: self.value(depth) for key in keys}

    def path(self, numbers=True):
        parts = [self.random.choice(KEYS)]
        while self.random.random() < 0.35 and len(parts) < 3:
            parts.append(self.random.choice(KEYS + (["0", "1"] if numbers else [])))
        return ".".join(parts)

    def condition(self, depth=1):
        choose = self.random.choice
        name = choose(
            ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$type", "$size", "$all", "$regex"]
            + (["$elemMatch", "$not"] if depth else [])
        )
        if name in ("$in", "$nin", "$all"):
            return {name: [self.value(1) for _ in range(self.random.randrange(4))]}
        if name == "$exists":
            return {name: choose([True, False])}
        if name == "$type":
            return {name: choose(["int", "double", "string", "object", "array", "bool", "date", "null", "objectId", "number", 1, 2, 16])}
        if name == "$size":
            return {name: self.random.randrange(4)}
        if name == "$regex":
            return {name: choose(["^a", "b$", "A", ".", "x[0-9]"]), **choose([{}, {}, {"$options": "i"}])}
        if name == "$elemMatch":
            return {name: self.filter(0) if self.random.random() < 0.5 else self.condition(0)}
        if name == "$not":
            return {name: self.condition(0)}
        return {name: self.value(1)}

    def filter(self, depth=1):
        out = {}
        for _ in range(self.random.choice([0, 1, 1, 1, 2])):
            kind = self.random.random()
            if depth and kind < 0.15:
                name = self.random.choice(["$and", "$or", "$nor"])
                out[name] = [self.filter(0) for _ in range(self.random.randrange(1, 3))]
            elif kind < 0.4:
                out[self.path()] = self.value(1)
            else:
                out[self.path()] = self.condition(depth)
        return out

    def update(self):
        choose = self.random.choice
        out = {}
        for name in self.random.sample(
            ["$set", "$unset", "$rename", "$inc", "$mul", "$min", "$max", "$push", "$addToSet", "$pull", "$pop", "$setOnInsert"],
            choose([1, 1, 1, 2]),
        ):
            path = self.path()
            if name == "$rename":
                value = self.path(numbers=False)
            elif name in ("$inc", "$mul"):
                value = choose([1, 2, -1, 0.5, 3])
            elif name == "$pop":
                value = choose([1, -1])
            elif name == "$unset":
                value = ""
            elif name == "$push" and self.random.random() < 0.5:
                value = {"$each": [self.value(1) for _ in range(self.random.randrange(3))]}
                if self.random.random() < 0.3:
                    value["$slice"] = choose([0, 1, 2, -1, -2])
                if self.random.random() < 0.3:
                    value["$position"] = choose([0, 1])
            elif name == "$addToSet" and self.random.random() < 0.5:
                value = {"$each": [self.value(1) for _ in range(self.random.randrange(4))]}
            elif name == "$pull" and self.random.random() < 0.5:
                value = choose([{"$gt": 1}, {"$in": [1, "a", None]}, {"a": self.scalar()}, {"$lte": 2}])
            else:
                value = self.value(1)
            out[name] = {path: value}
        return out

    def case(self, number):
        choose = self.random.choice
        documents = [
            {"_id": f"{number:05}/{place}", "case": number, **self.document()} for place in range(self.random.randrange(1, 5))
        ]
        method = choose(["find"] * 6 + ["distinct", "count_documents"] + ["update_one", "update_many"] * 4 + ["replace_one", "delete_one", "delete_many"])
        arguments = {"filter": self.filter()}
        if method == "find":
            if self.random.random() < 0.3:
                arguments["sort"] = {"@pairs": [[self.path(), choose([1, -1])], ["_id", 1]]}
                if self.random.random() < 0.5:
                    arguments["limit"] = 2
                    arguments["skip"] = choose([0, 1])
            if self.random.random() < 0.3:
                shown = choose([0, 1])
                arguments["projection"] = {self.path(numbers=False): shown, **choose([{}, {"_id": 0}])}
        elif method == "distinct":
            arguments["key"] = self.path()
        elif method.startswith("update"):
            arguments["update"] = self.update()
            if self.random.random() < 0.1:
                arguments["upsert"] = True
                arguments["filter"] = {"_id": f"{number:05}/new", "a": self.scalar()}
        elif method == "replace_one":
            arguments["replacement"] = {"case": number, **self.document()}
        return documents, {"number": number, "method": method, "arguments": arguments}


def batch(seed, count):
    """Documents of `count` cases, and the one that holds the cases."""
    maker = Maker(seed)
    documents, cases = [], []
    for number in range(count):
        made, case = maker.case(number)
        documents.extend(made)
        cases.append(json.dumps(case))
    return documents, cases
