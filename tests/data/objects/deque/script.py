
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
    d = ckpt["a"]
    d.append(3)
    d.appendleft(ckpt["b"])
    d[1].append("x")
    ckpt["max"] = d.maxlen
    ckpt["new"] = deque([1, d], maxlen=2)
    ckpt["plain"] = deque()
    d.append(4)
    return ckpt
