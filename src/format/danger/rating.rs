//! How much a global is to be feared.

use serde::Serialize;

use super::known::{DANGEROUS, DANGEROUS_MODULES, REACHED_MODULES, SAFE, SAFE_CLASSES};

/// How much a global is to be feared when a pickle names or calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rating {
    /// It only builds a value.
    Safe,
    /// Nothing is known of it: a class of some library, as a rule.
    Unknown,
    /// It can run programs, load code, touch files, or reach other objects by name.
    Dangerous,
}

impl Rating {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Rating::Safe => "safe",
            Rating::Unknown => "unknown",
            Rating::Dangerous => "dangerous",
        }
    }
}

/// Rates a global by its names, which may be those of Python 2.
pub(super) fn rate(module: &str, name: &str) -> Rating {
    let (module, name) = match (module, name) {
        ("itertools", "imap") => ("builtins", "map"),
        ("itertools", "ifilter") => ("builtins", "filter"),
        ("itertools", "izip") => ("builtins", "zip"),
        ("__builtin__", "reduce") => ("functools", "reduce"),
        ("__builtin__" | "exceptions" | "__builtins__", name) => ("builtins", name),
        ("copy_reg", name) => ("copyreg", name),
        other => other,
    };
    let names =
        |list: &[(&str, &[&str])]| list.iter().any(|(of, names)| *of == module && names.contains(&name));
    if names(SAFE) {
        return Rating::Safe;
    }
    if within(module, DANGEROUS_MODULES) || names(DANGEROUS) {
        return Rating::Dangerous;
    }
    let steps = || name.split('.');
    let is_walk = name.contains('.');
    // A name reaches whatever a module imported itself, and a dotted one walks over attributes.
    if steps().any(|step| REACHED_MODULES.contains(&step))
        || is_walk && within(module, &["pathlib"])
        || is_walk && steps().any(is_inner)
        || is_walk && steps().next_back().is_some_and(runs)
    {
        return Rating::Dangerous;
    }
    let is_class = |step: &str| {
        let step = step.trim_start_matches('_');
        step.starts_with(|c: char| c.is_ascii_uppercase())
    };
    let is_storage = module == "torch" && name.ends_with("Storage") && !is_walk;
    let is_dtype = module == "torch" && crate::value::Dtype::from_name(name).is_some();
    let is_scheme = module == "torch"
        && !is_walk
        && (name.starts_with("per_channel_")
            || name.starts_with("per_tensor_")
            || name.starts_with("sparse_"));
    let is_exception = module == "builtins"
        && !is_walk
        && (name.ends_with("Error") || name.ends_with("Exception") || name.ends_with("Warning"));
    // The classes of TorchScript are compiled from the file; `torch.load` does not know them.
    let is_script = module == "__torch__" || module.starts_with("__torch__.");
    let is_compiled = within(module, &["numpy.random"]) && name.starts_with("__pyx_unpickle_");
    let is_known_class = within(module, SAFE_CLASSES) && steps().all(is_class);
    if is_storage || is_dtype || is_scheme || is_exception || is_known_class || is_compiled {
        return Rating::Safe;
    }
    if is_script { Rating::Safe } else { Rating::Unknown }
}

/// Whether a step of a walk enters what objects have inside. `__new__` only makes an object.
fn is_inner(step: &str) -> bool {
    step.starts_with("__") && step.ends_with("__") && !matches!(step, "__new__" | "__init__" | "__members__")
}

/// Whether a name is that of something dangerous wherever it is reached.
fn runs(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "system",
        "popen",
        "eval",
        "exec",
        "execve",
        "spawn",
        "Popen",
        "check_output",
        "import_module",
        "runstring",
        "load_library",
        "load",
        "loads",
        "save",
        "dump",
        "open",
        "tofile",
        "fromfile",
        "from_file",
        "_write_file",
        "write_text",
        "write_bytes",
        "read_text",
        "read_bytes",
        "unlink",
        "rmdir",
        "mkdir",
        "touch",
        "symlink_to",
    ];
    NAMES.contains(&name)
}

fn within(module: &str, list: &[&str]) -> bool {
    list.iter().any(|of| module.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globals_are_rated_by_what_a_call_could_do() {
        let table = [
            ("os", "system", Rating::Dangerous),
            ("os.path", "join", Rating::Dangerous),
            ("posix", "system", Rating::Dangerous),
            ("nt", "system", Rating::Dangerous),
            ("__builtin__", "eval", Rating::Dangerous),
            ("builtins", "getattr", Rating::Dangerous),
            ("builtins", "exec", Rating::Dangerous),
            ("builtins", "__import__", Rating::Dangerous),
            ("builtins", "open", Rating::Dangerous),
            ("io", "open", Rating::Dangerous),
            ("subprocess", "Popen", Rating::Dangerous),
            ("socket", "socket", Rating::Dangerous),
            ("shutil", "rmtree", Rating::Dangerous),
            ("runpy", "_run_code", Rating::Dangerous),
            ("pty", "spawn", Rating::Dangerous),
            ("webbrowser", "open", Rating::Dangerous),
            ("ctypes", "CDLL", Rating::Dangerous),
            ("code", "InteractiveInterpreter", Rating::Dangerous),
            ("importlib.util", "module_from_spec", Rating::Dangerous),
            ("operator", "attrgetter", Rating::Dangerous),
            ("_operator", "methodcaller", Rating::Dangerous),
            ("numpy.testing._private.utils", "runstring", Rating::Dangerous),
            ("torch.hub", "load", Rating::Dangerous),
            ("torch", "load", Rating::Dangerous),
            ("pickle", "loads", Rating::Dangerous),
            ("itertools", "imap", Rating::Dangerous),
            ("torch", "serialization.os.system", Rating::Dangerous),
            ("torch._utils", "sys", Rating::Dangerous),
            ("torch.nn.modules.linear", "Linear.__init__.__globals__", Rating::Dangerous),
            ("collections", "OrderedDict.__class__", Rating::Dangerous),
            ("mypackage", "Config", Rating::Unknown),
            ("mypackage.code", "Net", Rating::Unknown),
            ("ostrich", "Bird", Rating::Unknown),
            ("torch._utils", "import_dill", Rating::Unknown),
            ("torch.nn.modules.linear", "Linear.forward", Rating::Unknown),
            ("torch._utils", "_rebuild_tensor_v2", Rating::Safe),
            ("torch.nn.modules.linear", "Linear", Rating::Safe),
            ("torch", "FloatStorage", Rating::Safe),
            ("torch", "float32", Rating::Safe),
            ("exceptions", "ValueError", Rating::Safe),
            ("collections", "OrderedDict", Rating::Safe),
            ("__builtin__", "long", Rating::Safe),
            ("io", "BytesIO", Rating::Safe),
            ("argparse", "Namespace", Rating::Safe),
        ];
        for (module, name, rating) in table {
            assert_eq!(rate(module, name), rating, "{module}.{name}");
        }
    }
}
