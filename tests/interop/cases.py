"""Generated checkpoints and catalogues, of the kind that weather models have."""

import argparse
import collections
import dataclasses
import enum
import sys
import types

import numpy
import omegaconf
import torch
from anemoi.utils.config import DotDict

PARTS = ("encoder", "processor", "decoder", "encoder_graph_provider", "residual")
LEAVES = ("weight", "bias", "edge_inc", "norm.weight", "trainable.trainable", "mlp.0.weight", "node_dst_mlp.2.bias")
DTYPES = (torch.float32,) * 5 + (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool)


class Box:
    def __init__(self, **fields):
        self.__dict__.update(fields)


@dataclasses.dataclass
class Plan:
    name: str
    rate: float = 0.5
    stages: list = dataclasses.field(default_factory=list)


class Phase(enum.Enum):
    WARM = "warm"
    COLD = "cold"


def tensor(random):
    shape = tuple(random.randint(1, 4) for _ in range(random.choice((1, 1, 2, 2, 2, 3))))
    dtype = random.choice(DTYPES)
    count = 1
    for extent in shape:
        count *= extent
    if dtype is torch.bool:
        made = torch.tensor([random.random() < 0.5 for _ in range(count)])
    elif dtype.is_floating_point:
        made = torch.tensor([random.uniform(-3, 3) for _ in range(count)], dtype=torch.float64).to(dtype)
    else:
        made = torch.tensor([random.randint(0, 100) for _ in range(count)]).to(dtype)
    made = made.reshape(shape)
    kind = random.random()
    if kind < 0.1 and made.ndim == 2:
        return made.t()
    if kind < 0.2:
        return made[: random.randint(1, shape[0])]
    if kind < 0.3 and dtype.is_floating_point:
        return torch.nn.Parameter(made)
    return made


def state_dict(random):
    made = collections.OrderedDict() if random.random() < 0.7 else {}
    for part in random.sample(PARTS, random.randint(1, len(PARTS))):
        for block in range(random.randint(1, 3)):
            for leaf in random.sample(LEAVES, random.randint(1, 4)):
                made[f"model.model.{part}.proc.{block}.{leaf}"] = tensor(random)
    keys = list(made)
    for _ in range(random.randint(0, 2)):
        made[f"{random.choice(keys)}.tied"] = made[random.choice(keys)]
    made["model.model.first.weight"] = torch.tensor([[1.5, -2.0, 0.25], [4.0, 0.5, -8.0]])
    made["model.model.second.weight"] = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    if isinstance(made, collections.OrderedDict) and random.random() < 0.5:
        made._metadata = collections.OrderedDict({"": {"version": 1}})
    return made


def plain_config(random):
    config = {
        "model": {"num_layers": 4, "num_chunks": 2, "activation": "GELU", "layer_kernels": {"Linear": {"_target_": "x.y"}}},
        "training": {"lr": 1e-3, "swa": {"enabled": False}, "losses": ["mse", "mae"], "max_epochs": None},
        "data": {"forcing": ["a", "b"], "diagnostic": [], "normalizer": {"default": "mean-std"}},
        "hardware": {"paths": {"data": "/data", "output": "/out"}, "num_gpus": 4},
    }
    if random.random() < 0.3:
        config["graph"] = {"nodes": [{"name": "data"}, {"name": "hidden"}], "overwrite": True}
    return config


def config(random):
    kind = random.choice(("dict", "DotDict", "DotDict", "OmegaConf"))
    made = plain_config(random)
    if kind == "DotDict":
        return kind, DotDict(made)
    if kind == "OmegaConf":
        return kind, omegaconf.OmegaConf.create(made)
    return kind, made


def checkpoint(random, package):
    """A checkpoint and what a script must know of it."""
    kind, made_config = config(random)
    shared = [1, 2, {"three": 3}]
    metadata = {"version": "1.0", "uuid": "00ff", "provenance_training": {"packages": ["a", "b"]}}
    if random.random() < 0.3:
        metadata["migrations"] = {"history": []}
    parameters = {
        "config": made_config,
        "metadata": metadata,
        "data_indices": argparse.Namespace(data={"input": torch.arange(3)}, name_to_index={"q": 0, "t": 1}),
        "statistics": {"mean": numpy.array([1.0, 2.0]), "stdev": numpy.float32(0.5)},
        "graph_data": {"data": torch.arange(4.0), "hidden": None},
    }
    ckpt = {
        "epoch": random.randint(0, 9),
        "global_step": 100,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": state_dict(random),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5), "paths": ["a", "b", "c"]}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
        "lr_schedulers": [],
        "hyper_parameters": parameters,
        "shared": shared,
        "again": [shared, shared],
        "box": Box(a=1, items=shared, inner=Box(b=[None, True])),
        "plan": Plan("cosine", stages=[shared, "x"]),
        "phase": random.choice(list(Phase)),
        "names": {"b", "a", "c"},
        "pair": (1, [2], "three"),
        "ring": [],
    }
    ckpt["ring"].append(ckpt["ring"])
    if package is not None:
        ckpt["moved"] = [package.old("Thing", x=1, items=shared), package.gone("Part", y=[2.5])]
        ckpt["lost"] = package.lost("Ghost", z=1)
    return ckpt, kind


class Package:
    """Modules of a case's own: classes as they were when the checkpoint was written, and as they are now."""

    def __init__(self, number):
        self.name = f"ckstore_case_{number}"
        self.then = {"old": ["Thing", "Stays"], "gone": ["Part"], "lost": ["Ghost"], "new": ["Thing2", "Part", "Renamed"]}
        self.now = {"old": ["Stays"], "new": ["Thing2", "Part", "Renamed"]}
        self.install(self.then)

    def install(self, modules):
        for name in [name for name in sys.modules if name == self.name or name.startswith(self.name + ".")]:
            del sys.modules[name]
        top = sys.modules[self.name] = types.ModuleType(self.name)
        top.__path__ = []
        for module, classes in modules.items():
            path = f"{self.name}.{module}"
            made = sys.modules[path] = types.ModuleType(path)
            setattr(top, module, made)
            for cls in classes:
                setattr(made, cls, type(cls, (), {"__module__": path}))

    def make(self, module, cls, fields):
        made = getattr(sys.modules[f"{self.name}.{module}"], cls)()
        vars(made).update(fields)
        return made

    def old(self, cls, **fields):
        return self.make("old", cls, fields)

    def gone(self, cls, **fields):
        return self.make("gone", cls, fields)

    def lost(self, cls, **fields):
        return self.make("lost", cls, fields)

    def setup(self, random):
        """Bodies of `migrate_setup`, one a script, and what the last script must do."""
        moves = [f'context.move_module("{self.name}.gone", "{self.name}.new")']
        if random.random() < 0.5:
            moves.append(f'context.move_attribute("{self.name}.old.Thing", "{self.name}.new.Thing2")')
        else:
            moves.append(f'context.move_attribute("{self.name}.old.Thing", "{self.name}.old.Middle")')
            moves.append(f'context.move_attribute("{self.name}.old.Middle", "{self.name}.new.Renamed")')
        if random.random() < 0.5:
            moves.insert(0, f'context.delete_module("{self.name}.lost")')
        else:
            moves.insert(0, f'context.delete_attribute("{self.name}.lost.Ghost")')
        return moves


ANY = """
sd = ckpt["state_dict"]
for key in [k for k in sd if "{a}" in k]:
    sd[key.replace("{a}", "{b}")] = sd.pop(key)
---
sd = ckpt["state_dict"]
updates = {{}}
for key in list(sd.keys()):
    if key.startswith("model.model.{part}."):
        updates[key.replace("model.model.{part}.", "model.model.{part}.data.")] = sd[key]
        del sd[key]
ckpt["state_dict"].update(updates)
---
ckpt["state_dict"] = collections.OrderedDict((re.sub(r"proc\\.(\\d+)\\.", lambda m: f"proc.{{int(m[1]) + {n}}}.", k), v) for k, v in ckpt["state_dict"].items())
---
ckpt["state_dict"] = {{k.removeprefix("model."): v for k, v in ckpt["state_dict"].items() if not k.endswith("{leaf}")}}
---
for key in sorted(ckpt["state_dict"], reverse=True):
    if key.endswith("{leaf}"):
        del ckpt["state_dict"][key]
---
ckpt["state_dict"].pop("model.model.{part}.proc.0.{leaf}", None)
---
sd = ckpt["state_dict"]
first = next(iter(sd))
sd["model.alias.{n}"] = sd[first]
sd["model.copy.{n}"] = sd[first].clone()
---
ckpt["state_dict"]["model.new.{n}"] = torch.zeros({n}, 3)
ckpt["state_dict"]["model.ones.{n}"] = torch.ones(({n},), dtype=torch.int64)
ckpt["state_dict"]["model.full"] = torch.full((2, 2), {n}.5, dtype=torch.float64)
ckpt["state_dict"]["model.range"] = torch.arange({n} + 2)
---
sd = ckpt["state_dict"]
for key, value in list(sd.items()):
    if value.ndim == 2:
        sd[key] = value.t().contiguous()
---
sd = ckpt["state_dict"]
for key, value in sd.items():
    if value.is_floating_point():
        sd[key] = value.{cast}()
---
sd = ckpt["state_dict"]
for key, value in sd.items():
    if value.dtype == torch.float32 and value.dim() > 1:
        sd[key] = value.to(torch.{dtype})
---
sd = ckpt["state_dict"]
w = sd.pop("model.model.first.weight", None)
if w is not None:
    a, b = w.chunk(2, dim=0)
    sd["model.model.first.a"], sd["model.model.first.b"] = a.clone(), b
---
sd = ckpt["state_dict"]
w = sd.get("model.model.second.weight")
if w is not None:
    sd["model.joined"] = torch.cat([w, w * {n}], dim={dim})
    sd["model.stacked"] = torch.stack([w, w])
---
sd = ckpt["state_dict"]
for key in list(sd):
    if "weight" in key and sd[key].numel() % 2 == 0:
        sd[key] = sd[key].reshape(2, -1)
---
sd = ckpt["state_dict"]
for key, value in sd.items():
    if value.dtype in (torch.float32, torch.float64):
        sd[key] = value * 2 + 1
---
sd = ckpt["state_dict"]
w = sd.get("model.model.second.weight")
if w is not None and w.dim() == 2 and w.shape[1] == 3:
    sd["model.picked"] = w.index_select(1, torch.tensor([2, 0, 1]))
    sd["model.column"] = w[:, {dim}]
    sd["model.rows"] = w[1:]
    sd["model.flipped"] = w.permute(1, 0)
---
sd = ckpt["state_dict"]
total = sum(v.numel() for v in sd.values())
ckpt["elements"] = total
ckpt["shapes"] = {{k: tuple(v.shape) for k, v in sd.items()}}
ckpt["largest"] = max(sd, key=lambda k: sd[k].numel())
---
w = ckpt["state_dict"].get("model.model.first.weight")
if w is not None and (w > 1).any().item():
    ckpt["maximum"] = w.max().item()
    ckpt["sum"] = float(w.float().sum())
---
ckpt["hyper_parameters"]["data_indices"] = {{"data": ckpt["hyper_parameters"].pop("data_indices")}}
---
ckpt["hyper_parameters"]["statistics"] = {{"data": ckpt["hyper_parameters"].pop("statistics")}}
ckpt["hyper_parameters"].setdefault("statistics_tendencies", None)
---
ckpt["extra_{n}"] = {{"a": [1, 2.5, None, True, "x"], "b": (1, (2,)), "c": {{1, 2}}, "d": b"bytes", "e": {n} << 70}}
---
ckpt["again"].append(ckpt["shared"])
ckpt["again"].insert(0, "first")
ckpt["shared"][2]["four"] = [4]
---
ckpt["again"] = ckpt["again"][::-1]
ckpt["shared"].extend([5, 6])
ckpt["shared"].remove(2) if 2 in ckpt["shared"] else None
---
box = ckpt["box"]
box.a = {n}
box.new = {{"x": box.inner}}
if hasattr(box, "items"):
    box.moved = box.items
    del box.items
---
plan = ckpt["plan"]
plan.rate = plan.rate * 2
plan.stages.append(plan)
setattr(plan, "extra", getattr(plan, "missing", "default"))
---
vars(ckpt["box"])["through_vars"] = sorted(vars(ckpt["box"]))
---
ckpt["was_warm"] = ckpt["phase"].value == "warm"
---
ckpt["names"].add("d")
ckpt["names"].discard("a")
ckpt["pair"] = ckpt["pair"] + (4,)
---
ckpt["self_{n}"] = {{"checkpoint": ckpt["loops"], "ring": ckpt["ring"]}}
ckpt["ring"].append(ckpt["pair"])
---
ckpt["copied"] = copy.deepcopy(ckpt["again"])
ckpt["shallow"] = copy.copy(ckpt["loops"])
---
for group in ckpt["optimizer_states"][0]["param_groups"]:
    group["param_names"] = [f"model.{{i}}" for i in group["params"]]
    group["lr"] /= 10
---
ckpt["callbacks"]["ModelCheckpoint"]["paths"] = [p.upper() for p in ckpt["callbacks"]["ModelCheckpoint"]["paths"] if p != "b"]
ckpt["callbacks"]["Other"] = dict(ckpt["callbacks"]["ModelCheckpoint"])
---
try:
    ckpt["never"] = ckpt["missing"]["deep"]
except KeyError as error:
    ckpt["caught"] = str(error)
---
ckpt = dict(ckpt)
ckpt["made"] = "anew"
---
ckpt = {{**ckpt, "spread": [*ckpt["again"], *"ab"]}}
---
ckpt["epoch"], ckpt["global_step"] = ckpt["global_step"], ckpt["epoch"]
---
ckpt["hyper_parameters"]["graph_data"] = OrderedDict(ckpt["hyper_parameters"]["graph_data"])
ckpt["count"] = Counter("abca")
ckpt["groups"] = collections.defaultdict(list)
ckpt["groups"]["x"].append(ckpt["shared"])
---
ckpt["hyper_parameters"]["metadata"]["provenance_training"]["packages"].pop()
ckpt["hyper_parameters"]["metadata"]["edited"] = "{{:03d}}".format({n})
---
if (first := ckpt["again"][0]) is ckpt["again"][-1] or first is ckpt["shared"]:
    ckpt["same"] = True
match ckpt["epoch"]:
    case int(n) if n > 4:
        ckpt["late"] = n
    case _:
        ckpt["late"] = None
"""

ATTRIBUTE_CONFIG = """
config = ckpt["hyper_parameters"]["config"]
config.model.num_layers = config.model.num_layers * 2
config.training.weight_averaging = None
config.training.pop("swa", None)
---
config = ckpt["hyper_parameters"]["config"]
config.system = config.pop("hardware", None)
---
config = ckpt["hyper_parameters"]["config"]
config.model.layer_kernels = {{"Linear": {{"_target_": "torch.nn.Linear"}}, "n": {n}}}
config.model.layer_kernels.more = [1, {{"deep": True}}]
---
config = ckpt["hyper_parameters"]["config"]
config.training.losses.append("huber")
config.data.forcing = list(config.data.forcing) + ["c"]
---
config = ckpt["hyper_parameters"]["config"]
if "graph" in config and config.graph.get("overwrite", False):
    config.graph.nodes[0].name = "renamed"
    config.graph["overwrite"] = None
---
config = ckpt["hyper_parameters"]["config"]
ckpt["copied_names"] = [str(name) for name in config.data.forcing]
ckpt["keys"] = sorted(config.keys())
ckpt["layers"] = getattr(config.model, "num_layers", 0) + config.model.get("missing", 3)
---
config = ckpt["hyper_parameters"]["config"]
config["training"]["lr"] = float(config["training"]["lr"]) / 2
for name in list(config["model"]):
    if name.startswith("num_"):
        config["model"]["new_" + name] = config["model"].pop(name)
---
config = ckpt["hyper_parameters"]["config"]
config.data.update({{"added": {{"a": 1}}, "forcing": []}})
---
config = ckpt["hyper_parameters"]["config"]
if not hasattr(config, "absent") and hasattr(config.model, "activation"):
    config.model.activation = {{"_target_": config.model.activation}}
---
config = ckpt["hyper_parameters"]["config"]
config.model.chunks = {{str(i): [i] for i in range({n})}}
del config["data"]["diagnostic"]
"""

ITEM_CONFIG = """
config = ckpt["hyper_parameters"]["config"]
config["model"]["num_layers"] *= 2
config["training"].pop("swa", None)
---
config = ckpt["hyper_parameters"]["config"]
config["system"] = config.pop("hardware", None)
---
config = ckpt["hyper_parameters"]["config"]
config["data"].update(added={{"a": 1}}, forcing=[])
config["training"]["losses"] += ["huber"]
"""

SCRIPT = '''"""{name}."""

import collections
import copy
import re
from collections import Counter, OrderedDict

import torch

from anemoi.models.migrations import CkptType
from anemoi.models.migrations import MigrationContext
from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(
    versions={{
        "migration": "1.0.0",
        "anemoi-models": "{version}",
    }},
{final})
{setup}

def migrate(ckpt: CkptType) -> CkptType:
{body}
    return ckpt
'''

FINAL = '''from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(versions={{"migration": "1.0.0", "anemoi-models": "{version}"}}, final=True)
'''


def action(random, kind):
    pool = ANY.strip("\n").split("\n---\n")
    if random.random() < 0.35:
        pool = (ITEM_CONFIG if kind == "dict" else ATTRIBUTE_CONFIG).strip("\n").split("\n---\n")
    chosen = random.choice(pool)
    words = {
        "a": random.choice((".proc.", "encoder", ".0.", "weight", "model.model.", "mlp")),
        "b": random.choice((".processor.", "enc", ".9.", "w", "model.", "mlp.mlp")),
        "part": random.choice(PARTS),
        "leaf": random.choice(LEAVES),
        "n": random.randint(1, 4),
        "dim": random.randint(0, 1),
        "cast": random.choice(("half", "bfloat16", "double", "float")),
        "dtype": random.choice(("float16", "bfloat16", "float64", "int64", "int32")),
    }
    return chosen.format(**words)


def indent(text):
    return "\n".join(f"    {line}" if line else "" for line in text.split("\n"))


class Case:
    """A checkpoint, the catalogue it meets, and how many of its migrations the checkpoint has."""

    def __init__(self, random, number):
        self.number = number
        self.package = Package(number) if random.random() < 0.35 else None
        self.ckpt, self.kind = checkpoint(random, self.package)
        self.scripts = {}
        self.finals = []
        setups = self.package.setup(random) if self.package else []
        count = random.randint(max(1, len(setups)), 4)
        names = []
        minor = 0
        for place in range(random.randint(0, 2)):
            minor += random.randint(0, 1)
            name = f"{1700000000 + place}_early"
            self.scripts[name] = self.script(random, name, f"0.{minor}.0", "")
            names.append(name)
        if random.random() < 0.3:
            minor += 1
            name = "1700000100_final"
            self.scripts[name] = FINAL.format(version=f"0.{minor}.0")
            self.finals.append(name)
            names.append(name)
        registered = len(names)
        for place in range(count):
            minor += random.randint(0, 1)
            name = f"{1700000200 + place}_step"
            setup = f"\n\ndef migrate_setup(context: MigrationContext) -> None:\n    {setups[place]}\n" if place < len(setups) else ""
            version = "%NEXT_ANEMOI_MODELS_VERSION%" if place == count - 1 and random.random() < 0.2 else f"0.{minor}.1"
            self.scripts[name] = self.script(random, name, version, setup, drop_lost=bool(setups) and place == 0)
            names.append(name)
        last_final = max((names.index(name) for name in self.finals), default=None)
        # The checkpoint is of the last group, or now and then of the one before.
        if last_final is None:
            self.registered = names[: random.randint(0, registered)]
            if self.package:
                self.registered = names[:registered]
        elif random.random() < 0.15:
            self.registered = names[: random.randint(0, last_final)]
        else:
            self.registered = names[last_final:registered]

    def script(self, random, name, version, setup, drop_lost=False):
        parts = [action(random, self.kind) for _ in range(random.randint(1, 3))]
        if drop_lost:
            parts.insert(0, 'ckpt.pop("lost", None)')
        return SCRIPT.format(name=name, version=version, final="", setup=setup, body=indent("\n".join(parts)))
