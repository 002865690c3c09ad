
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
    first, second = ckpt["pair"]
    second.append(first)
    ckpt["read"] = [ckpt["pair"][0], len(ckpt["pair"]), list(ckpt["list"][0]), isinstance(ckpt["pair"], tuple), isinstance(ckpt["pair"], kinds.Pair)]
    ckpt["plain"] = tuple(ckpt["list"][0])
    return ckpt
