
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
    a = ckpt["args"]
    a.lr = a.lr * 2
    a.new = {"deep": a.inner}
    del a.layers
    ckpt["has"] = [hasattr(a, "layers"), hasattr(a, "lr"), "lr" in a, "layers" in a, getattr(a, "none", 5)]
    ckpt["names"] = sorted(vars(a))
    return ckpt
