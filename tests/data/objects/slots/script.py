
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
    s = ckpt["s"]
    s.rate = s.rate + 1
    s.name = s.name.upper()
    ckpt["has"] = [hasattr(s, "name"), hasattr(s, "other"), hasattr(s, "__dict__")]
    h = ckpt["h"]
    h.fixed.append(3)
    h.b = h.a
    h.a = 5
    ckpt["vars"] = dict(vars(h))
    return ckpt
