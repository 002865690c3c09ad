"""Classes whose instances the cases of `objects.py` put into checkpoints."""

import collections
import dataclasses
import enum
import typing

import pydantic
import pydantic.v1
import pytorch_lightning
import torch


class Plain:
    def __init__(self, **fields):
        self.__dict__.update(fields)


@dataclasses.dataclass
class Plan:
    name: str
    rate: float = 0.5
    stages: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Frozen:
    name: str
    rate: float = 0.5


@dataclasses.dataclass(slots=True)
class Slotted:
    name: str
    rate: float = 0.5


class HalfSlotted(Plain):
    __slots__ = ("fixed",)


class Outer:
    class Inner:
        def __init__(self, **fields):
            self.__dict__.update(fields)

    class Level(enum.Enum):
        LOW = 1
        HIGH = 2


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2


Pair = collections.namedtuple("Pair", "first second")


class Model(pydantic.BaseModel):
    name: str = "a"
    rate: float = 0.5
    tags: list[str] = []
    parent: typing.Optional["Model"] = None


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str = "a"
    _hidden: int = 3


class OldModel(pydantic.v1.BaseModel):
    name: str = "a"
    rate: float = 0.5
    tags: list = []


class Ordered(collections.OrderedDict):
    pass


class Own(dict):
    pass


class Net(torch.nn.Module):
    def __init__(self, wide=3):
        super().__init__()
        self.first = torch.nn.Linear(2, wide)
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(wide, wide, bias=False) for _ in range(2)])
        self.named = torch.nn.ModuleDict({"norm": torch.nn.LayerNorm(wide)})
        self.head = torch.nn.Sequential(torch.nn.Linear(wide, 1), torch.nn.ReLU())
        self.register_buffer("scale", torch.ones(2))
        self.register_buffer("passing", torch.zeros(1), persistent=False)
        self.config = {"wide": wide}

    def forward(self, x):
        return self.head(self.first(x * self.scale))


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Linear(3, 3, bias=False)
        self.decoder = torch.nn.Linear(3, 3, bias=False)
        self.decoder.weight = self.encoder.weight

    def forward(self, x):
        return self.decoder(self.encoder(x))


class Wrapped(pytorch_lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = Net()
        self.save_hyperparameters({"lr": 0.1})


class Deep(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stages = torch.nn.ModuleDict({name: torch.nn.ModuleList([Tied(), torch.nn.Linear(1, 1)]) for name in ("a", "b")})
        self.gain = torch.nn.Parameter(torch.ones(3))
        self.again = self.stages["a"][1]
