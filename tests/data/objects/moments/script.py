
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
    import datetime
    ckpt["read"] = [ckpt["at"].year, ckpt["at"].isoformat(), ckpt["day"].month, ckpt["span"].total_seconds(), ckpt["at"].strftime("%Y%m%d %H:%M")]
    ckpt["later"] = ckpt["at"] + ckpt["span"]
    ckpt["gap"] = datetime.date(2021, 1, 1) - ckpt["day"]
    ckpt["made"] = [datetime.datetime(2001, 2, 3, 4), datetime.timedelta(hours=5), datetime.date.fromisoformat("2020-01-02"), datetime.timezone.utc]
    ckpt["moved"] = ckpt.pop("naive")
    ckpt["is"] = [isinstance(ckpt["at"], datetime.datetime), isinstance(ckpt["day"], datetime.datetime), ckpt["at"] > datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)]
    return ckpt
