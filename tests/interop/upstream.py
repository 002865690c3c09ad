"""The same checkpoint and catalogue give the same file here and in anemoi-models' own `Migrator.sync`."""

import collections
import importlib
import os
import pathlib
import random as randomness
import shutil
import sys
import warnings

import anemoi.models
import torch
from anemoi.models.migrations import IncompatibleCheckpointException, MigrationMetadata, Migrator

import cases
from driver import Refused, Store
from sameness import differences

# The errors that correspond to upstream's refusal of a checkpoint.
INCOMPATIBLE = {"E_TOO_OLD", "E_TOO_NEW", "E_UNBASELINED", "E_UNKNOWN_LINEAGE", "E_LEDGER", "E_IRREVERSIBLE"}


def load(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=False)


def migrator_for(folder):
    """Upstream's migrator over a folder of scripts, imported under a name of its own."""
    importlib.invalidate_caches()
    if str(folder.parent) not in sys.path:
        sys.path.insert(0, str(folder.parent))
    return Migrator.from_path(folder, folder.name)


def registered(migrator, names):
    """Entries as upstream writes them when training ends."""
    known = {m.name: m for group in migrator._grouped_migrations for m in group}
    entries = []
    for name in names:
        entry = known[name].serialize()
        copied = MigrationMetadata(versions=dict(entry["metadata"].versions), final=entry["metadata"].final)
        entries.append({**entry, "metadata": copied})
    return entries


def upstream_result(migrator, path, folder, forget=()):
    """What the file is after upstream's sync and `torch.save`, or the word for its refusal."""
    try:
        _, migrated, _ = migrator.sync(path)
    except IncompatibleCheckpointException:
        return "incompatible", None
    except Exception as error:
        return "failed", repr(error)[:200]
    saved = folder / "upstream.ckpt"
    for name in forget:
        sys.modules.pop(name, None)
    torch.save(migrated, saved)
    return "migrated", saved


def our_result(store, path, catalogue, target="next"):
    try:
        imported = store.run("import", path, "--name", "case", "--catalogue", catalogue)
        del imported
        output = store.folder / "ours.ckpt"
        store.run("checkout", "case", "--to", target, "-o", output)
    except Refused as error:
        if error.code in INCOMPATIBLE:
            return "incompatible", str(error)
        return ("failed" if error.code == "E_SCRIPT" else error.code), str(error)
    return "migrated", output


def accepted(migrator, path, missing=()):
    """What upstream's own inspection finds wrong with a file."""
    found = []
    has, lacks, extra = migrator.inspect(path)
    if [m.name for m in lacks] != list(missing):
        found.append(f"upstream's inspect misses {[m.name for m in lacks]}, not {list(missing)}")
    if extra:
        found.append(f"upstream's inspect sees {extra} as extra")
    expected = [m.name for m in migrator._grouped_migrations[-1]]
    if [m.name for m in has] != expected[: len(expected) - len(missing)]:
        found.append(f"upstream's inspect sees {[m.name for m in has]} registered")
    return found


def without_deviations(ckpt):
    """The checkpoint less what differs on purpose: see `book/src/deviations.md`."""
    history = ckpt["hyper_parameters"]["metadata"].get("migrations", {}).get("history", [])
    for entry in [*ckpt.get("migrations", []), *history]:
        entry["signature"] = ""
    for entry in ckpt.get("migrations", []):
        versions = getattr(entry["metadata"], "versions", {})
        # Upstream writes its own version where a script has the placeholder for the next one.
        if versions.get("anemoi-models") in ("%NEXT_ANEMOI_MODELS_VERSION%", anemoi.models.__version__):
            versions["anemoi-models"] = "next"
    return ckpt


def check(folder, number, random):
    """One generated case; the kind of outcome and what is wrong with it."""
    case = cases.Case(random, number)
    scripts = folder / f"ckstore_catalogue_{number}"
    scripts.mkdir()
    (scripts / "__init__.py").write_text("")
    for name, source in case.scripts.items():
        (scripts / f"{name}.py").write_text(source)
    migrator = migrator_for(scripts)
    if case.registered or random.random() < 0.95:
        case.ckpt["migrations"] = registered(migrator, case.registered)
    path = folder / f"case_{number}.ckpt"
    torch.save(case.ckpt, path)
    forget = []
    if case.package:
        case.package.install(case.package.now)
        forget = [f"{case.package.name}.gone", f"{case.package.name}.lost"]
    work = folder / f"case_{number}"
    work.mkdir()
    theirs, their_file = upstream_result(migrator, path, work, forget)
    if case.package:
        middle = sys.modules[f"{case.package.name}.old"]
        for name in ("Thing", "Middle"):
            if hasattr(middle, name):
                delattr(middle, name)
    with Store() as store:
        ours, our_file = our_result(store, path, scripts)
        if ours != theirs:
            return theirs, [f"upstream {theirs}: {their_file}; ours {ours}: {our_file}"]
        if ours != "migrated":
            return theirs, []
        left, right = (without_deviations(load(file)) for file in (their_file, our_file))
        found = differences(left, right)
        found += accepted(migrator, our_file)
    return theirs, found


def run(setting):
    count = 40 if setting.short else 300
    tally = collections.Counter()
    good = True
    for number in range(count):
        random = randomness.Random(setting.seed * 100_000 + number)
        case_folder = setting.folder / "generated"
        case_folder.mkdir(exist_ok=True)
        try:
            outcome, found = check(case_folder, number, random)
        except Exception as error:
            outcome, found = "broken", [repr(error)]
            if os.environ.get("CKSTORE_INTEROP_RAISE"):
                raise
        tally[outcome] += 1
        if found:
            good = False
            print(f"FAILED case {number} of seed {setting.seed}: {'; '.join(found)[:1500]}", flush=True)
            kept = os.environ.get("CKSTORE_INTEROP_KEEP")
            if kept:
                shutil.copytree(case_folder / f"ckstore_catalogue_{number}", pathlib.Path(kept) / f"catalogue_{number}", dirs_exist_ok=True)
                shutil.copy(case_folder / f"case_{number}.ckpt", kept)
    print("generated cases: " + ", ".join(f"{n} {word}" for word, n in sorted(tally.items())))
    return good
