#!/bin/sh
# Makes a Python environment for tests/interop.sh from PyPI alone. usage: tests/interop/setup.sh DIR
#
# PyPI's torch asks for some gigabytes of CUDA libraries that a processor never calls. It is installed without them,
# and empty libraries with the same symbols stand in for those that its own libraries name: stubs.py makes them with
# gcc and binutils. Only the CUDA runtime is real, since torch calls it while it is loaded.
set -eu
target=${1:?usage: tests/interop/setup.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)
python3.11 -m venv "$target"
install="$target/bin/pip install --quiet"
$install --no-deps 'torch==2.15.0' 'nvidia-cuda-runtime==13.2.*'
$install numpy safetensors filelock typing-extensions setuptools sympy networkx jinja2 fsspec
libraries=$("$target/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/torch/lib
ln -sf ../../nvidia/cu13/lib/libcudart.so.13 "$libraries/libcudart.so.13"
"$target/bin/python" "$here/stubs.py" "$libraries" libcudart.so.13
$install --no-deps 'anemoi-models==0.19.0' anemoi-utils torch-geometric einops pytorch-lightning lightning-utilities \
    torchmetrics hydra-core pydantic 'pydantic-core==2.50.4'
$install 'omegaconf<2.4' 'antlr4-python3-runtime==4.9.*' pyyaml packaging tqdm requests rich python-dateutil psutil \
    xxhash scipy annotated-types typing-inspection deprecation entrypoints multiurl aniso8601 pydantic-settings
"$target/bin/python" -c 'import torch, anemoi.models.migrations'
echo "export CKSTORE_PYTHON=$target/bin/python"
