
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
    import pathlib
    p = ckpt["p"]
    ckpt["read"] = [p.name, p.stem, p.suffix, p.suffixes, str(p.parent), p.parts, p.is_absolute(), str(p), p.as_posix(), p.match("*.gz")]
    ckpt["new"] = [p.parent / "x" / "y.txt", p.with_suffix(".zip"), p.with_name("z"), p.relative_to("/data"), pathlib.Path("a//b/./c"), pathlib.Path("/x") / p]
    ckpt["text"] = str(ckpt["q"])
    ckpt["equal"] = [pathlib.PurePosixPath("a/b") == ckpt["q"], pathlib.Path("a") == pathlib.Path("b"), str(ckpt["w"])]
    ckpt["moved"] = ckpt.pop("p")
    return ckpt
