"""Files come back byte for byte, and with one key more when a migration adds one."""

import collections
import json
import pathlib
import warnings

import omegaconf
import torch

import samples
from driver import Refused, Store
from sameness import differences

METADATA = """
import omegaconf
import torch
from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(versions={"migration": "1.0.0", "anemoi-models": "1.0.0"})
"""

PROBE = METADATA + """

def migrate(ckpt):
    if isinstance(ckpt, dict):
        ckpt["ckstore_probe"] = 1
    elif isinstance(ckpt, list):
        ckpt.append("ckstore_probe")
    elif isinstance(ckpt, (torch.nn.Module, omegaconf.DictConfig)) or hasattr(ckpt, "__dict__"):
        ckpt.ckstore_probe = 1
    return ckpt
"""

# Families of which nothing is loaded: their files are hostile, or no torch files.
NOT_LOADED = {"malicious"}

# Formats of torch that come back as they were, and are refused a change: a module's code is in them, or other shards.
READ_ONLY = {"torch-archive", "torch-row", "torch-tar"}


class Outcome:
    """What became of one file."""

    def __init__(self, family, path):
        self.family, self.path = family, path
        self.returned = self.rewritten = self.weights_only = self.read_only = None
        self.notes = []


def check(family, path):
    outcome = Outcome(family, path)
    with Store() as store:
        try:
            imported = store.run("import", path, "--name", "case")
            back = store.folder / "back"
            store.run("checkout", "case", "--revision", imported["revision"], "-o", back)
        except Refused as error:
            outcome.returned = False
            outcome.notes.append(str(error))
            return outcome
        outcome.returned = back.read_bytes() == path.read_bytes()
        outcome.notes.append(imported["format"])
    if imported["format"] in READ_ONLY:
        refuse(outcome)
    elif imported["format"].startswith("torch"):
        rewrite(outcome)
    return outcome


def refusable_files(corpus):
    """Files that the corpus' manifest does not promise to be sound."""
    manifest = corpus / "manifest.json" if corpus is not None else None
    if manifest is None or not manifest.exists():
        return set()
    return {corpus / entry["path"] for entry in json.loads(manifest.read_text()) if entry["ok"] is not True}


def load(path, weights_only=False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location=None, weights_only=weights_only)


def refuse(outcome):
    """Makes sure that a change is refused in good order, and not written wrong."""
    with Store() as store:
        catalogue = store.catalogue({"1700000000_probe": PROBE})
        try:
            store.migrated(outcome.path, catalogue, "--allow-unknown-lineage")
            outcome.read_only = False
            outcome.notes.append("it was rewritten, though its format only comes back as it was")
        except Refused as error:
            outcome.read_only = error.code == "E_NOT_MIGRATABLE"
            outcome.notes.append(str(error))


def rewrite(outcome):
    try:
        before = load(outcome.path)
    except Exception as error:
        outcome.notes.append(f"torch itself does not load it: {error!r:.80}")
        return
    with Store() as store:
        catalogue = store.catalogue({"1700000000_probe": PROBE})
        # The probe shall run whatever migrations of other catalogues the file has.
        (catalogue / "catalogue.toml").write_text('policy = "last-done"\n')
        try:
            path = store.migrated(outcome.path, catalogue, "--allow-unknown-lineage")
        except Refused as error:
            outcome.rewritten = False
            outcome.notes.append(str(error))
            return
        try:
            after = load(path)
        except Exception as error:
            outcome.rewritten = False
            outcome.notes.append(f"does not load: {error!r:.200}")
            return
        try:
            found = differences(before, without_probe(before, after))
        except Exception as error:
            found = [f"the result is not as the migration leaves it: {error!r}"]
        outcome.rewritten = not found
        outcome.notes += found
        try:
            load(outcome.path, weights_only=True)
        except Exception:
            return
        try:
            load(path, weights_only=True)
            outcome.weights_only = True
        except Exception as error:
            outcome.weights_only = False
            outcome.notes.append(f"does not load with weights_only: {error!r:.300}")


def without_probe(before, after):
    """The migrated object less what the migration and its entry in the file's list added."""
    if isinstance(after, list):
        if after.pop() != "ckstore_probe":
            raise AssertionError("the probe is not there")
        return after
    if not isinstance(after, dict):
        if isinstance(after, omegaconf.DictConfig):
            # Its own `pop` would fill a cache that the pickle left empty.
            del vars(after)["_content"]["ckstore_probe"]
        elif not isinstance(after, torch.Tensor) and hasattr(after, "__dict__"):
            del after.ckstore_probe
        return after
    if after.pop("ckstore_probe") != 1:
        raise AssertionError("the probe is not there")
    listed = after["migrations"]
    if listed[-1]["name"] != "1700000000_probe":
        raise AssertionError("the migration is not in the list")
    if "migrations" in before:
        del listed[-1]
    else:
        del after["migrations"]
    metadata = before.get("hyper_parameters", {})
    metadata = metadata.get("metadata") if isinstance(metadata, dict) else None
    if isinstance(metadata, dict):
        now = after["hyper_parameters"]["metadata"]
        if "migrations" not in metadata:
            del now["migrations"]
        elif "history" not in metadata["migrations"]:
            del now["migrations"]["history"]
        else:
            del now["migrations"]["history"][-1]
    return after


def run(setting):
    """Checks generated files and those of a corpus; prints a table and returns whether all is well."""
    cases = [("generated", path) for _, path in samples.write(setting.folder)]
    if setting.corpus is not None:
        for path in sorted(setting.corpus.rglob("*")):
            family = path.relative_to(setting.corpus).parts[0]
            if path.is_file() and len(path.relative_to(setting.corpus).parts) > 1 and family not in NOT_LOADED:
                cases.append((family, path))
    refusable = refusable_files(setting.corpus)
    table = collections.defaultdict(collections.Counter)
    good = True
    for family, path in cases:
        outcome = check(family, path)
        row = table[family]
        row["files"] += 1
        for word in ("returned", "rewritten", "weights_only", "read_only"):
            answer = getattr(outcome, word)
            row[word] += answer is True
            row[f"{word} of"] += answer is not None
            if answer is False and path in refusable:
                row["refused"] += 1
            elif answer is False:
                good = False
                print(f"FAILED {family}/{path.name}: not {word}: {'; '.join(outcome.notes)}")
    print(f"{'family':<14}{'files':>6}{'byte for byte':>16}{'rewritten equal':>18}{'weights_only':>15}{'only as it was':>16}{'refused':>9}")
    for family, row in sorted(table.items()):
        cells = [f"{row[w]}/{row[w + ' of']}" for w in ("returned", "rewritten", "weights_only")]
        print(f"{family:<14}{row['files']:>6}{cells[0]:>16}{cells[1]:>18}{cells[2]:>15}{row['read_only']:>16}{row['refused']:>9}")
    return good
