"""Scripts on objects: what real Python and ckstore make of the same checkpoint and the same script.

Each case is a checkpoint and the body of `migrate(ckpt)`. Real Python loads the file with the real classes, runs the
script and saves; ckstore migrates the file, importing nothing. Both results are loaded and compared with identity.
"""

import argparse
import collections
import datetime
import functools
import importlib.util
import os
import pathlib
import types
import warnings

import numpy
import omegaconf
import torch
from anemoi.utils.config import DotDict

import kinds
from driver import Refused, Store
from sameness import differences

HEAD = """
import argparse, collections, copy, dataclasses, enum, functools
from collections import Counter, OrderedDict, defaultdict, deque
from argparse import Namespace
import numpy as np
import torch
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from anemoi.utils.config import DotDict
from anemoi.models.migrations import MigrationMetadata
import kinds

metadata = MigrationMetadata(versions={"migration": "1.0.0", "anemoi-models": "1.0.0"})


def migrate(ckpt):
"""


def config():
    return {
        "model": {"layers": 4, "kernels": ["a", "b"], "name": "${run.name}", "empty": None},
        "run": {"name": "x", "paths": {"data": "/data", "out": "${.data}/out"}},
        "list": [1, {"two": 2}, [3]],
        "must": "???",
    }


def shared_list():
    shared = [1]
    return {"a": collections.deque([shared, 2], maxlen=4), "b": shared}


def namespace():
    shared = {"k": 1}
    return {"args": argparse.Namespace(lr=0.1, layers=[1, 2], inner=argparse.Namespace(x=shared)), "shared": shared}


def omega():
    return {"config": omegaconf.OmegaConf.create(config()), "pair": [omegaconf.OmegaConf.create([1, 2, {"a": 3}])]}


def struct():
    made = omegaconf.OmegaConf.create(config())
    omegaconf.OmegaConf.set_struct(made, True)
    return {"config": made}


def dot():
    return {"config": DotDict(config()), "plain": {"x": {"y": 1}}}


def model():
    return {"m": kinds.Model(name="n", tags=["a"], parent=kinds.Model(rate=2)), "o": kinds.Open(name="q", more=[1])}


def arrays():
    return {
        "f32": numpy.array([[1.5, -2.25, 3.0], [4.0, 5.5, -6.0]], dtype=numpy.float32),
        "f64": numpy.linspace(0, 1, 7),
        "f16": numpy.array([0.1, 0.2, 1000.0], dtype=numpy.float16),
        "i64": numpy.arange(6).reshape(2, 3),
        "i32": numpy.array([3, -1, 2], dtype=numpy.int32),
        "u8": numpy.array([250, 3, 7], dtype=numpy.uint8),
        "bool": numpy.array([True, False, True]),
        "text": numpy.array(["t2m", "q", "msl"]),
        "objects": numpy.array([{"a": 1}, None, [2]], dtype=object),
        "fortran": numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
        "big": numpy.array([1, 2, 3], dtype=">i4"),
        "zero": numpy.array(3.5),
        "days": numpy.array(["2020-01-01", "2021-06-01"], dtype="datetime64[D]"),
        "n32": numpy.float32(0.1),
        "n64": numpy.float64(0.1),
        "n8": numpy.int64(7),
        "yes": numpy.bool_(True),
        "letters": numpy.str_("abc"),
    }


def moments():
    utc = datetime.timezone.utc
    return {
        "at": datetime.datetime(2020, 2, 28, 23, 30, 5, 17, tzinfo=utc),
        "day": datetime.date(2020, 12, 31),
        "span": datetime.timedelta(days=2, seconds=5),
        "naive": datetime.datetime(1999, 1, 1),
    }


def paths():
    return {"p": pathlib.Path("/data/in/file.tar.gz"), "q": pathlib.PurePosixPath("a/b"), "w": pathlib.PureWindowsPath("c:/x")}


def net():
    torch.manual_seed(1)
    return {"net": kinds.Net(), "tied": kinds.Tied(), "seq": torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh())}


def slotted():
    return {"s": kinds.Slotted("a", 2.0), "h": half(), "f": kinds.Frozen("z")}


def half():
    made = kinds.HalfSlotted(a=1)
    made.fixed = [1, 2]
    return made


def enums():
    return {
        "c": kinds.Color.RED,
        "again": [kinds.Color.RED, kinds.Color.BLUE],
        "s": kinds.Size.LARGE,
        "a": kinds.Access.READ | kinds.Access.WRITE,
        "by": {kinds.Color.BLUE: 1},
        "nested": kinds.Outer.Level.HIGH,
    }


def dicts():
    own = kinds.Own(a=1)
    own.note = "x"
    made = collections.OrderedDict(a=1, b=2, c=3)
    made._metadata = {"v": 1}
    lazy = collections.defaultdict(list, {"x": [1]})
    return {"o": made, "d": lazy, "n": collections.Counter("aabbc"), "own": own, "sub": kinds.Ordered(q=1)}


# Name, checkpoint, body. A body is indented by the harness; `return ckpt` is added.
CASES = [
    ("namespace-attributes", namespace, """
a = ckpt["args"]
a.lr = a.lr * 2
a.new = {"deep": a.inner}
del a.layers
ckpt["has"] = [hasattr(a, "layers"), hasattr(a, "lr"), "lr" in a, "layers" in a, getattr(a, "none", 5)]
ckpt["names"] = sorted(vars(a))
"""),
    ("namespace-made", namespace, """
ckpt["made"] = Namespace(a=1, b=ckpt["args"].inner, **vars(ckpt["args"].inner))
ckpt["equal"] = Namespace(a=1) == argparse.Namespace(a=1)
ckpt["kind"] = isinstance(ckpt["args"], argparse.Namespace) and isinstance(ckpt["made"], Namespace)
ckpt["args"] = Namespace(**{**vars(ckpt["args"]), "extra": [1]})
"""),
    ("namespace-iterated", namespace, """
try:
    list(ckpt["args"])
except TypeError as error:
    ckpt["caught"] = "not iterable" in str(error)
for key, value in vars(ckpt["args"]).items():
    if isinstance(value, list):
        value.append(len(key))
ckpt["text"] = repr(Namespace(a=1, b="x"))
"""),
    ("namespace-dict", namespace, """
args = ckpt["args"]
args.__dict__["x"] = 1
args.__dict__.update(y=2, lr=3)
args.__dict__.pop("layers")
setattr(args, "z", getattr(args, "y") + 1)
delattr(args, "inner")
"""),
    ("namespace-copied", namespace, """
ckpt["shallow"] = copy.copy(ckpt["args"])
ckpt["deep"] = copy.deepcopy(ckpt["args"])
ckpt["deep"].inner.x["new"] = 1
ckpt["shallow"].lr = 9
"""),
    ("simple-namespace", lambda: {"n": types.SimpleNamespace(a=1, b=[2])}, """
import types
ckpt["n"].c = ckpt["n"].b
ckpt["m"] = types.SimpleNamespace(d=4)
"""),
    ("plain-object", lambda: {"p": kinds.Plain(a=1, b={"c": [1]}), "inner": kinds.Outer.Inner(x=2)}, """
p = ckpt["p"]
p.a += 1
p.b["c"].append(p)
p.d = ckpt["inner"]
ckpt["inner"].x = [ckpt["inner"].x]
ckpt["is"] = [isinstance(p, kinds.Plain), isinstance(ckpt["inner"], kinds.Outer.Inner), isinstance(p, dict), type(p).__name__]
try:
    p["a"]
except TypeError:
    ckpt["no item"] = True
ckpt["missing"] = hasattr(p, "items")
"""),
    ("plain-without-state", lambda: {"p": kinds.Plain(), "q": kinds.Outer.Inner()}, """
ckpt["p"].first = 1
ckpt["q"].first = ckpt["p"]
"""),
    ("plain-copied", lambda: {"p": kinds.Plain(a=[1], me=None)}, """
ckpt["p"].me = ckpt["p"]
ckpt["deep"] = copy.deepcopy(ckpt["p"])
ckpt["shallow"] = copy.copy(ckpt["p"])
ckpt["deep"].a.append(2)
"""),
    ("class-kept", lambda: {"cls": kinds.Plain, "inner": kinds.Outer.Inner, "fn": len, "t": torch.nn.Linear}, """
ckpt["again"] = [ckpt["cls"], kinds.Plain, kinds.Outer.Inner]
ckpt["same"] = ckpt["cls"] is kinds.Plain
ckpt["od"] = OrderedDict
"""),
    ("dataclass", lambda: {"plan": kinds.Plan("a", stages=[1])}, """
plan = ckpt["plan"]
plan.rate *= 2
plan.stages.append({"x": plan})
plan.extra = True
del plan.name
ckpt["other"] = copy.copy(plan)
"""),
    ("dataclass-frozen", slotted, """
object.__setattr__(ckpt["f"], "name", "changed")
object.__setattr__(ckpt["f"], "more", [1])
ckpt["g"] = copy.copy(ckpt["f"])
"""),
    ("slots", slotted, """
s = ckpt["s"]
s.rate = s.rate + 1
s.name = s.name.upper()
ckpt["has"] = [hasattr(s, "name"), hasattr(s, "other"), hasattr(s, "__dict__")]
h = ckpt["h"]
h.fixed.append(3)
h.b = h.a
h.a = 5
ckpt["vars"] = dict(vars(h))
"""),
    ("slots-copied", slotted, """
ckpt["t"] = copy.copy(ckpt["s"])
ckpt["t"].name = "t"
ckpt["u"] = copy.deepcopy(ckpt["h"])
ckpt["u"].fixed.append(4)
del ckpt["s"].rate
"""),
    ("pydantic-fields", model, """
m = ckpt["m"]
m.name = "changed"
m.tags.append("b")
m.parent.rate = 7.5
ckpt["set"] = sorted(m.model_fields_set)
ckpt["parent set"] = sorted(m.parent.model_fields_set)
ckpt["vars"] = sorted(vars(m))
"""),
    ("pydantic-refuses", model, """
try:
    ckpt["m"].unknown = 1
except ValueError as error:
    ckpt["said"] = str(error)
ckpt["has"] = [hasattr(ckpt["m"], "unknown"), hasattr(ckpt["m"], "tags")]
"""),
    ("pydantic-extra", model, """
o = ckpt["o"]
o.more.append(2)
o.another = {"x": 1}
o._hidden = 4
ckpt["extra"] = dict(o.model_extra)
ckpt["items"] = [(k, v) for k, v in o]
del o.more
"""),
    ("pydantic-dump", model, """
ckpt["dump"] = ckpt["m"].model_dump()
ckpt["some"] = ckpt["m"].model_dump(exclude={"parent"})
ckpt["unset"] = ckpt["m"].model_dump(exclude_unset=True)
ckpt["dict"] = dict(ckpt["m"])
ckpt["equal"] = ckpt["m"] == copy.deepcopy(ckpt["m"])
"""),
    ("pydantic-copied", model, """
ckpt["c"] = ckpt["m"].model_copy(update={"rate": 9.0})
ckpt["d"] = ckpt["m"].model_copy(deep=True)
ckpt["e"] = copy.copy(ckpt["m"])
ckpt["d"].tags.append("deep")
ckpt["e"].name = "e"
"""),
    ("pydantic-deleted", model, """
del ckpt["m"].tags
ckpt["has"] = hasattr(ckpt["m"], "tags")
"""),
    ("pydantic-one", lambda: {"m": kinds.OldModel(name="b"), "n": kinds.OldModel(tags=[1])}, """
m = ckpt["m"]
m.rate = 3.0
m.tags.append("x")
ckpt["set"] = sorted(m.__fields_set__)
ckpt["dict"] = m.dict()
ckpt["copy"] = m.copy(update={"name": "c"})
"""),
    ("omegaconf-attributes", omega, """
c = ckpt["config"]
c.model.layers = 8
c.model.extra = {"a": [1, {"b": None}]}
c["run"]["name"] = "y"
del c.model.kernels
ckpt["read"] = [c.model.name, c.run.paths.out, c.model.empty, c.list[1].two, c["list"][2][0]]
"""),
    ("omegaconf-mapping", omega, """
c = ckpt["config"]
ckpt["in"] = ["model" in c, "nothing" in c, "must" in c]
ckpt["keys"] = [list(c), list(c.keys()), len(c), len(c.list)]
ckpt["got"] = [c.get("nothing"), c.get("nothing", 3), c.model.get("layers"), c.run.pop("name", None)]
ckpt["items"] = sorted(k for k, v in c.run.paths.items())
ckpt["has"] = [hasattr(c, "model"), hasattr(c.model, "nothing"), isinstance(c, DictConfig), isinstance(c.list, ListConfig)]
"""),
    ("omegaconf-list", omega, """
l = ckpt["config"].list
l.append({"new": [1]})
l[0] = 10
l.insert(1, "in")
del l[2]
ckpt["read"] = [x for x in ckpt["pair"][0] if not isinstance(x, DictConfig)]
ckpt["pair"][0].extend([4, 5])
"""),
    ("omegaconf-moved", omega, """
c = ckpt["config"]
c.model.run = c.pop("run")
c.model.name = "${model.run.name}"
c.second = c.list
"""),
    ("omegaconf-made", omega, """
ckpt["new"] = OmegaConf.create({"a": {"b": [1, 2, {"c": "${a.d}"}], "d": 5}})
ckpt["plain"] = OmegaConf.to_container(ckpt["config"], resolve=False)
ckpt["list"] = OmegaConf.create([1, [2]])
ckpt["resolved"] = OmegaConf.to_container(ckpt["new"], resolve=True)
"""),
    ("omegaconf-merged", omega, """
ckpt["merged"] = OmegaConf.merge(ckpt["config"], {"model": {"layers": 5, "new": {"x": 1}}, "list": [9]})
OmegaConf.update(ckpt["config"], "run.paths.more", "/more")
ckpt["selected"] = [OmegaConf.select(ckpt["config"], "run.paths.data"), OmegaConf.select(ckpt["config"], "run.no")]
"""),
    ("omegaconf-struct", struct, """
c = ckpt["config"]
try:
    c.model.unknown = 1
except Exception as error:
    ckpt["said"] = type(error).__name__
with open_dict(c):
    c.model.unknown = 2
    c.added = {"x": 1}
c.model.layers = 5
"""),
    ("omegaconf-missing", omega, """
try:
    ckpt["config"].must
except Exception as error:
    ckpt["said"] = type(error).__name__
ckpt["missing"] = OmegaConf.is_missing(ckpt["config"], "must")
ckpt["config"].must = 1
"""),
    ("omegaconf-copied", omega, """
ckpt["copy"] = copy.deepcopy(ckpt["config"])
ckpt["copy"].model.layers = 1
ckpt["part"] = copy.deepcopy(ckpt["pair"][0])
"""),
    ("dotdict-attributes", dot, """
c = ckpt["config"]
c.model.layers += 1
c.new = {"a": {"b": 1}}
c["other"] = [{"x": {"y": 2}}, 3]
c.tuple = (1, {"z": 1})
try:
    del c.run.paths
except AttributeError:
    ckpt["no"] = True
del c["must"]
ckpt["kinds"] = [type(c.new.a).__name__, type(c.other).__name__, type(c.other[0].x).__name__, type(c.tuple).__name__]
ckpt["same"] = [isinstance(c, DotDict), type(c) is DotDict, isinstance(c, dict)]
"""),
    ("dotdict-update", dot, """
c = ckpt["config"]
c.update({"u": {"v": 1}}, w={"x": 2})
ckpt["default"] = c.setdefault("s", {"t": 1})
c.model.setdefault("layers", 9)
c.model.update(layers=5)
ckpt["kinds"] = [type(c["u"]).__name__, type(c["w"]).__name__, type(c["s"]).__name__]
"""),
    ("dotdict-made", dot, """
ckpt["made"] = DotDict(ckpt["plain"])
ckpt["more"] = DotDict(a=[{"b": (1, {"c": 2})}], d=ckpt["config"].model)
ckpt["made"].x.y = 3
ckpt["config"].plain = ckpt["plain"]
ckpt["text"] = repr(DotDict(a=1))
"""),
    ("dotdict-read", dot, """
c = ckpt["config"]
ckpt["got"] = [c.get("nothing"), c.model.get("layers"), c.pop("must"), "must" in c, hasattr(c, "must"), hasattr(c.model, "layers")]
ckpt["keys"] = [list(c), list(c.model.items())[0]]
try:
    c.nothing
except AttributeError as error:
    ckpt["said"] = str(error)
ckpt["copy"] = copy.deepcopy(c)
ckpt["copy"].model.layers = 0
"""),
    ("dotdict-replaced", dot, """
ckpt["config"].model = {k: v for k, v in ckpt["config"].model.items() if k != "name"}
ckpt["config"] = {"wrapped": ckpt["config"]}
"""),
    ("ordered", dicts, """
o = ckpt["o"]
o.move_to_end("a")
o["d"] = o.pop("b")
o._metadata["w"] = 2
o.note = "kept"
ckpt["first"] = next(iter(o))
ckpt["new"] = OrderedDict((k, v) for k, v in reversed(list(o.items())))
ckpt["sub"] = [isinstance(ckpt["sub"], OrderedDict), isinstance(ckpt["sub"], kinds.Ordered), ckpt["sub"]]
"""),
    ("defaultdict", dicts, """
d = ckpt["d"]
d["new"].append(5)
d["x"].append(2)
ckpt["e"] = defaultdict(dict)
ckpt["e"]["a"]["b"] = 1
ckpt["factory"] = d.default_factory
ckpt["f"] = defaultdict(int, {"k": 2})
"""),
    ("counter", dicts, """
n = ckpt["n"]
n["z"] += 3
n.update("ab")
del n["c"]
ckpt["most"] = n.most_common(2)
ckpt["missing"] = n["nothing"]
ckpt["m"] = Counter({"x": 2}) + Counter("xy")
ckpt["is"] = isinstance(n, Counter) and isinstance(n, dict)
"""),
    ("counter-kept", dicts, """
ckpt["moved"] = ckpt.pop("n")
ckpt["twice"] = ckpt["moved"]
"""),
    ("dict-subclass", dicts, """
own = ckpt["own"]
own["b"] = {"c": own}
own.note = [1]
ckpt["seen"] = [own.note, list(own), isinstance(own, kinds.Own)]
ckpt["copy"] = copy.deepcopy(own)
"""),
    ("deque", shared_list, """
d = ckpt["a"]
d.append(3)
d.appendleft(ckpt["b"])
d[1].append("x")
ckpt["max"] = d.maxlen
ckpt["new"] = deque([1, d], maxlen=2)
ckpt["plain"] = deque()
d.append(4)
"""),
    ("deque-kept", shared_list, """
ckpt["b"].append(2)
ckpt["c"] = ckpt.pop("a")
"""),
    ("enum-kept", enums, """
ckpt["moved"] = ckpt.pop("c")
ckpt["values"] = [ckpt["moved"].value, ckpt["again"][1].value, ckpt["s"].value, ckpt["a"].value]
ckpt["same"] = [ckpt["moved"] is ckpt["again"][0], ckpt["moved"] == ckpt["again"][0], ckpt["moved"] != ckpt["again"][1]]
ckpt["is"] = [isinstance(ckpt["moved"], kinds.Color), isinstance(ckpt["moved"], enum.Enum), isinstance(ckpt["s"], kinds.Color)]
"""),
    ("enum-made", enums, """
ckpt["c"] = kinds.Color("blue")
ckpt["same"] = ckpt["c"] is ckpt["again"][1]
ckpt["a"] = kinds.Access(1)
ckpt["by"][kinds.Color("red")] = 2
ckpt["found"] = ckpt["by"][kinds.Color("blue")]
ckpt["where"] = [k for k, v in ckpt.items() if v is kinds.Color("blue")]
"""),
    ("enum-replaced", enums, """
def plain(value):
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list) else value
ckpt = plain(ckpt)
"""),
    ("enum-new-class", lambda: {"x": 1}, """
ckpt["color"] = kinds.Color.RED
ckpt["level"] = kinds.Outer.Level.LOW
"""),
    ("numpy-read", arrays, """
out = {}
for key, value in ckpt.items():
    if isinstance(value, np.ndarray):
        out[key] = [value.shape, value.ndim, value.size, str(value.dtype), value.dtype.itemsize, value.nbytes]
ckpt["seen"] = out
ckpt["lists"] = [ckpt[k].tolist() for k in ("f32", "f64", "f16", "i64", "i32", "u8", "bool", "text", "fortran", "big", "zero")]
ckpt["items"] = [ckpt["f32"][0, 1].item(), ckpt["i64"][1][2].item(), float(ckpt["zero"]), ckpt["zero"].item(), ckpt["text"][1].item()]
ckpt["kinds"] = [ckpt["f32"].dtype == np.float32, ckpt["i64"].dtype == "int64", ckpt["text"].dtype.kind, ckpt["days"].dtype.kind]
"""),
    ("numpy-scalars", arrays, """
a = ckpt["f32"]
ckpt["row"] = a[1]
ckpt["one"] = a[0, 0]
ckpt["sum"] = [a[0, 0] + a[0, 1], ckpt["n32"] * 2, ckpt["n64"] + ckpt["n32"], ckpt["n8"] // 2, ckpt["n8"] / 2, -ckpt["n32"]]
ckpt["made"] = [np.float32(0.1), np.float64(1), np.int64(3), np.int32(7), np.bool_(False), np.uint8(9)]
ckpt["is"] = [isinstance(ckpt["n64"], float), isinstance(ckpt["n32"], np.floating), isinstance(ckpt["n8"], np.integer), isinstance(ckpt["n32"], float)]
ckpt["plain"] = [float(ckpt["n32"]), int(ckpt["n8"]), bool(ckpt["yes"]), ckpt["n64"].item(), str(ckpt["letters"])]
ckpt["compare"] = [ckpt["n32"] > 0, ckpt["n8"] == 7, ckpt["n64"] < ckpt["n32"]]
"""),
    ("numpy-written", arrays, """
ckpt["f32"][0, 1] = 9
ckpt["i64"][1] = [7, 8, 9]
ckpt["f64"][2:4] = 0.5
ckpt["text"][0] = "sp"
ckpt["bool"][:] = False
ckpt["fortran"][1, 0] = -1
ckpt["big"][1] = 77
ckpt["u8"] += 3
ckpt["f16"] *= 2
"""),
    ("numpy-made", arrays, """
ckpt["new"] = [
    np.array([1, 2, 3]), np.array([[1.0, 2], [3, 4]]), np.array([1, 2], dtype=np.float32), np.zeros((2, 3)), np.ones(3, dtype=int),
    np.full((2,), 7), np.arange(5), np.arange(0, 1, 0.25), np.array(["a", "bcd"]), np.array([True, False]), np.array([]), np.array(2.5),
    np.eye(2), np.linspace(0, 1, 5), np.zeros_like(ckpt["i32"]), np.array([{"a": 1}, None], dtype=object), np.asarray((1, 2), dtype="int16"),
]
"""),
    ("numpy-arithmetic", arrays, """
f, g, i = ckpt["f32"], ckpt["f64"], ckpt["i64"]
ckpt["out"] = [
    f + 1, f * 2.5, 1 / f, f - f, g ** 2, i + 1, i / 2, i // 4, i % 4, i * i, i + f, f + g[:3], -f, abs(f), ckpt["u8"] + 10, ckpt["i32"] * 2.0,
    ckpt["bool"] & True, ~ckpt["bool"], np.sqrt(g), np.maximum(i, 3), f > 0, i == 2, ckpt["i32"] + ckpt["u8"], ckpt["f16"] + 1, f @ 1 if False else f,
]
"""),
    ("numpy-reduced", arrays, """
f, g, i = ckpt["f32"], ckpt["f64"], ckpt["i64"]
ckpt["out"] = [
    f.sum(), g.sum(), i.sum(), f.mean(), i.mean(), g.std(), f.min(), i.max(axis=0), f.sum(axis=1), i.prod(), g.argmax(), ckpt["bool"].any(),
    ckpt["bool"].all(), np.mean(g), np.sum(i, axis=1), ckpt["bool"].sum(), np.allclose(f, f + 1e-9), np.array_equal(i, i), f.mean(axis=0),
]
"""),
    ("numpy-shaped", arrays, """
i, f = ckpt["i64"], ckpt["f32"]
ckpt["out"] = [
    i.reshape(3, 2), i.reshape(-1), i.T, i.flatten(), i[:, 1], i[::-1], i[..., 0], i[None].shape, np.concatenate([f, f]), np.stack([f, f]),
    np.concatenate([i, i], axis=1), f.astype(np.float64), f.astype(int), i.astype(str), np.expand_dims(i, 0), i[i > 2], i[[1, 0]], f.T.copy(),
    np.where(i > 2, i, 0), np.unique(ckpt["i32"]), np.sort(ckpt["i32"]), i.transpose(1, 0), np.append(ckpt["i32"], 4), np.delete(ckpt["i32"], 1),
]
"""),
    ("numpy-views", arrays, """
row = ckpt["i64"][1]
row[0] = 100
ckpt["row"] = row
copied = ckpt["i64"][0].copy()
copied[0] = 55
ckpt["copied"] = copied
flat = ckpt["f32"].reshape(-1)
flat[0] = 0
"""),
    ("numpy-moved", arrays, """
ckpt["moved"] = {k: ckpt.pop(k) for k in ("f32", "days", "objects", "text", "n32")}
ckpt["moved"]["again"] = ckpt["moved"]["f32"]
ckpt["moved"]["objects"][0]["b"] = 2
"""),
    ("numpy-objects", arrays, """
ckpt["objects"][1] = {"new": 1}
ckpt["objects"][2].append(3)
ckpt["kept"] = list(ckpt["objects"])
"""),
    ("numpy-names", arrays, """
ckpt["index"] = {str(name): i for i, name in enumerate(ckpt["text"])}
ckpt["has"] = ["q" in ckpt["text"], "zz" in ckpt["text"], len(ckpt["text"])]
ckpt["upper"] = [name.upper() for name in ckpt["text"].tolist()]
"""),
    ("moments", moments, """
import datetime
ckpt["read"] = [ckpt["at"].year, ckpt["at"].isoformat(), ckpt["day"].month, ckpt["span"].total_seconds(), ckpt["at"].strftime("%Y%m%d %H:%M")]
ckpt["later"] = ckpt["at"] + ckpt["span"]
ckpt["gap"] = datetime.date(2021, 1, 1) - ckpt["day"]
ckpt["made"] = [datetime.datetime(2001, 2, 3, 4), datetime.timedelta(hours=5), datetime.date.fromisoformat("2020-01-02"), datetime.timezone.utc]
ckpt["moved"] = ckpt.pop("naive")
ckpt["is"] = [isinstance(ckpt["at"], datetime.datetime), isinstance(ckpt["day"], datetime.datetime), ckpt["at"] > datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)]
"""),
    ("paths", paths, """
import pathlib
p = ckpt["p"]
ckpt["read"] = [p.name, p.stem, p.suffix, p.suffixes, str(p.parent), p.parts, p.is_absolute(), str(p), p.as_posix(), p.match("*.gz")]
ckpt["new"] = [p.parent / "x" / "y.txt", p.with_suffix(".zip"), p.with_name("z"), p.relative_to("/data"), pathlib.Path("a//b/./c"), pathlib.Path("/x") / p]
ckpt["text"] = str(ckpt["q"])
ckpt["equal"] = [pathlib.PurePosixPath("a/b") == ckpt["q"], pathlib.Path("a") == pathlib.Path("b"), str(ckpt["w"])]
ckpt["moved"] = ckpt.pop("p")
"""),
    ("torch-values", lambda: {"size": torch.Size([2, 3]), "dtype": torch.float16, "device": torch.device("cuda", 1), "layout": torch.strided, "cpu": torch.device("cpu")}, """
ckpt["read"] = [ckpt["size"][0], list(ckpt["size"]), ckpt["size"].numel(), str(ckpt["dtype"]), ckpt["dtype"] == torch.float16, ckpt["device"].type, ckpt["device"].index, str(ckpt["cpu"])]
ckpt["new"] = [torch.Size([4]), torch.bfloat16, torch.device("cpu"), torch.device("cuda:0"), torch.empty(2, 3).shape]
ckpt["moved"] = ckpt.pop("device")
ckpt["equal"] = [torch.device("cpu") == ckpt["cpu"], isinstance(ckpt["cpu"], torch.device), isinstance(ckpt["dtype"], torch.dtype), isinstance(ckpt["size"], torch.Size)]
"""),
    ("builtins", lambda: {"z": complex(1, -2), "r": range(1, 9, 2), "s": slice(1, None, 2), "f": frozenset({1, 2}), "b": bytearray(b"ab"), "y": b"raw", "big": 1 << 80}, """
ckpt["read"] = [ckpt["z"].real, list(ckpt["r"]), ckpt["s"].start, sorted(ckpt["f"]), bytes(ckpt["b"]), ckpt["y"][0]]
ckpt["new"] = [complex(0, 1), range(3), slice(2), frozenset({5}), bytearray(b"q"), ckpt["z"] * 2, -ckpt["big"]]
ckpt["b"] += b"c"
ckpt["r"] = range(len(ckpt["r"]))
"""),
    ("namedtuple", lambda: {"pair": kinds.Pair(1, [2]), "list": [kinds.Pair("a", "b")]}, """
first, second = ckpt["pair"]
second.append(first)
ckpt["read"] = [ckpt["pair"][0], len(ckpt["pair"]), list(ckpt["list"][0]), isinstance(ckpt["pair"], tuple), isinstance(ckpt["pair"], kinds.Pair)]
ckpt["plain"] = tuple(ckpt["list"][0])
"""),
    ("partial", lambda: {"p": functools.partial(kinds.Plain, a=1), "q": functools.partial(print, 1, 2)}, """
ckpt["read"] = [ckpt["p"].keywords["a"], ckpt["p"].args, ckpt["q"].args, ckpt["p"].func is kinds.Plain]
ckpt["moved"] = ckpt.pop("p")
ckpt["new"] = functools.partial(kinds.Plain, b=ckpt["moved"].keywords["a"])
"""),
    ("sets", lambda: {"s": {1, 2, 3}, "t": {"a", "b"}, "f": frozenset(["x"]), "e": set()}, """
ckpt["s"] |= {4}
ckpt["s"].discard(1)
ckpt["t"] = {t.upper() for t in ckpt["t"]}
ckpt["e"].add((1, 2))
ckpt["f"] = ckpt["f"] | {"y"}
"""),
    ("module-read", net, """
n = ckpt["net"]
ckpt["names"] = [k for k, _ in n.named_parameters()]
ckpt["buffers"] = [k for k, _ in n.named_buffers()]
ckpt["modules"] = [k for k, _ in n.named_modules()]
ckpt["children"] = [k for k, _ in n.named_children()]
ckpt["keys"] = list(n.state_dict())
ckpt["shapes"] = {k: tuple(v.shape) for k, v in n.state_dict().items()}
ckpt["is"] = [isinstance(n, torch.nn.Module), isinstance(n.first, torch.nn.Linear), isinstance(n, kinds.Net), isinstance(n.blocks, torch.nn.ModuleList)]
ckpt["read"] = [n.first.in_features, n.config["wide"], n.training, len(n.blocks), n.blocks[0].out_features, list(n.named), len(n.head), hasattr(n, "tail")]
ckpt["tied"] = [k for k, _ in ckpt["tied"].named_parameters()]
"""),
    ("module-attributes", net, """
n = ckpt["net"]
n.config["deep"] = 1
n.last = n.first
del n.first
n.note = "x"
n.eval()
n.scale = n.scale * 2
n.head[0].bias = None
del n.passing
"""),
    ("module-parameters", net, """
n = ckpt["net"]
n.first.weight = torch.nn.Parameter(n.first.weight.detach().clone())
n.register_buffer("extra", torch.arange(3))
n.register_buffer("temporary", torch.zeros(1), persistent=False)
n.register_parameter("gain", torch.nn.Parameter(torch.ones(2)))
n.add_module("more", n.blocks[1])
ckpt["count"] = sum(p.numel() for p in n.parameters())
ckpt["kept"] = list(n.state_dict())
"""),
    ("module-containers", net, """
n = ckpt["net"]
del n.blocks[0]
n.named["other"] = n.head[1]
ckpt["seq"][1] = ckpt["seq"][0]
ckpt["iterated"] = [type(m).__name__ for m in n.head]
ckpt["copy"] = copy.deepcopy(ckpt["tied"])
"""),
    ("deep-sharing", namespace, """
inner = ckpt["args"].inner
ckpt["list"] = [inner, inner, {"inner": inner}]
inner.me = ckpt["list"]
ckpt["shared"]["also"] = inner
"""),
    ("mixed-moves", lambda: {**omega(), **dot(), "n": argparse.Namespace(a=1)} | {"c2": DotDict(a={"b": 1})}, """
ckpt["n"].config = ckpt.pop("config")
ckpt["c2"].plain = ckpt["plain"]
ckpt["c2"].n = ckpt["n"]
ckpt["hyper_parameters"] = {"config": ckpt["c2"]}
"""),
    ("isinstance-order", lambda: {"d": DotDict(a=1), "o": collections.OrderedDict(a=1), "p": kinds.Plan("x"), "n": argparse.Namespace(), "c": omegaconf.OmegaConf.create({})}, """
from collections.abc import Mapping, MutableMapping
ckpt["is"] = {k: [isinstance(v, t) for t in (dict, DotDict, OrderedDict, Namespace, DictConfig, kinds.Plan, Mapping)] for k, v in ckpt.items()}
ckpt["names"] = {k: (type(v).__module__, type(v).__qualname__) for k, v in ckpt.items() if k != "is"}
"""),
    ("libraries", lambda: {"names": ["model.a.0.w", "model.b.1.w", "other"], "n": 2}, """
import abc, contextlib, fnmatch, io, itertools, json, math, operator, pprint, re, string, textwrap, types, typing, warnings, bisect, heapq, fractions
ckpt["fn"] = [fnmatch.filter(ckpt["names"], "model.*.w"), fnmatch.fnmatch("a.b", "?.[!c]"), fnmatch.fnmatch("abc", "a[b-d]*")]
buffer = io.StringIO()
print("x", file=buffer)
ckpt["io"] = buffer.getvalue()
ckpt["json"] = [json.loads('{"a": [1, 2.5, null]}'), json.dumps({"b": [True, None]}, sort_keys=True)]
ckpt["it"] = [list(itertools.chain([1], [2])), list(itertools.product("ab", repeat=2)), functools.reduce(operator.add, [1, 2, 3])]
ckpt["math"] = [math.floor(2.7), math.prod([2, 3]), math.isclose(0.1 + 0.2, 0.3), math.sqrt(2)]
ckpt["text"] = [textwrap.dedent("  a"), string.ascii_lowercase[:3], re.sub(r"(\\d)", r"<\\1>", "a1"), pprint.pformat({"a": 1})]
with contextlib.suppress(KeyError):
    ckpt["no"]
warnings.warn("said")
ckpt["bisect"] = [bisect.bisect([1, 3], 2), heapq.nsmallest(1, [3, 1]), str(fractions.Fraction(1, 3))]
@dataclasses.dataclass
class Local:
    x: typing.Optional[int] = 1
class Kind(enum.Enum):
    A = "a"
ckpt["local"] = [Local(3).x, dataclasses.asdict(Local()), Kind("a").name, types.SimpleNamespace(z=1).z]
"""),
]


def real_result(path, script, folder):
    """The file that real Python leaves."""
    spec = importlib.util.spec_from_file_location("migration", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    migrated = module.migrate(load(path))
    saved = folder / "real.ckpt"
    torch.save(migrated, saved)
    return saved


def load(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location=None, weights_only=False)


def without_list(ckpt):
    """The checkpoint less the list of migrations, which only ckstore wrote here."""
    ckpt.pop("migrations", None)
    if "hyper_parameters" in ckpt:
        ckpt["hyper_parameters"].pop("metadata", None)
    return ckpt


def source(body):
    return HEAD + "".join(f"    {line}\n" if line else "\n" for line in body.strip().split("\n")) + "    return ckpt\n"


def check(folder, maker, body):
    path, script = folder / "case.ckpt", folder / "script.py"
    torch.save(maker(), path)
    script.write_text(source(body))
    saved = real_result(path, script, folder)
    with Store() as store:
        catalogue = store.catalogue({"1700000000_case": source(body)})
        (catalogue / "catalogue.toml").write_text('policy = "last-done"\n')
        try:
            output = store.migrated(path, catalogue)
        except Refused as error:
            return [str(error)[-700:]]
        try:
            ours = load(output)
        except Exception as error:
            return [f"the result does not load: {error!r:.400}"]
        return differences(load(saved), without_list(ours))


def run(setting):
    only = os.environ.get("CKSTORE_INTEROP_CASE", "")
    equal = 0
    cases = [case for case in CASES if only in case[0]]
    for name, maker, body in cases:
        work = setting.folder / name
        work.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = check(work, maker, body)
            except Exception as error:
                found = [f"the case itself fails: {error!r:.400}"]
        equal += not found
        if found:
            print(f"FAILED {name}: {'; '.join(found)}", flush=True)
    print(f"objects: {equal} of {len(cases)} cases equal to real Python")
    return equal == len(cases)
