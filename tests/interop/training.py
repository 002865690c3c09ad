"""A model is trained with real torch, migrated, trained on, brought back, and goes on in the old model.

The old and the new model compute the same function; only names, the place of settings, or how weights are laid out
differ. So training that went by way of migration and rollback must give the very losses of training that stayed.
"""

import collections

import torch

from driver import Store

HEAD = """import torch

from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(versions={"migration": "1.0.0", "anemoi-models": "1.0.0"})


def migrate(ckpt):
"""


class Old(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Linear(6, 8)
        self.qkv = torch.nn.Linear(8, 24, bias=False)
        self.head = torch.nn.Linear(8, 3)
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, x):
        q, k, v = self.qkv(torch.tanh(self.embed(x))).chunk(3, -1)
        return self.head(torch.sigmoid(q) * k * self.scale + v)


class Renamed(torch.nn.Module):
    """The same with other names."""

    def __init__(self):
        super().__init__()
        self.source = torch.nn.Linear(6, 8)
        self.attention = torch.nn.Module()
        self.attention.qkv = torch.nn.Linear(8, 24, bias=False)
        self.out = torch.nn.Linear(8, 3)

    def forward(self, x):
        q, k, v = self.attention.qkv(torch.tanh(self.source(x))).chunk(3, -1)
        return self.out(torch.sigmoid(q) * k * 0.5 + v)


class Reordered(Renamed):
    """With other names and another order of the parameters."""

    def __init__(self):
        super().__init__()
        self._modules = dict(reversed(list(self._modules.items())))


RENAME = """    sd = ckpt["state_dict"]
    names = {"embed.": "source.", "qkv.": "attention.qkv.", "head.": "out."}
    for key in list(sd):
        for old, new in names.items():
            if key.startswith(old):
                sd[new + key.removeprefix(old)] = sd.pop(key)
    del sd["scale"]
    return ckpt
"""

# As a script has to do it whose model has its parameters in another order: numbers and names of the optimizer follow.
REORDER = """    sd = ckpt["state_dict"]
    names = {"embed.": "source.", "qkv.": "attention.qkv.", "head.": "out."}
    def renamed(key):
        for old, new in names.items():
            if key.startswith(old):
                return new + key.removeprefix(old)
        return key
    for key in list(sd):
        sd[renamed(key)] = sd.pop(key)
    del sd["scale"]
    for optimizer in ckpt["optimizer_states"]:
        group, = optimizer["param_groups"]
        group["param_names"] = [renamed(name) for name in group["param_names"]]
        order = ["out.weight", "out.bias", "attention.qkv.weight", "source.weight", "source.bias"]
        numbers = dict(zip(group["param_names"], group["params"]))
        optimizer["state"] = {place: optimizer["state"][numbers[name]] for place, name in enumerate(order)}
        group["param_names"] = order
    return ckpt
"""


def optimizer_of(model, named):
    parameters = list(model.named_parameters()) if named else model.parameters()
    return torch.optim.AdamW(parameters, lr=0.01)


def steps(model, optimizer, first, count):
    losses = []
    for number in range(first, first + count):
        generator = torch.Generator().manual_seed(number)
        x = torch.randn(16, 6, generator=generator)
        optimizer.zero_grad()
        loss = (model(x) - x[:, :3].sin()).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def saved(model, optimizer, path, migrations=None):
    state = collections.OrderedDict(model.state_dict())
    ckpt = {"epoch": 1, "state_dict": state, "optimizer_states": [optimizer.state_dict()]}
    if migrations is not None:
        ckpt["migrations"] = migrations
    torch.save(ckpt, path)


def loaded(cls, path, named):
    ckpt = torch.load(path, weights_only=False)
    model = cls()
    model.load_state_dict(ckpt["state_dict"], strict=True)
    optimizer = optimizer_of(model, named)
    optimizer.load_state_dict(ckpt["optimizer_states"][0])
    return model, optimizer, ckpt["migrations"]


def check(folder, cls, script, named):
    """Losses by way of the new model, and of training that stayed in the old one."""
    torch.manual_seed(11)
    model = Old()
    optimizer = optimizer_of(model, named)
    steps(model, optimizer, 0, 5)
    path = folder / f"{cls.__name__}.ckpt"
    saved(model, optimizer, path)
    stayed = steps(model, optimizer, 5, 10)
    with Store() as store:
        catalogue = store.catalogue({"1700000000_step": HEAD + script})
        store.run("import", path, "--name", "net", "--catalogue", catalogue)
        store.run("baseline", "net", "--to", "base")
        work = store.folder / "net.ckpt"
        store.run("checkout", "net", "--version", "1.0.0", "-o", work)
        new, new_optimizer, migrations = loaded(cls, work, named)
        moved = steps(new, new_optimizer, 5, 5)
        saved(new, new_optimizer, work, migrations)
        store.run("import", work, "--name", "net", "--catalogue", catalogue)
        done = store.run("checkout", "net", "--version", "0.0.1", "-o", work)
        old, old_optimizer, _ = loaded(Old, work, named)
        moved += steps(old, old_optimizer, 10, 5)
    methods = [operation["method"] for operation in done["operations"]]
    return moved, stayed, methods, [warning["code"] for warning in done["warnings"]]


def run(setting):
    good = True
    for cls, script, named in ((Renamed, RENAME, False), (Reordered, REORDER, True)):
        moved, stayed, methods, warnings = check(setting.folder, cls, script, named)
        # Another order of the parameters changes no parameter's own update.
        same = moved == stayed and methods == ["merge"]
        good &= same
        said = f", {' '.join(warnings)}" if warnings else ""
        print(f"training {cls.__name__.lower()}: {'the same 10 losses as without migration' if same else 'FAILED'}{said}")
        if not same:
            print(moved, stayed, methods, sep="\n")
    return good
