
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
    ckpt["moved"] = ckpt.pop("c")
    ckpt["values"] = [ckpt["moved"].value, ckpt["again"][1].value, ckpt["s"].value, ckpt["a"].value]
    ckpt["same"] = [ckpt["moved"] is ckpt["again"][0], ckpt["moved"] == ckpt["again"][0], ckpt["moved"] != ckpt["again"][1]]
    ckpt["is"] = [isinstance(ckpt["moved"], kinds.Color), isinstance(ckpt["moved"], enum.Enum), isinstance(ckpt["s"], kinds.Color)]
    return ckpt
