
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
    n = ckpt["net"]
    n.config["deep"] = 1
    n.last = n.first
    del n.first
    n.note = "x"
    n.eval()
    n.scale = n.scale * 2
    n.head[0].bias = None
    del n.passing
    return ckpt
