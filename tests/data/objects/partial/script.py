
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
    ckpt["read"] = [ckpt["p"].keywords["a"], ckpt["p"].args, ckpt["q"].args, ckpt["p"].func is kinds.Plain]
    ckpt["moved"] = ckpt.pop("p")
    ckpt["new"] = functools.partial(kinds.Plain, b=ckpt["moved"].keywords["a"])
    return ckpt
