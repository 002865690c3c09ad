
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
    ckpt["f32"][0, 1] = 9
    ckpt["i64"][1] = [7, 8, 9]
    ckpt["f64"][2:4] = 0.5
    ckpt["text"][0] = "sp"
    ckpt["bool"][:] = False
    ckpt["fortran"][1, 0] = -1
    ckpt["big"][1] = 77
    ckpt["u8"] += 3
    ckpt["f16"] *= 2
    return ckpt
