"""Makes empty shared libraries in place of CUDA ones. usage: stubs.py TORCH_LIB_FOLDER [NAME_OF_A_REAL_ONE ...]

Each has the symbols, with their versions, that torch's own libraries ask of it. A stub that is called aborts.
"""

import collections
import pathlib
import re
import subprocess
import sys
import tempfile

SYSTEM = re.compile(r"(lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+|util|z|quadmath|gomp)|ld-linux.*)\.so")
# Libraries whose symbols carry no version, by how the symbols begin; the first that fits counts.
PREFIXES = {
    "nccl": "libnccl.",
    "cuFile": "libcufile.",
    "cusparseLt": "libcusparseLt.",
    "nvshmem": "libnvshmem_host.",
    "cudnn": "libcudnn.",
    "cusolver": "libcusolver.",
    "cufft": "libcufft.",
    "cupti": "libcupti.",
    "nvrtc": "libnvrtc.",
    "cublasLt": "libcublasLt.",
    "cublas": "libcublas.",
    "cusparse": "libcusparse.",
}


def told(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def versions_of(library):
    """Which library each symbol version that this one needs belongs to."""
    owners, current = {}, None
    for line in told("readelf", "-V", library).splitlines():
        if found := re.search(r"File: (\S+)", line):
            current = found[1]
        if (found := re.search(r"Name: (\S+)\s+Flags", line)) and current:
            owners[found[1]] = current
    return owners


def missing(folder, real):
    """Library, then symbol version, then symbols, of all that is asked for and not there."""
    files = sorted(folder.glob("*.so*"))
    here = {file.name for file in files} | set(real)
    asked = collections.defaultdict(lambda: collections.defaultdict(set))
    for file in files:
        for name in re.findall(r"NEEDED.*\[(.*?)\]", told("readelf", "-d", file)):
            if name not in here and not SYSTEM.match(name):
                asked[name]
    loose, defined = set(), set()
    for file in files:
        owners = versions_of(file)
        for symbol in re.findall(r"^\s+[UwWvV] (\S+)$", told("nm", "-D", "--undefined-only", file), re.M):
            name, _, version = symbol.replace("@@", "@").partition("@")
            if not version:
                loose.add(name)
            elif owners.get(version) in asked:
                asked[owners[version]][version].add(name)
        defined |= {s.split("@")[0] for s in re.findall(r"^[0-9a-f]+ \S (\S+)$", told("nm", "-D", "--defined-only", file), re.M)}
    for name in loose - defined:
        start = next((library for prefix, library in PREFIXES.items() if name.startswith(prefix)), None)
        for library in asked:
            if start is not None and library.startswith(start):
                asked[library][""].add(name)
    return asked


def make(folder, library, versions):
    symbols = sorted(set().union(*versions.values()))
    source = "#include <stdlib.h>\n" + "".join(f"void {symbol}(void) {{ abort(); }}\n" for symbol in symbols)
    script = "".join(f"{v} {{ global: {'; '.join(sorted(s))}; }};\n" for v, s in versions.items() if v)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        (work / "stub.c").write_text(source)
        (work / "stub.map").write_text(script)
        command = ["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{library}", "-o", folder / library, work / "stub.c"]
        subprocess.run(command + ([f"-Wl,--version-script={work / 'stub.map'}"] if script else []), check=True)


def main():
    folder = pathlib.Path(sys.argv[1])
    for library, versions in missing(folder, sys.argv[2:]).items():
        # Without the driver torch says that there is no device, which is so.
        if not library.startswith("libcuda.so"):
            make(folder, library, versions)


if __name__ == "__main__":
    main()
