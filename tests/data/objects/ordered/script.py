
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
    o = ckpt["o"]
    o.move_to_end("a")
    o["d"] = o.pop("b")
    o._metadata["w"] = 2
    o.note = "kept"
    ckpt["first"] = next(iter(o))
    ckpt["new"] = OrderedDict((k, v) for k, v in reversed(list(o.items())))
    ckpt["sub"] = [isinstance(ckpt["sub"], OrderedDict), isinstance(ckpt["sub"], kinds.Ordered), ckpt["sub"]]
    return ckpt
