
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
    c = ckpt["config"]
    c.update({"u": {"v": 1}}, w={"x": 2})
    ckpt["default"] = c.setdefault("s", {"t": 1})
    c.model.setdefault("layers", 9)
    c.model.update(layers=5)
    ckpt["kinds"] = [type(c["u"]).__name__, type(c["w"]).__name__, type(c["s"]).__name__]
    return ckpt
