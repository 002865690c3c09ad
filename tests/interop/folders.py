"""Folders of shards: names change in them, and torch and safetensors load what is written."""

import json
import pathlib
import shutil

import safetensors.torch
import torch
import torch.distributed.checkpoint
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

import samples
from driver import Refused, Store
from returning import METADATA
from sameness import differences

RENAME = METADATA + """

def migrate(ckpt):
    for key in [key for key in ckpt if not key.endswith((".json", ".md", ".model"))]:
        ckpt["net." + key] = ckpt.pop(key)
    return ckpt
"""

ORIGINALS = pathlib.Path(__file__).parents[1] / "data/folders"


def renamed(name):
    return "net." + name


def sharded(folder, count, stem, ending, save, more=None):
    """Writes a model in shards, as the Hugging Face libraries do."""
    folder.mkdir()
    net, _, _ = samples.trained()
    # Tied weights are in the index once, as `save_pretrained` leaves them.
    items = [(name, value) for name, value in net.state_dict().items() if name != "head.weight"]
    names = [f"{stem}-{place + 1:05}-of-{count:05}.{ending}" for place in range(count)]
    shards = {file: dict(items[place::count]) for place, file in enumerate(names)}
    if more is not None:
        shards[names[0]].update(more)
    weight_map = {}
    for file, tensors in shards.items():
        save(tensors, folder / file)
        weight_map.update((name, file) for name in tensors)
    size = sum(value.nbytes for tensors in shards.values() for value in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / f"{stem}.{ending}.index.json").write_text(json.dumps(index, indent=2))
    (folder / "config.json").write_text('{"hidden_size": 6}')
    return folder


def of_torch(folder):
    shared = torch.arange(24.0)
    views = {"odd.window": shared[3:9], "odd.turned": shared.view(4, 6).t(), "odd.half": torch.randn(3).half()}
    return sharded(folder, 3, "pytorch_model", "bin", torch.save, views)


def of_safetensors(folder):
    def save(tensors, path):
        safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})

    return sharded(folder, 2, "model", "safetensors", save)


def distributed(folder):
    net, made, _ = samples.trained()
    state = {"model": net.state_dict(), "optimizer": made.state_dict(), "step": 7, "notes": ["a", {"b": 1.5}]}
    torch.distributed.checkpoint.save(state, checkpoint_id=folder, no_dist=True)
    return folder


def load_shards(folder):
    """Each shard by its file, and the index by its own."""
    shards = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".safetensors":
            shards[path.name] = safetensors.torch.load_file(path)
        elif path.suffix == ".bin":
            shards[path.name] = torch.load(path, weights_only=True)
    indexes = [json.loads(path.read_text()) for path in folder.glob("*.index.json")]
    return shards, indexes


def compare_shards(before, after):
    """What is wrong with the renamed shards of a folder."""
    (old, old_indexes), (new, new_indexes) = load_shards(before), load_shards(after)
    found = []
    if list(old) != list(new):
        found.append(f"the shards {list(old)} are {list(new)}")
    for file in old.keys() & new.keys():
        expected = {renamed(name): value for name, value in old[file].items()}
        held = {name: new[file][name] for name in sorted(new[file])}
        found += [f"{file}: {what}" for what in differences(dict(sorted(expected.items())), held)]
    for was, index in zip(old_indexes, new_indexes, strict=True):
        expected = {renamed(name): file for name, file in was["weight_map"].items()}
        size = sum(value.nbytes for tensors in new.values() for value in tensors.values())
        if index["weight_map"] != expected or index.get("metadata", {}).get("total_size", size) != size:
            found.append("the index is not the old one with new names")
    return found if old else found + ["there are no shards"]


def load_distributed(folder, beside):
    """All values by their names, as torch puts them together."""
    whole = beside / f"{folder.name}.pt"
    dcp_to_torch_save(folder, whole)
    values = {}

    def flatten(name, value):
        if isinstance(value, dict):
            for key, item in value.items():
                flatten(f"{name}.{key}" if name else str(key), item)
        elif isinstance(value, list) and any(isinstance(item, (dict, list, torch.Tensor)) for item in value):
            for place, item in enumerate(value):
                flatten(f"{name}.{place}", item)
        else:
            values[name] = value

    flatten("", torch.load(whole, weights_only=False))
    return values


def compare_distributed(before, after, beside):
    """What is wrong with a renamed checkpoint of torch.distributed.checkpoint."""
    old, new = load_distributed(before, beside), load_distributed(after, beside)
    expected = {renamed(name): value for name, value in old.items()}
    found = [] if expected.keys() == new.keys() else [f"the names {sorted(expected)} are {sorted(new)}"]
    for name in expected.keys() & new.keys():
        found += [f"{name}: {what}" for what in differences(expected[name], new[name])]
    return found


def compare_whole(folder, converted, beside):
    """What is wrong with a torch file made of a checkpoint of torch.distributed.checkpoint."""
    expected, found = load_distributed(folder, beside), torch.load(converted, weights_only=False)
    if expected.keys() != found.keys():
        return [f"as a torch file, the names {sorted(expected)} are {sorted(found)}"]
    return [f"as a torch file, {name}: {what}" for name in expected for what in differences(expected[name], found[name])]


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check(folder, beside):
    """What is wrong after a folder was migrated and brought back."""
    with Store() as store:
        catalogue = store.catalogue({"1700000000_rename": RENAME})
        try:
            after = store.migrated(folder, catalogue, "--allow-unknown-lineage")
            back = store.folder / "back"
            store.run("checkout", "case", "--to", "base", "-o", back)
            converted = store.folder / "converted.pt"
            if (folder / ".metadata").exists():
                store.run("checkout", "case", "--format", "torch", "-o", converted)
        except Refused as error:
            return [str(error)]
        found = [] if content(back) == content(folder) else ["it did not come back byte for byte"]
        try:
            if (folder / ".metadata").exists():
                found += compare_distributed(folder, after, beside)
                return found + compare_whole(folder, converted, beside)
            return found + compare_shards(folder, after)
        except Exception as error:
            return found + [f"does not load: {error!r:.300}"]


def run(setting):
    """Checks folders that are written here, those of the tests, and those of a corpus."""
    torch.manual_seed(setting.seed)
    folders = [make(setting.folder / make.__name__) for make in (of_torch, of_safetensors, distributed)]
    folders += sorted(path for path in ORIGINALS.iterdir() if path.is_dir())
    if setting.corpus is not None:
        indexes = sorted(setting.corpus.rglob("*.index.json")) + sorted(setting.corpus.rglob(".metadata"))
        folders += [path.parent for path in indexes if path.parent.name != "bad_index"]
    good = True
    for place, folder in enumerate(folders):
        beside = setting.folder / f"case{place}"
        beside.mkdir()
        # Under a path of its own: the corpus may not be written to.
        copy = shutil.copytree(folder, beside / "before")
        found = check(copy, beside)
        good = good and not found
        print(f"{folder.parent.name}/{folder.name}: {'; '.join(found) or 'equal but for the names'}")
    return good
