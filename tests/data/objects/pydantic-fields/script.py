
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
    m = ckpt["m"]
    m.name = "changed"
    m.tags.append("b")
    m.parent.rate = 7.5
    ckpt["set"] = sorted(m.model_fields_set)
    ckpt["parent set"] = sorted(m.parent.model_fields_set)
    ckpt["vars"] = sorted(vars(m))
    return ckpt
