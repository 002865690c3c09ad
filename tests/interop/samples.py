"""Files of the kinds that training leaves behind, written here by the torch at hand."""

import argparse
import collections
import dataclasses
import datetime
import enum
import pathlib
import random
import types

import numpy
import omegaconf
import torch


@dataclasses.dataclass
class Schedule:
    name: str
    warmup: int = 10
    stages: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    low: float
    high: float = 1.0


class Mode(enum.Enum):
    TRAIN = "train"
    TEST = "test"


class Tree:
    def __init__(self, name, parent=None):
        self.name, self.parent, self.children = name, parent, []
        if parent is not None:
            parent.children.append(self)


class Tagged(dict):
    def __init__(self, *args, tag=None):
        super().__init__(*args)
        self.tag = tag


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(12, 6)
        self.blocks = torch.nn.ModuleList(torch.nn.Linear(6, 6) for _ in range(2))
        self.norm = torch.nn.BatchNorm1d(6)
        self.head = torch.nn.Linear(6, 12, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("positions", torch.arange(6).float())

    def forward(self, tokens):
        x = self.embedding(tokens).mean(1)
        for block in self.blocks:
            x = torch.relu(block(x))
        return self.head(self.norm(x) + self.positions)


def trained(optimizer="AdamW", steps=2):
    net = Net()
    made = getattr(torch.optim, optimizer)(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(made, T_max=10)
    for _ in range(steps):
        made.zero_grad()
        net(torch.randint(0, 12, (4, 5))).square().mean().backward()
        made.step()
        schedule.step()
    return net, made, schedule


def lightning(optimizer="AdamW", hyper_parameters=None):
    net, made, schedule = trained(optimizer)
    return {
        "epoch": 3,
        "global_step": 120,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": collections.OrderedDict((f"model.{key}", value) for key, value in net.state_dict().items()),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4, "completed": 3}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.25), "kth_value": None}},
        "optimizer_states": [made.state_dict()],
        "lr_schedulers": [schedule.state_dict()],
        "hparams_name": "kwargs",
        "hyper_parameters": hyper_parameters or {"lr": 1e-3, "layers": [6, 6]},
    }


def configuration():
    text = {
        "model": {"layers": 4, "width": "${model.layers}", "names": ["a", "b", None], "rate": 1e-3},
        "data": {"path": "/data", "missing": "???", "flags": {1: True, 2: False}},
    }
    return omegaconf.OmegaConf.create(text)


def tied():
    weight = torch.nn.Parameter(torch.randn(4, 3))
    plain = torch.randn(5)
    return {"a": weight, "b": weight, "c": plain, "again": [plain, plain], "frozen": torch.nn.Parameter(plain, False)}


def views():
    base = torch.arange(60, dtype=torch.float32)
    grid = base.view(5, 12)
    return {
        "base": base,
        "column": grid[:, 3],
        "transposed": grid.t(),
        "every_second": base[1::2],
        "window": base.as_strided((8, 4), (3, 1), 5),
        "nothing": base[7:7],
        "one": base[11],
        "wide": torch.zeros(1).expand(4, 5),
        "slice_alone": torch.randn(100)[3:5],
    }


def kinds():
    names = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128"
    names += " float8_e4m3fn float8_e5m2 uint16 uint32 uint64"
    made = {}
    for name in names.split():
        dtype = getattr(torch, name)
        made[name] = torch.tensor([0, 1, 0, 1, 1, 1]).to(dtype).reshape(2, 3)
    made["bits"] = torch.tensor([0x7FC1, 0x8000, 0xFF80, 1], dtype=torch.uint16).view(torch.bfloat16)
    made["nan"] = torch.tensor([float("nan"), float("inf"), -0.0])
    made["empty"] = torch.empty(0, 3)
    made["scalar"] = torch.tensor(7)
    return made


def sparse():
    dense = torch.tensor([[0.0, 1.0, 0.0], [2.0, 0.0, 3.0]])
    return {
        "coo": dense.to_sparse(),
        "coalesced": dense.to_sparse().coalesce(),
        "csr": dense.to_sparse_csr(),
        "csc": dense.to_sparse_csc(),
        "quantized": torch.quantize_per_tensor(dense, 0.1, 3, torch.quint8),
        "per_channel": torch.quantize_per_channel(dense, torch.tensor([0.1, 0.2]), torch.tensor([0, 1]), 0, torch.qint8),
    }


def bf16():
    net, _, _ = trained()
    return {"state_dict": {key: value.bfloat16() for key, value in net.state_dict().items()}, "half": torch.randn(3).half()}


def cyclic():
    root = Tree("root")
    Tree("leaf", Tree("middle", root))
    ring = [1, 2]
    ring.append(ring)
    pair = {}
    pair["self"] = pair
    pair["tuple"] = (pair, ring, (ring,))
    return {"tree": root, "ring": ring, "pair": pair, "same": root.children[0]}


def nested():
    value = deepest = {}
    for depth in range(120):
        inner = {} if depth % 2 else {"x": depth}
        deepest["next"] = [inner]
        deepest = inner
    return {"deep": value, "sets": {1, 2, "three"}, "frozen": frozenset({(1, 2), "a"}), "tuple": ((), (1,), ((2,),))}


def objects():
    shared = [1, 2, 3]
    return {
        "schedule": Schedule("cosine", stages=shared),
        "limits": Limits(-1.0),
        "mode": Mode.TEST,
        "namespace": argparse.Namespace(lr=0.1, layers=shared, inner=types.SimpleNamespace(a=1)),
        "tagged": Tagged({"a": 1}, tag="t"),
        "counter": collections.Counter("abca"),
        "default": collections.defaultdict(list, {"x": shared}),
        "queue": collections.deque([1, 2], maxlen=4),
        "path": pathlib.PurePosixPath("/a/b"),
        "when": datetime.datetime(2024, 5, 1, 12, 30, tzinfo=datetime.timezone.utc),
        "delta": datetime.timedelta(seconds=3),
        "dtype": torch.bfloat16,
        "device": torch.device("cpu"),
        "size": torch.Size([2, 3]),
        "long": 1 << 200,
        "text": "\u00e9\u4e2d\U0001f600",
        "bytes": bytes(range(256)),
        "array": bytearray(b"abc"),
        "complex": 1 + 2j,
        "float": [float("inf"), -0.0, 5e-324],
    }


def arrays():
    grid = numpy.arange(12, dtype=numpy.float32).reshape(3, 4)
    return {
        "grid": grid,
        "fortran": numpy.asfortranarray(grid),
        "scalar": numpy.float64(1.5),
        "integer": numpy.int64(4),
        "text": numpy.array(["a", "bcd"]),
        "records": numpy.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "random": numpy.random.RandomState(3).get_state(),
        "python": random.Random(5).getstate(),
        "torch": torch.Generator().manual_seed(3).get_state(),
        "objects": numpy.array([None, "a", 1], dtype=object),
    }


def module():
    net, _, _ = trained()
    return net


MAKERS = {
    "lightning": lightning,
    "lightning_sgd": lambda: lightning("SGD"),
    "lightning_omegaconf": lambda: lightning(hyper_parameters={"config": configuration()}),
    "dataclass": lambda: lightning(hyper_parameters={"schedule": Schedule("linear"), "limits": Limits(0.0)}),
    "omegaconf": configuration,
    "tied": tied,
    "views": views,
    "kinds": kinds,
    "sparse": sparse,
    "bf16": bf16,
    "cyclic": cyclic,
    "nested": nested,
    "objects": objects,
    "arrays": arrays,
    "module": module,
    "tensor": lambda: torch.randn(3, 4),
    "list": lambda: [torch.ones(2), {"a": 1}, "text"],
}


def write(folder):
    """Writes every sample in the form of today, and some in those of the past; yields name and path."""
    torch.manual_seed(7)
    for name, make in MAKERS.items():
        path = folder / f"{name}.pt"
        torch.save(make(), path)
        yield name, path
    # Protocol 0 spells the reference to a storage as text, which torch writes but does not read.
    for protocol in (0, 1, 3, 4, 5):
        value = {"names": ["a", "b"], "none": None, "deep": nested()}
        if protocol > 0:
            value["views"] = views()
        if protocol > 1:
            value["objects"] = objects()
        path = folder / f"protocol{protocol}.pt"
        torch.save(value, path, pickle_protocol=protocol)
        yield f"protocol{protocol}", path
    path = folder / "legacy.pt"
    torch.save({"tied": tied(), "views": views(), "kinds": bf16()}, path, _use_new_zipfile_serialization=False)
    yield "legacy", path
