
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
    n = ckpt["n"]
    n["z"] += 3
    n.update("ab")
    del n["c"]
    ckpt["most"] = n.most_common(2)
    ckpt["missing"] = n["nothing"]
    ckpt["m"] = Counter({"x": 2}) + Counter("xy")
    ckpt["is"] = isinstance(n, Counter) and isinstance(n, dict)
    return ckpt
