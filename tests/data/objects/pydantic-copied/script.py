
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
    ckpt["c"] = ckpt["m"].model_copy(update={"rate": 9.0})
    ckpt["d"] = ckpt["m"].model_copy(deep=True)
    ckpt["e"] = copy.copy(ckpt["m"])
    ckpt["d"].tags.append("deep")
    ckpt["e"].name = "e"
    return ckpt
