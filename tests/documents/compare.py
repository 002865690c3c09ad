"""Runs the same script on the same documents in ckstore and in mongomock, and compares what comes out.

Where the two differ, montydb is asked, another implementation of the same language; where it cannot tell either, the case
is said in other words to both (otherwise.py). What none of this settles is a failure, but for a few exact cases
(deviations.py).
"""

import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import types
from collections import Counter

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import bson.json_util
import mongomock
from montydb import MontyClient, set_storage

import cases
from deviations import reason
from otherwise import project, said_otherwise

COUNT = 250
MONTY = "montydb says what ckstore says"


def base():
    module = types.ModuleType("exodusutils.migration.base_migration")
    module.BaseMigration = type("BaseMigration", (), {"__init__": lambda self, timestamp, name: None})
    for name in ("exodusutils", "exodusutils.migration"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules[module.__name__] = module


def script():
    spec = importlib.util.spec_from_file_location("migration", HERE / "migration.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Monty:
    """Collections in memory, one after the other."""

    def __init__(self):
        set_storage(":memory:", use_bson=True)
        self.client, self.count = MontyClient(":memory:"), 0

    def collection(self):
        self.count += 1
        return self.client.db[f"c{self.count}"]


def mock():
    return mongomock.MongoClient().db.collection


def in_memory(collection, module, documents, texts):
    collection.insert_many([module.read(document) for document in documents])
    collection.insert_one({"_id": "cases", "cases": texts})
    module.Migration(0, "cases").up(collection)
    return json.loads(collection.find_one({"_id": "results"})["text"])


def in_ckstore(program, module, folder, seed, documents, texts):
    def run(*arguments):
        done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"ckstore {' '.join(arguments)}: {done.stdout}{done.stderr}")

    lines = [bson.json_util.dumps(module.read(document), json_options=bson.json_util.CANONICAL_JSON_OPTIONS) for document in documents]
    lines.append(json.dumps({"_id": "cases", "cases": texts}))
    (folder / "dump.json").write_text("\n".join(lines))
    name = f"batch{seed}"
    run("import", "dump.json", "--collection", name, "--catalogue", "scripts")
    run("migrate", name, "up")
    run("checkout", f"{name}/results", "-o", f"{name}.json")
    return json.loads(json.loads((folder / f"{name}.json").read_text())["text"])


def once(collection, module, before, case, shown=None):
    """What one case comes to in an empty collection."""
    if before:
        collection.insert_many([module.read(document) for document in before])
    try:
        result = module.Migration(0, "case").run(collection, case)
        after = [module.write(document) for document in collection.find({}).sort("_id", 1)]
    except Exception as error:
        result, after = {"@error": type(error).__name__, "text": str(error)}, None
    if shown and isinstance(result, list):
        result = [project(document, shown) for document in result]
    return outcome(case, result, after)


def outcome(case, result, after):
    failed = isinstance(result, dict) and "@error" in result
    if isinstance(result, list) and case["method"] == "distinct":
        result = sorted(result, key=json.dumps)
    if failed:
        return {"failed": True, "result": None, "after": None, "text": result["text"]}
    return {"failed": False, "result": result, "after": after, "text": ""}


def alike(a, b):
    return same({**a, "text": ""}, {**b, "text": ""})


def equal(a, b):
    """As `alike`, numbers being compared by value: montydb makes a float of what it multiplies."""
    return same({**a, "text": ""}, {**b, "text": ""}, by_value=True)


def settled(module, monty, case, before, ours):
    """What settles that ckstore is right where mongomock says something else; empty where nothing does."""
    if equal(ours, once(monty.collection(), module, before, case)):
        return {MONTY}

    def find(filter):
        collection = monty.collection()
        if before:
            collection.insert_many([module.read(document) for document in before])
        try:
            return [module.write(document) for document in collection.find(module.read(filter))]
        except Exception:
            return before

    other, used, shown = said_otherwise(case, before, find)
    for collection in (mock(), monty.collection()):
        if used and equal(ours, once(collection, module, before, other, shown)):
            return used
    return set()


def same(a, b, by_value=False):
    if by_value and {type(a), type(b)} == {int, float}:
        return a == b
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], by_value) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y, by_value) for x, y in zip(a, b))
    return a == b


def main():
    program, batches = sys.argv[1], int(sys.argv[2])
    base()
    module = script()
    # Generators of montydb that are left half way complain of it.
    sys.unraisablehook = lambda _: None
    counts, wrong, monty = {"cases": 0, "errors": 0}, [], Monty()
    settling, exempt, departs = Counter(), Counter(), Counter()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "scripts").mkdir()
        (folder / "scripts" / "Migration_1000000000000_cases.py").write_text((HERE / "migration.py").read_text())
        for seed in range(batches):
            documents, texts = cases.batch(seed, COUNT)
            ours = in_ckstore(program, module, folder, seed, documents, texts)
            theirs = in_memory(mock(), module, documents, texts)
            for number, text in enumerate(texts):
                case = json.loads(text)
                before = [document for document in documents if document["case"] == number]
                a, b = (outcome(case, side[0][number], [one for one in side[1] if one["case"] == number]) for side in (ours, theirs))
                counts["cases"] += 1
                counts["errors"] += a["failed"]
                if not alike(a, b):
                    why = settled(module, monty, case, before, a)
                    if why:
                        settling.update(why)
                        departs[MONTY if why == {MONTY} else "in other words it says the same"] += 1
                    elif because := reason(case, before, a, b):
                        exempt[because] += 1
                        departs["let pass"] += 1
                    else:
                        wrong.append((seed, case, before, a, b))
    print(f"{counts['cases']} cases, {counts['errors']} of them refused, {sum(departs.values())} where mongomock departs:")
    for how, reasons in ((MONTY, {}), ("in other words it says the same", settling), ("let pass", exempt)):
        print(f"  {departs[how]:5} {how}")
        for why, count in sorted(reasons.items(), key=lambda item: -item[1]):
            if why != MONTY:
                print(f"        {count:5} {why}")
    for seed, case, before, a, b in wrong[:20]:
        print(f"\nseed {seed}: {json.dumps(case)}\n  on        {json.dumps(before)}")
        for who, side in (("ckstore", a), ("mongomock", b)):
            what = {"after": side["after"]} if side["result"] == (b if side is a else a)["result"] else side["result"]
            print(f"  {who:9} {side['text'] if side['failed'] else json.dumps(what)}")
    if wrong:
        sys.exit(f"{len(wrong)} cases differ")


if __name__ == "__main__":
    main()
