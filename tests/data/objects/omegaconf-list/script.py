
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
    l = ckpt["config"].list
    l.append({"new": [1]})
    l[0] = 10
    l.insert(1, "in")
    del l[2]
    ckpt["read"] = [x for x in ckpt["pair"][0] if not isinstance(x, DictConfig)]
    ckpt["pair"][0].extend([4, 5])
    return ckpt
