"""Writes the checkpoints under tests/data/demo with real torch, and checks the shipped catalogue on them.

    python tests/data/make_fixtures.py

Needs torch, numpy and anemoi-models (made with 2.15, 2.4 and 0.19). Each checkpoint comes from a small model of its
version that is trained for a few steps, saved in the layout of Lightning's trainer, with the list of migrations that
anemoi-models registers at birth. Running it again writes the same bytes, unless a shipped migration was changed: the
list carries a signature of each.
"""

import copy
import importlib
import io
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from anemoi.models.migrations import Migrator
from torch import nn

REPOSITORY = Path(__file__).resolve().parents[2]
OUT = REPOSITORY / "tests" / "data" / "demo"
WIDTH = 16
RENAME, MOVE, FINAL_9, DROP, FINAL_12, SPLIT = sorted(path.stem for path in (REPOSITORY / "migrations").glob("*.py"))


class Attention(nn.Module):
    def __init__(self, split):
        super().__init__()
        self.split = split
        if split:
            self.q_proj, self.k_proj, self.v_proj = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))
        else:
            self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)

    def forward(self, x):
        q, k, v = (self.q_proj(x), self.k_proj(x), self.v_proj(x)) if self.split else self.qkv(x).chunk(3, dim=-1)
        return torch.softmax(q @ k.T / WIDTH**0.5, dim=-1) @ v


class Block(nn.Module):
    def __init__(self, split):
        super().__init__()
        self.attention = Attention(split)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, x):
        x = x + self.attention(x)
        return x + self.mlp(x)


class Stage(nn.Module):
    """An encoder, processor or decoder."""

    def __init__(self, edges, **layers):
        super().__init__()
        if edges is not None:
            self.register_buffer("edge_inc", torch.tensor([[edges], [edges + 1]]))
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class Model(nn.Module):
    """The model of a version: which migrations its checkpoints are born with."""

    def __init__(self, done):
        super().__init__()
        edges = (None,) * 3 if DROP in done else (4, 16, 64)
        embed = "embed_source" if RENAME in done else "emb_nodes_src"
        head = "head" if SPLIT in done else "node_out"
        blocks = nn.ModuleList(Block(SPLIT in done) for _ in range(2))
        self.encoder = Stage(edges[0], **{embed: nn.Linear(4, WIDTH)})
        self.processor = Stage(edges[1], proc=nn.Sequential(*blocks))
        self.decoder = Stage(edges[2], **{head: nn.Linear(WIDTH, 4)})

    def forward(self, x):
        return self.decoder(self.processor(self.encoder(x)))


def train(done, version, registered, steps):
    torch.manual_seed(7)
    model = Model(done)
    lightning = nn.Module()
    lightning.model = nn.Module()
    lightning.model.model = model
    optimizer = torch.optim.Adam(lightning.named_parameters(), lr=6.25e-4)
    for _ in range(steps):
        x = torch.randn(8, 4)
        loss = (model(x) - x.roll(1, dims=1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    schedule = {"iterations": 300, "min": 3.0e-7}
    if MOVE in done:
        training = {"optimizer": {"name": "adam", "lr": 6.25e-4}, "scheduler": schedule}
    else:
        training = {"lr": {"rate": 6.25e-4, **schedule}}
    return {
        "epoch": 1,
        "global_step": steps,
        "pytorch-lightning_version": "2.5.1",
        "state_dict": lightning.state_dict(),
        "loops": {"fit_loop": {"epoch_progress": {"total": {"ready": 2, "completed": 1}}}},
        "callbacks": {},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [{"last_epoch": steps, "_last_lr": [6.25e-4]}],
        "hparams_name": "kwargs",
        "hyper_parameters": {
            "config": {
                "data": {"resolution": "o32", "variables": ["2t", "10u", "10v", "msl"]},
                "model": {"num_channels": WIDTH, "num_layers": 2},
                "training": {**training, "max_epochs": 2, "precision": "32-true"},
            },
            "statistics": {
                "mean": np.array([278.4, -0.1, 0.2, 100958.0]),
                "stdev": np.array([21.0, 5.5, 4.8, 1330.0], dtype=np.float32),
            },
            "metadata": {"version": version, "seed": 7, "migrations": {"history": []}},
        },
        "migrations": [migration.serialize() for migration in registered],
    }


def shipped_migrations(folder):
    """The shipped catalogue, loaded by anemoi-models itself."""
    package = Path(folder) / "weather_migrations"
    package.mkdir()
    for path in sorted((REPOSITORY / "migrations").glob("*.py")):
        shutil.copy(path, package)
    sys.path.insert(0, folder)
    migrator = Migrator.from_path(package, package.name)
    modules = {path.stem: importlib.import_module(f"{package.name}.{path.stem}") for path in package.glob("*.py")}
    return migrator, modules


def saved(checkpoint):
    """The bytes that Lightning writes: saved to memory first, so that the archive is called `archive`."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def shapes(checkpoint):
    return {name: tuple(tensor.shape) for name, tensor in checkpoint["state_dict"].items()}


def check(modules, files):
    def load(name):
        return torch.load(io.BytesIO(files[name]), weights_only=False)

    def born(done):
        return train(done, "", [], 1)

    # Back and forth leaves everything as it was, where there is a way back.
    for name, step, order in [("0.12.2", SPLIT, ("rollback", "migrate")), ("0.8.1", RENAME, ("rollback", "migrate"))]:
        original, changed = load(f"trained-{name}.ckpt"), load(f"trained-{name}.ckpt")
        for function in order:
            changed = getattr(modules[step], function)(changed)
            assert not same(original, changed) or function == "migrate", (name, function)
        assert same(original, changed), name

    # Each script makes the layout that a model of its version is born with.
    steps = [RENAME, MOVE, DROP, SPLIT]
    checkpoint = born([])
    for count, step in enumerate(steps, 1):
        checkpoint = modules[step].migrate(checkpoint)
        expected = born(steps[:count])
        assert shapes(checkpoint) == shapes(expected), step
        assert same(checkpoint["hyper_parameters"]["config"], expected["hyper_parameters"]["config"]), step
        groups, expected_groups = (c["optimizer_states"][0]["param_groups"] for c in (checkpoint, expected))
        assert same(groups, expected_groups), step
        states, expected_states = (c["optimizer_states"][0]["state"] for c in (checkpoint, expected))
        assert {n: {k: v.shape for k, v in s.items()} for n, s in states.items()} == {
            n: {k: v.shape for k, v in s.items()} for n, s in expected_states.items()
        }, step
    # And a model of the last version trains on with it.
    model = nn.Module()
    model.model = nn.Module()
    model.model.model = Model(steps)
    model.load_state_dict(copy.deepcopy(checkpoint["state_dict"]))
    optimizer = torch.optim.Adam(model.named_parameters())
    optimizer.load_state_dict(copy.deepcopy(checkpoint["optimizer_states"][0]))
    model.model.model(torch.randn(8, 4)).square().mean().backward()
    optimizer.step()


def main():
    with tempfile.TemporaryDirectory() as folder:
        migrator, modules = shipped_migrations(folder)
        oldest, _, newest = migrator._grouped_migrations
        files = {
            "trained-0.8.1.ckpt": saved(train([RENAME], "0.8.1", oldest[:1], 3)),
            "trained-0.12.2.ckpt": saved(train([RENAME, MOVE, DROP, SPLIT], "0.12.2", newest, 5)),
        }
        check(modules, files)
    OUT.mkdir(exist_ok=True)
    for name, content in files.items():
        (OUT / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
