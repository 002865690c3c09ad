"""Pickled modules: a script renames in the state dict, and real torch loads a module with the new names.

Upstream refuses these files. What must come out is said by each case: where every name goes, in a function from the
state dict before to the one after.
"""

import collections
import json
import pathlib
import warnings
import zipfile

import numpy
import torch
from anemoi.utils.checkpoints import load_metadata, save_metadata

import kinds
from driver import Refused, Store

HEAD = """
import torch
from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(versions={"migration": "1.0.0", "anemoi-models": "1.0.0"})


def migrate(ckpt):
    sd = ckpt["state_dict"]
"""


def prefixed(old, new):
    script = f"for key in list(sd):\n    if key.startswith({old!r}):\n        sd[{new!r} + key[{len(old)}:]] = sd.pop(key)\n"
    return script, lambda sd: {(new + k[len(old):] if k.startswith(old) else k): v for k, v in sd.items()}


def without(*gone):
    script = f"for key in list(sd):\n    if key.startswith({gone!r}):\n        del sd[key]\n"
    return script, lambda sd: {k: v for k, v in sd.items() if not k.startswith(gone)}


def swapped(sd):
    other = {"blocks.0.weight": "blocks.1.weight", "blocks.1.weight": "blocks.0.weight"}
    return {other.get(k, k): v for k, v in sd.items()}


# Name, module, script and expected state dict, names of modules that must be there, names that must be gone.
CASES = [
    ("module-renamed", kinds.Net, *prefixed("first.", "embed."), ["embed"], ["first"]),
    ("container-renamed", kinds.Net, *prefixed("blocks.", "layers."), ["layers.0"], ["blocks"]),
    ("inside-a-sequential", kinds.Net, *prefixed("head.0.", "head.tail."), ["head.tail"], ["head.0"]),
    ("into-another-module", kinds.Net, *prefixed("first.", "named.first."), ["named.first"], ["first"]),
    ("out-of-a-container", kinds.Net, *prefixed("named.norm.", "norm."), ["norm", "named"], ["named.norm"]),
    ("index-moved", kinds.Net, *prefixed("blocks.1.", "blocks.2."), ["blocks.2"], ["blocks.1"]),
    ("leaf-renamed", kinds.Net, 'sd["first.kernel"] = sd.pop("first.weight")', lambda sd: {k.replace("first.weight", "first.kernel"): v for k, v in sd.items()}, ["first"], []),
    ("leaf-to-another-module", kinds.Net, 'sd["head.0.shift"] = sd.pop("first.bias")', lambda sd: {k.replace("first.bias", "head.0.shift"): v for k, v in sd.items()}, ["first"], []),
    ("buffer-renamed", kinds.Net, 'sd["factor"] = sd.pop("scale")', lambda sd: {k.replace("scale", "factor"): v for k, v in sd.items()}, [], []),
    ("buffer-into-a-module", kinds.Net, 'sd["first.scale"] = sd.pop("scale")', lambda sd: {("first.scale" if k == "scale" else k): v for k, v in sd.items()}, [], []),
    ("exchanged", kinds.Net, 'sd["blocks.0.weight"], sd["blocks.1.weight"] = sd["blocks.1.weight"], sd["blocks.0.weight"]', swapped, ["blocks.0", "blocks.1"], []),
    ("module-dropped", kinds.Net, *without("named.norm."), ["blocks.1"], ["named"]),
    ("leaf-dropped", kinds.Net, *without("first.bias"), ["first"], []),
    ("values-changed", kinds.Net, 'sd["first.weight"] = sd["first.weight"] * 2\nsd["scale"] = sd["scale"] + 1', lambda sd: {k: (v * 2 if k == "first.weight" else v + 1 if k == "scale" else v) for k, v in sd.items()}, [], []),
    ("dict-replaced", kinds.Net, 'ckpt["state_dict"] = {k.replace("first.", "embed.").replace("head.", "tail."): v for k, v in sd.items()}', lambda sd: {k.replace("first.", "embed.").replace("head.", "tail."): v for k, v in sd.items()}, ["embed", "tail.1"], ["first", "head"]),
    ("through-state-dict", kinds.Net, 'sd = ckpt.state_dict()\nfor key in list(sd):\n    sd[key.replace("first.", "embed.")] = sd.pop(key)', lambda sd: {k.replace("first.", "embed."): v for k, v in sd.items()}, ["embed"], ["first"]),
    ("new-buffer", kinds.Net, 'sd["first.mask"] = torch.ones(3)', lambda sd: {**sd, "first.mask": torch.ones(3)}, [], []),
    ("new-parameter", kinds.Net, 'sd["first.gain"] = torch.nn.Parameter(torch.ones(3))', lambda sd: {**sd, "first.gain": torch.ones(3)}, [], []),
    ("renamed-and-changed", kinds.Net, 'sd["first.weight"] = sd["first.weight"].t().contiguous()\nfor key in list(sd):\n    if key.startswith("blocks."):\n        sd["layers" + key[6:]] = sd.pop(key)', lambda sd: {k.replace("blocks.", "layers."): (v.t() if k == "first.weight" else v) for k, v in sd.items()}, ["layers.1"], ["blocks"]),
    ("tied-one-renamed", kinds.Tied, *prefixed("encoder.", "enc."), ["enc", "decoder"], ["encoder"]),
    ("tied-both-renamed", kinds.Tied, 'ckpt["state_dict"] = {k.replace("encoder", "a").replace("decoder", "b"): v for k, v in sd.items()}', lambda sd: {k.replace("encoder", "a").replace("decoder", "b"): v for k, v in sd.items()}, ["a", "b"], ["encoder"]),
    ("tied-one-dropped", kinds.Tied, *without("decoder."), ["encoder"], ["decoder"]),
    ("deep", kinds.Deep, *prefixed("stages.a.0.", "stages.a.pair."), ["stages.a.pair.encoder"], ["stages.a.0"]),
    ("deep-outer", kinds.Deep, *prefixed("stages.", "steps."), ["steps.b.0.decoder"], ["stages"]),
    ("deep-parameter", kinds.Deep, *prefixed("gain", "stages.b.gain"), [], []),
    ("lightning", kinds.Wrapped, *prefixed("model.", "net."), ["net.blocks.0"], ["model"]),
    ("lightning-inner", kinds.Wrapped, *prefixed("model.first.", "model.embed."), ["model.embed"], ["model.first"]),
    ("sequential", lambda: torch.nn.Sequential(collections.OrderedDict(a=torch.nn.Linear(2, 2), b=torch.nn.ReLU(), c=torch.nn.BatchNorm1d(2))), *prefixed("c.", "norm."), ["norm"], ["c"]),
    ("nothing", kinds.Net, "pass", dict, ["first"], []),
]

# Name, module, script and what the refusal must say.
REFUSED = [
    ("no-module-for-a-new-name", kinds.Net, 'sd["nowhere.weight"] = torch.ones(2)', "there is no module `nowhere`"),
    ("everything-below-a-new-module", kinds.Net, *prefixed("", "model.")[:1], "there is no module `model`"),
    ("no-tensor", kinds.Net, 'sd["first.weight"] = [1.0]', "is no tensor"),
    ("both-changed", kinds.Net, 'del ckpt.first\nsd["factor"] = sd.pop("scale")', "changed both"),
    ("another-key", kinds.Net, 'ckpt["epoch"] = 1', "no place for `epoch`"),
]


def load(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=False)


def source(body):
    return HEAD + "".join(f"    {line}\n" for line in body.split("\n") if line) + "    return ckpt\n"


def migrated(store, path, body):
    catalogue = store.catalogue({"1700000000_case": source(body)})
    (catalogue / "catalogue.toml").write_text('policy = "last-done"\n')
    return store.migrated(path, catalogue)


def check(folder, name, make, body, expected, there, gone):
    torch.manual_seed(7)
    path = folder / f"{name}.pt"
    torch.save(make(), path)
    wanted = expected(load(path).state_dict())
    with Store() as store:
        result = load(migrated(store, path, body))
        listed = {entry["path"] for entry in store.run("ls", "case")["tensors"]}
    found = []
    have = result.state_dict()
    if set(have) != set(wanted):
        found.append(f"names {sorted(set(have) ^ set(wanted))} are in one only")
    found += [f"{key} differs" for key in wanted if key in have and not torch.equal(wanted[key], have[key])]
    modules = dict(result.named_modules(remove_duplicate=False))
    found += [f"module {module} is missing" for module in there if module not in modules]
    found += [f"module {module} is still there" for module in gone if module in modules]
    # A tensor that two modules share is listed once.
    listed_tensors = {have[key].data_ptr() for key in listed & set(have)}
    found += [f"ls does not name {key}" for key in have if have[key].data_ptr() not in listed_tensors]
    parameters = {key for key, _ in load(path).named_parameters(remove_duplicate=False)}
    if name == "tied-both-renamed" and result.a.weight is not result.b.weight:
        found.append("the tied weights are two")
    now = {key for key, _ in result.named_parameters(remove_duplicate=False)}
    if len(now) < len(parameters & set(load(path).state_dict())) and not name.endswith("dropped"):
        found.append("a parameter is one no more")
    return found


def check_refused(folder, name, make, body, said):
    path = folder / f"{name}.pt"
    torch.save(make(), path)
    with Store() as store:
        try:
            migrated(store, path, body)
        except Refused as error:
            wrong = error.code != "E_SCRIPT" or said not in error.message
            return [f"it said {error.code}: {error.message}"] if wrong else []
    return ["it was not refused"]


def check_embedded(folder):
    """anemoi's form: the same with a metadata file and arrays in the archive."""
    path = folder / "inference.ckpt"
    torch.save(kinds.Net(), path)
    before = {"version": "1.0.0", "migrations": {"history": [{"type": "migrate", "name": "earlier", "signature": "s"}]}}
    save_metadata(path, before, supporting_arrays={"mask": numpy.arange(4), "deep": {"x": numpy.ones(2, dtype="f4")}})
    old, old_arrays = load_metadata(path, supporting_arrays=True)
    with Store() as store:
        output = migrated(store, path, prefixed("first.", "embed.")[0])
        result = load(output)
        now, arrays = load_metadata(output, supporting_arrays=True)
        names = zipfile.ZipFile(output).namelist()
    found = [] if "embed.weight" in result.state_dict() else ["the module is not migrated"]
    history = now["migrations"].pop("history")
    old["migrations"].pop("history")
    if now != old:
        found.append(f"the metadata changed: {json.dumps(now)[:200]}")
    if [entry["name"] for entry in history] != ["earlier", "1700000000_case"]:
        found.append(f"its history is {history}")
    if not (arrays["mask"] == old_arrays["mask"]).all() or not (arrays["deep"]["x"] == 1).all():
        found.append("its arrays changed")
    if len({name.split("/")[0] for name in names}) != 1:
        found.append("torch wants one folder in the archive")
    return found


def run(setting):
    checks = [(case[0], lambda case=case: check(setting.folder, *case)) for case in CASES]
    checks += [(case[0], lambda case=case: check_refused(setting.folder, *case)) for case in REFUSED]
    checks.append(("embedded-metadata", lambda: check_embedded(setting.folder)))
    good = 0
    for name, act in checks:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = act()
        except Refused as error:
            found = [str(error)[-400:]]
        except Exception as error:
            found = [f"the case itself fails: {error!r:.300}"]
        good += not found
        if found:
            print(f"FAILED {name}: {'; '.join(found)[:700]}", flush=True)
    print(f"inference checkpoints: {good} of {len(checks)} cases right")
    return good == len(checks)
