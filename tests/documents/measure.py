"""Times scripts on many documents, in ckstore (whole processes, synced to disk) and in mongomock (in memory)."""

import importlib.util
import json
import os
import pathlib
import random
import resource
import subprocess
import sys
import tempfile
import time

import bson.json_util
import mongomock

from compare import base

SCRIPTS = {
    "Migration_1637600000000_in_one_call.py": (
        '        collection.update_many({"kind": {"$in": ["a", "b"]}}, {"$rename": {"path": "location"}, "$set": {"attributes.seen": True}})',
        '        collection.update_many({}, {"$rename": {"location": "path"}, "$unset": {"attributes.seen": ""}})',
    ),
    "Migration_1637700000000_one_by_one.py": (
        '        for document in collection.find({"attributes": {"$exists": True}}):\n'
        '            collection.update_one({"_id": document["_id"]}, {"$set": {"score": document["attributes"]["accuracy"]}})',
        '        for document in collection.find({}):\n'
        '            collection.update_one({"_id": document["_id"]}, {"$unset": {"score": ""}})',
    ),
}


def make(folder, count):
    (folder / "scripts").mkdir()
    for name, (up, down) in SCRIPTS.items():
        (folder / "scripts" / name).write_text(
            "from exodusutils.migration.base_migration import BaseMigration\n\n\nclass Migration(BaseMigration):\n"
            f"    def up(self, collection):\n{up}\n\n    def down(self, collection):\n{down}\n"
        )
    chance = random.Random(1)
    with open(folder / "models.jsonl", "w") as file:
        for number in range(count):
            columns = [{"name": f"c{column}", "type": "float"} for column in range(5)]
            attributes = {"accuracy": chance.random(), "rows": chance.randrange(10**6)}
            document = {"_id": {"$oid": f"{number:024x}"}, "name": f"model {number}", "kind": chance.choice("ab"), "columns": columns,
                        "attributes": attributes, "created": {"$date": {"$numberLong": str(1600000000000 + number)}}, "path": f"/models/{number}"}
            file.write(json.dumps(document) + "\n")


def tell(what, seconds, processor, kib):
    print(f"  {what:45} {seconds:7.2f} s, {processor:6.2f} s of processor, {kib / 1024:5.0f} MiB", flush=True)


def in_ckstore(program, folder):
    def run(what, *arguments):
        """The peak is that of the largest process: ckstore's own or that of the sandbox."""
        began = time.time()
        process = subprocess.Popen([program, *arguments], cwd=folder, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"ckstore {' '.join(arguments)} failed")
        tell(what, time.time() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)

    run("import", "import", "models.jsonl", "--collection", "models", "--catalogue", "scripts")
    run("up, in one call", "migrate", "models", "up", "--steps", "1")
    run("up, one by one", "migrate", "models", "up", "--steps", "1")
    run("down, one by one", "migrate", "models", "down")
    run("down, in one call", "migrate", "models", "down")
    run("status --all", "status", "--all", "--json")
    run("fsck", "fsck")


def in_mongomock(folder):
    collection = mongomock.MongoClient().db.collection

    def run(what, work):
        began, processor = time.time(), time.process_time()
        work()
        tell(what, time.time() - began, time.process_time() - processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    def script(name):
        spec = importlib.util.spec_from_file_location("migration", folder / "scripts" / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.Migration(0, name)

    in_one_call, one_by_one = map(script, sorted(SCRIPTS))
    with open(folder / "models.jsonl") as file:
        run("load", lambda: collection.insert_many([bson.json_util.loads(line) for line in file]))
    run("up, in one call", lambda: in_one_call.up(collection))
    run("up, one by one", lambda: one_by_one.up(collection))
    run("down, one by one", lambda: one_by_one.down(collection))
    run("down, in one call", lambda: in_one_call.down(collection))


def checkpoints(program, folder, root, count):
    """Brings many small checkpoints to a version, with one job and with two."""
    for jobs in ("1", "2"):
        home = folder / f"fleet{jobs}"
        (home / "runs").mkdir(parents=True)
        data = (root / "tests/data/demo/trained-0.8.1.ckpt").read_bytes()
        for number in range(count):
            (home / "runs" / f"{number:04}.ckpt").write_bytes(data)
        for arguments in (
            ["import", "runs", "--collection", "runs", "--catalogue", str(root / "migrations")],
            ["checkout", "--all", "--collection", "runs", "--version", "0.8.3", "--jobs", jobs],
        ):
            began = time.time()
            process = subprocess.Popen([program, *arguments], cwd=home, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                sys.exit(f"ckstore {' '.join(arguments)} failed")
            what = f"{arguments[0]} of {count} checkpoints" + (f", --jobs {jobs}" if arguments[0] == "checkout" else "")
            tell(what, time.time() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def main():
    program, count, by_one = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    base()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "many").mkdir()
        make(folder / "many", count)
        print(f"ckstore, {count} documents")
        in_ckstore(program, folder / "many")
        # One by one takes mongomock a time that grows with the square of the number.
        (folder / "few").mkdir()
        make(folder / "few", by_one)
        print(f"ckstore, {by_one} documents")
        in_ckstore(program, folder / "few")
        print(f"mongomock, {by_one} documents")
        in_mongomock(folder / "few")
        print("ckstore, checkpoints of 65 KiB")
        checkpoints(program, folder, pathlib.Path(__file__).parent.parent.parent, 200)


main()
