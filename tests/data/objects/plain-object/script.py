
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
    return ckpt
