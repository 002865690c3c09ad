"""Runs the same script on the same documents in ckstore and in mongomock, and compares what comes out."""

import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import types

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import bson.json_util
import mongomock

import cases
from deviations import reason

COUNT = 250


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


def in_mongomock(module, documents, texts):
    collection = mongomock.MongoClient().db.collection
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


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def main():
    program, batches = sys.argv[1], int(sys.argv[2])
    base()
    module = script()
    counts, wrong, known = {"cases": 0, "errors": 0}, [], {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "scripts").mkdir()
        (folder / "scripts" / "Migration_1000000000000_cases.py").write_text((HERE / "migration.py").read_text())
        for seed in range(batches):
            documents, texts = cases.batch(seed, COUNT)
            ours = in_ckstore(program, module, folder, seed, documents, texts)
            theirs = in_mongomock(module, documents, texts)
            for number, text in enumerate(texts):
                case = json.loads(text)
                before = [document for document in documents if document["case"] == number]

                def outcome(side):
                    result, after = side[0][number], [document for document in side[1] if document["case"] == number]
                    failed = isinstance(result, dict) and "@error" in result
                    if isinstance(result, list) and case["method"] == "distinct":
                        result = sorted(result, key=json.dumps)
                    return {"failed": failed, "result": None if failed else result, "after": None if failed else after,
                            "text": side[0][number]["text"] if failed else ""}

                a, b = outcome(ours), outcome(theirs)
                counts["cases"] += 1
                counts["errors"] += a["failed"]
                if not same({**a, "text": ""}, {**b, "text": ""}):
                    why = reason(case, before, a, b)
                    if why is None:
                        wrong.append((seed, case, before, a, b))
                    else:
                        known[why] = known.get(why, 0) + 1
    print(f"{counts['cases']} cases, {counts['errors']} of them refused, {sum(known.values())} where mongomock departs:")
    for why, count in sorted(known.items()):
        print(f"  {count:5} {why}")
    for seed, case, before, a, b in wrong[:20]:
        print(f"\nseed {seed}: {json.dumps(case)}\n  on        {json.dumps(before)}")
        for who, side in (("ckstore", a), ("mongomock", b)):
            what = {"after": side["after"]} if side["result"] == (b if side is a else a)["result"] else side["result"]
            print(f"  {who:9} {side['text'] if side['failed'] else json.dumps(what)}")
    if wrong:
        sys.exit(f"{len(wrong)} cases differ")


if __name__ == "__main__":
    main()
