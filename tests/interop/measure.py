"""What a rename of every key costs on a checkpoint of 1 GB, here and in anemoi-models: run by its name alone.

Bytes that are read from the store are counted with strace, where there is one.
"""

import collections
import re
import shutil
import subprocess
import sys
import time

import torch

from driver import Store

RENAME = """from anemoi.models.migrations import CkptType, MigrationMetadata

metadata = MigrationMetadata(versions={"migration": "1.0.0", "anemoi-models": "0.2.0"})


def migrate(ckpt: CkptType) -> CkptType:
    sd = ckpt["state_dict"]
    for key in list(sd):
        sd[key.replace("layers", "blocks")] = sd.pop(key)
    return ckpt
"""

# What a person runs to migrate a file in place of ckstore.
UPSTREAM = """
import pathlib, sys, time, torch
from anemoi.models.migrations import Migrator
sys.path.insert(0, {parent!r})
started = time.monotonic()
_, migrated, _ = Migrator.from_path(pathlib.Path({scripts!r}), {name!r}).sync({path!r})
torch.save(migrated, {out!r})
with open({out!r}) as file:
    import os
    os.fsync(file.fileno())
print(time.monotonic() - started)
"""


def checkpoint(path, layers):
    torch.manual_seed(0)
    state, moments = collections.OrderedDict(), {}
    for layer in range(layers):
        for name, shape in (("attn.qkv.weight", (3072, 1024)), ("mlp.0.weight", (512, 1024)), ("mlp.0.bias", (512,))):
            state[f"model.layers.{layer}.{name}"] = torch.randn(shape) * 0.02
            moments[len(moments)] = {
                "step": torch.tensor(100.0),
                "exp_avg": torch.randn(shape) * 1e-3,
                "exp_avg_sq": torch.rand(shape) * 1e-6,
            }
    groups = [{"lr": 1e-3, "params": list(range(len(moments)))}]
    made = {"epoch": 3, "pytorch-lightning_version": "2.5.0", "state_dict": state, "optimizer_states": [{"state": moments, "param_groups": groups}]}
    made.update({"hyper_parameters": {"config": {"lr": 1e-3}, "metadata": {}}, "migrations": []})
    torch.save(made, path)


def timed(command, **options):
    """Seconds, peak memory in MiB and output of a process."""
    # GNU time starts the process from a small one: the peak of the one that starts counts as well.
    started = time.monotonic()
    wrapped = ["/usr/bin/time", "-f", "peak %M", *command]
    done = subprocess.run(wrapped, capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(done.stderr)
    seconds = time.monotonic() - started
    return seconds, int(done.stderr.split()[-1]) / 1024, done.stdout


def bytes_read(command, folder, output):
    """Bytes that were read from packs before the output was begun, and from then on."""
    log = folder / "strace.log"
    watched = "trace=read,pread64,preadv,write,pwrite64,mmap"
    subprocess.run(["strace", "-f", "-y", "-e", watched, "-o", log, *command], check=True, stdout=subprocess.DEVNULL)
    before = after = 0
    begun = False
    waiting = {}
    for line in log.read_text(errors="replace").splitlines():
        task, call = line.split(None, 1)
        if "unfinished" in call:
            waiting[task] = call
        elif "resumed" in call:
            call = waiting.pop(task, "") + call
        if re.match(r"p?write", call) and f"<{output.parent}/" in call:
            begun = True
        if "mmap" in call and ".pack>" in call:
            raise RuntimeError("a pack is mapped into memory: its reads cannot be counted")
        found = re.search(r"read(?:64|v)?\(\d+<[^>]*\.pack>.*= (\d+)$", call)
        if found and begun:
            after += int(found[1])
        elif found:
            before += int(found[1])
    return before, after


def run(setting):
    folder = setting.folder
    path = folder / "big.ckpt"
    checkpoint(path, 2 if setting.short else 26)
    size = path.stat().st_size
    print(f"checkpoint of {size / 2**30:.2f} GiB")
    with Store() as store:
        catalogue = store.catalogue({"1700000000_rename": RENAME}, "ckstore_big_catalogue")
        (catalogue / "__init__.py").write_text("")
        store.run("import", path, "--name", "case", "--catalogue", catalogue)
        store.run("branch", "second", "case")
        base = [Store.binary, "--store", store.path]
        places = {"cwd": store.folder}
        out = store.folder / "out"
        out.mkdir()
        plan = [*base, "plan", "case", "--version", "0.2.0"]
        checkout = [*base, "checkout", "case", "--version", "0.2.0", "-o", out / "a.ckpt"]
        seconds, peak, _ = timed(plan, **places)
        print(f"plan: {seconds * 1000:.0f} ms, {peak:.0f} MiB at most")
        if shutil.which("strace"):
            read, _ = bytes_read(plan, store.folder, store.folder / "none" / "x")
            print(f"plan: {read} bytes read from packs")
            second = [*base, "checkout", "second", "--catalogue", catalogue, "--version", "0.2.0", "-o", out / "b.ckpt"]
            before, after = bytes_read(second, store.folder, out / "b.ckpt")
            print(f"checkout: {before} bytes read from packs before the file is begun, {after} for writing it")
        seconds, peak, _ = timed(checkout, **places)
        print(f"checkout: {seconds:.2f} s, {peak:.0f} MiB at most")
        # The memory of the checkout above must not weigh on what comes now.
        text = UPSTREAM.format(
            parent=str(catalogue.parent), scripts=str(catalogue), name=catalogue.name, path=str(path), out=str(folder / "upstream.ckpt")
        )
        _, peak, output = timed([sys.executable, "-W", "ignore", "-c", text])
        print(f"anemoi-models: {float(output.split()[-1]):.1f} s without its imports, {peak:.0f} MiB at most")
        same = torch.load(out / "a.ckpt", weights_only=False, mmap=True)["state_dict"].keys()
        return same == torch.load(folder / "upstream.ckpt", weights_only=False, mmap=True)["state_dict"].keys()
