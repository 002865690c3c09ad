"""The migrations that anemoi-models ships, run as they are, here and there, from every place of its list on."""

import collections
import pathlib
import random as randomness
import sys
import types

import anemoi.models.migrations.scripts as scripts
import omegaconf
import torch
from anemoi.models.migrations import Migrator
from anemoi.utils.config import DotDict

from driver import Refused, Store
from sameness import differences
from upstream import accepted, load, registered, upstream_result, without_deviations

FOLDER = pathlib.Path(next(iter(scripts.__path__)))
# It asks for the live model and does nothing without one; see `book/src/deviations.md`.
NEEDS_A_MODEL = "1779202136_trainable_edge_perm_fix"


def state_dict(random, layers, chunks):
    made = collections.OrderedDict()
    draw = lambda *shape: torch.randn(*shape, generator=torch.Generator().manual_seed(random.randrange(1 << 30)))
    for chunk in range(chunks):
        for block in range(layers // chunks):
            for name in ("lin_key.weight", "projection.bias", "node_dst_mlp.0.weight", "node_dst_mlp.2.bias"):
                made[f"model.model.processor.proc.{chunk}.blocks.{block}.{name}"] = draw(4, 3)
    for part in ("encoder", "processor", "decoder"):
        made[f"model.model.{part}.trainable.trainable"] = draw(5, 2)
        made[f"model.model.{part}.edge_inc"] = torch.arange(2)
        made[f"model.model.{part}.proc.node_src_mlp.0.weight"] = draw(3, 3)
    for kind in ("pre", "post"):
        made[f"model.{kind}_processors.normalizer._norm_mul"] = draw(7)
    for place in ("data", "hidden"):
        made[f"model.model.node_attributes.latlons_{place}"] = draw(6, 4)
        made[f"model.model.node_attributes.trainable_tensors.{place}.trainable"] = draw(6, 8)
    return made


def checkpoint(random):
    layers, chunks = random.choice(((4, 2), (8, 2), (6, 3)))
    config = {
        "model": {"processor": {"num_layers": layers, "num_chunks": chunks}, "width": 64},
        "training": {"swa": {"enabled": False, "lr": 1e-4}, "lr": 1e-3},
    }
    wrap = random.choice((DotDict, omegaconf.OmegaConf.create))
    return {
        "epoch": 4,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": state_dict(random, layers, chunks),
        "hyper_parameters": {
            "config": wrap(config),
            "metadata": {"uuid": "00ff"},
            "data_indices": {"input": torch.arange(4)},
            "statistics": {"mean": torch.ones(4)},
            "statistics_tendencies": None,
            "supporting_arrays": {},
            "graph_data": {"data": torch.zeros(2)},
        },
    }


def stand_in():
    """The classes of anemoi-training that upstream looks up, without installing it."""
    system = types.ModuleType("anemoi.training.schemas.system")
    for name in ("HardwareSchema", "InputSchema", "OutputSchema"):
        setattr(system, name, type(name, (), {"__module__": system.__name__}))
    for name in ("anemoi.training", "anemoi.training.schemas", "anemoi.training.schemas.training"):
        sys.modules.setdefault(name, types.ModuleType(name)).__path__ = []
    sys.modules.setdefault(system.__name__, system)


def run(setting):
    stand_in()
    migrator = Migrator()
    names = [migration.name for group in migrator._grouped_migrations for migration in group]
    equal = failed = 0
    ran = set()
    for number in range(3 if setting.short else 12):
        random = randomness.Random(setting.seed * 1000 + number)
        begun = checkpoint(random)
        begun["migrations"] = registered(migrator, names[: number % 2])
        path = setting.folder / f"shipped_{number}.ckpt"
        torch.save(begun, path)
        word, theirs = upstream_result(migrator, path, setting.folder)
        with Store() as store:
            output = store.folder / "ours.ckpt"
            try:
                store.run("import", path, "--name", "case", "--catalogue", FOLDER)
                done = store.run("checkout", "case", "--to", "next", "-o", output)
                ran |= {operation["migration"] for operation in done["operations"]}
                found = [] if word == "migrated" else [f"upstream {word}: {theirs}"]
                if not found:
                    left, right = (without_deviations(load(file)) for file in (theirs, output))
                    for ckpt in (left, right):
                        history = ckpt["hyper_parameters"]["metadata"]["migrations"]["history"]
                        for entries in (ckpt["migrations"], history):
                            entries[:] = [entry for entry in entries if entry["name"] != NEEDS_A_MODEL]
                    found = differences(left, right)
                    skipped = [name for name in names if name == NEEDS_A_MODEL and name not in listed(output)]
                    found += accepted(migrator, output, skipped)
            except Refused as error:
                found = [str(error)]
        equal += not found
        if found:
            failed += 1
            print(f"FAILED case {number} of seed {setting.seed}: {'; '.join(found)[:800]}", flush=True)
    print(f"shipped migrations: {len(ran)} of {len(names)} run as they are, {equal} checkpoints equal")
    return not failed


def listed(path):
    return [entry["name"] for entry in load(path)["migrations"]]
