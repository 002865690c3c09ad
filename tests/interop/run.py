"""Runs the checks against real torch and real anemoi-models. `interop.sh` calls this with a fitting Python."""

import argparse
import importlib
import pathlib
import sys
import tempfile
import time

import driver


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("extent", nargs="?", choices=("short", "full"), default="short")
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    parser.add_argument("--corpus", type=pathlib.Path, help="a folder of checkpoint files, one folder a family")
    parser.add_argument("--import", dest="imports", action="append", default=[], help="a module that the corpus needs")
    parser.add_argument("--only", action="append", help="returning, tensors, upstream")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    driver.Store.binary = arguments.binary.resolve()
    for name in arguments.imports:
        importlib.import_module(name)
    short = arguments.extent == "short"
    good = True
    for name in arguments.only or ("returning", "tensors", "upstream"):
        started = time.monotonic()
        part = importlib.import_module(name)
        with tempfile.TemporaryDirectory(prefix="ckstore-interop-") as folder:
            folder = pathlib.Path(folder)
            if name == "returning":
                passed = part.run(folder, arguments.corpus, short)
            else:
                passed = part.run(folder, short, arguments.seed)
        print(f"{name}: {'passed' if passed else 'FAILED'} in {time.monotonic() - started:.0f} s", flush=True)
        good &= passed
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
