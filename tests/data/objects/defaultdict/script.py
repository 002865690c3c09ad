
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
    d = ckpt["d"]
    d["new"].append(5)
    d["x"].append(2)
    ckpt["e"] = defaultdict(dict)
    ckpt["e"]["a"]["b"] = 1
    ckpt["factory"] = d.default_factory
    ckpt["f"] = defaultdict(int, {"k": 2})
    return ckpt
