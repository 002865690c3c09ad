//! Storage classes and their element types.

use crate::value::Dtype;

/// Storage classes by name, with what their elements are, as in `torch/storage.py`.
const CLASSES: &[(&str, Dtype)] = &[
    ("torch.FloatStorage", Dtype::F32),
    ("torch.DoubleStorage", Dtype::F64),
    ("torch.HalfStorage", Dtype::F16),
    ("torch.BFloat16Storage", Dtype::Bf16),
    ("torch.LongStorage", Dtype::I64),
    ("torch.IntStorage", Dtype::I32),
    ("torch.ShortStorage", Dtype::I16),
    ("torch.CharStorage", Dtype::I8),
    ("torch.ByteStorage", Dtype::U8),
    ("torch.BoolStorage", Dtype::Bool),
    ("torch.ComplexDoubleStorage", Dtype::C128),
    ("torch.ComplexFloatStorage", Dtype::C64),
    ("torch.QUInt8Storage", Dtype::QU8),
    ("torch.QInt8Storage", Dtype::QI8),
    ("torch.QInt32Storage", Dtype::QI32),
    ("torch.QUInt4x2Storage", Dtype::QU4X2),
    ("torch.QUInt2x4Storage", Dtype::QU2X4),
];

/// The class of storages without an element type; their length is in bytes.
pub(super) const UNTYPED: &str = "torch.storage.UntypedStorage";

/// What the elements of a storage of this class are; bytes for untyped ones. Classes of devices
/// (`torch.cuda.FloatStorage`) count as those of the CPU.
pub(super) fn dtype_of_class(class: &str) -> Option<Dtype> {
    if class == UNTYPED || class == "torch.UntypedStorage" {
        return Some(Dtype::U8);
    }
    let class = class.strip_prefix("torch.cuda.").unwrap_or(class);
    let class = class.strip_prefix("torch.").unwrap_or(class);
    CLASSES.iter().find(|(name, _)| name["torch.".len()..] == *class).map(|(_, dtype)| *dtype)
}

/// The class of a storage whose elements are of this type.
pub(super) fn class_of_dtype(dtype: Dtype) -> &'static str {
    CLASSES.iter().find(|(_, of)| *of == dtype).map_or(UNTYPED, |(class, _)| class)
}
