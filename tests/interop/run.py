"""Runs the parts of the comparison with real torch and real anemoi-models. `interop.sh` calls this."""

import argparse
import importlib
import importlib.util
import pathlib
import sys
import tempfile
import time

import driver

# What runs where no part is named, in this order. A part is a module here with `run(setting)`, which prints what it
# found and returns whether all is well.

PARTS = ("returning", "folders", "tensors", "shipped", "upstream", "objects", "contexts", "inference", "rollback")


class Setting:
    """What a part is told: a folder for its files, how much to do, and what the command line said."""

    def __init__(self, folder, arguments):
        self.folder = folder
        self.short = arguments.extent == "short"
        self.seed = arguments.seed
        self.corpus = arguments.corpus


def main():
    parser = argparse.ArgumentParser(prog="tests/interop.sh")
    parser.add_argument("words", nargs="*", metavar="short|full|PART", help=f"parts: {', '.join(PARTS)}")
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    parser.add_argument("--corpus", type=pathlib.Path, help="a folder of checkpoint files, one folder a family")
    parser.add_argument("--import", dest="imports", action="append", default=[], help="a module that the corpus needs")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_intermixed_args()
    extents = [word for word in arguments.words if word in ("short", "full")]
    parts = [word for word in arguments.words if word not in extents]
    unknown = [name for name in parts if importlib.util.find_spec(name) is None]
    if unknown or len(extents) > 1:
        parser.error(f"there is no part `{unknown[0]}`" if unknown else "either short or full")
    arguments.extent = extents[0] if extents else "full"
    driver.Store.binary = arguments.binary.resolve()
    for name in arguments.imports:
        importlib.import_module(name)
    failed = []
    for name in parts or PARTS:
        started = time.monotonic()
        part = importlib.import_module(name)
        with tempfile.TemporaryDirectory(prefix="ckstore-interop-") as folder:
            passed = part.run(Setting(pathlib.Path(folder), arguments))
        print(f"{name}: {'passed' if passed else 'FAILED'} in {time.monotonic() - started:.0f} s", flush=True)
        if not passed:
            failed.append(name)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
