
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
    ckpt["read"] = [ckpt["size"][0], list(ckpt["size"]), ckpt["size"].numel(), str(ckpt["dtype"]), ckpt["dtype"] == torch.float16, ckpt["device"].type, ckpt["device"].index, str(ckpt["cpu"])]
    ckpt["new"] = [torch.Size([4]), torch.bfloat16, torch.device("cpu"), torch.device("cuda:0"), torch.empty(2, 3).shape]
    ckpt["moved"] = ckpt.pop("device")
    ckpt["equal"] = [torch.device("cpu") == ckpt["cpu"], isinstance(ckpt["cpu"], torch.device), isinstance(ckpt["dtype"], torch.dtype), isinstance(ckpt["size"], torch.Size)]
    return ckpt
