"""What migration scripts use of `torch`."""

import ckstore_objects as _objects
import ckstore_tensor as _tensor
from ckstore_tensor import (
    Size,
    Tensor,
    allclose,
    arange,
    as_tensor,
    block_diag,
    broadcast_shapes,
    cat,
    concat,
    concatenate,
    contiguous_format,
    device,
    dtype,
    einsum,
    empty,
    empty_like,
    equal,
    eye,
    full,
    full_like,
    hstack,
    is_tensor,
    linspace,
    numel,
    ones,
    ones_like,
    preserve_format,
    promote_types,
    result_type,
    scalar_tensor,
    stack,
    strided,
    tensor,
    vstack,
    where,
    zeros,
    zeros_like,
)


def _method(name):
    def function(input, *args, **kwargs):
        return getattr(input, name)(*args, **kwargs)

    function.__name__ = name
    return function


for _name in (
    "clone reshape permute transpose swapaxes swapdims t narrow select unsqueeze squeeze flatten unflatten split "
    "chunk tensor_split unbind index_select flip roll ravel movedim moveaxis broadcast_to diagonal isclose add sub mul "
    "multiply div divide true_divide floor_divide remainder pow maximum minimum clamp clip neg abs sqrt rsqrt exp log "
    "reciprocal floor ceil trunc round sign isnan isinf isfinite square eq ne lt le gt ge logical_not logical_and "
    "logical_or masked_fill sum prod mean var std norm all any min max amin amax argmin argmax detach "
    "repeat_interleave is_floating_point is_complex"
).split():
    globals()[_name] = _method(_name)


globals().update(_tensor._DTYPES)
double, half, short, long = float64, float16, int16, int64
int, float = int32, float32


class no_grad:
    def __enter__(self):
        return self

    def __exit__(self, *args):
        return None

    def __call__(self, function):
        return function


inference_mode = enable_grad = no_grad


def set_grad_enabled(mode):
    return no_grad()


def named_value(name):
    """What the name of torch's own module stands for in a checkpoint."""
    return _tensor._DTYPES.get(name)


class _Cuda:
    @staticmethod
    def is_available():
        return False

    @staticmethod
    def device_count():
        return 0


cuda = _Cuda()
__version__ = "0"


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    if name == "nn":
        import torch.nn

        return torch.nn
    if name[:1].isupper():
        return _objects.class_for("torch", name, False)
    error = AttributeError(f"`torch.{name}` is not available in the sandbox")
    error.ckstore_missing = f"torch.{name}"
    raise error
