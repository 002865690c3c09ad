//! The interpreter: what it may import, and the run of a script in it.

use std::io::Read;
use std::time::Duration;

use rustpython_vm::builtins::{PyDict, PyDictRef, PyTuple};
use rustpython_vm::common::rc::PyRc;
use rustpython_vm::compiler::Mode;
use rustpython_vm::scope::Scope;
use rustpython_vm::{AsObject, Interpreter, PyObjectRef, PyResult, Settings, VirtualMachine};

use super::super::Entry;
use super::super::pipe::{Answer, Failure, FromWorker, OwnedTask};
use super::failure::{self, Stop};
use super::host::Host;
use super::setup::Moves;
use super::{freeze, lockdown, native};

/// Native modules that stay; of the others nothing is left to import.
const NATIVE_MODULES: &[&str] = &[
    "_abc",
    "_ast",
    "_ckstore",
    "_codecs",
    "_collections",
    "_functools",
    "_imp",
    "_io",
    "_operator",
    "_sre",
    "_stat",
    "_string",
    "_types",
    "_typing",
    "_warnings",
    "_weakref",
    "builtins",
    "errno",
    "itertools",
    "sys",
];

/// Modules of the frozen library that stay, with everything below them.
const FROZEN_MODULES: &[&str] = &[
    "__future__",
    "_collections_abc",
    "_frozen_importlib",
    "_frozen_importlib_external",
    "_opcode_metadata",
    "_py_abc",
    "_py_warnings",
    "_pydatetime",
    "_thread",
    "_weakrefset",
    "abc",
    "annotationlib",
    "ast",
    "bisect",
    "codecs",
    "collections",
    "contextlib",
    "copy",
    "copyreg",
    "dataclasses",
    "encodings",
    "enum",
    "fnmatch",
    "fractions",
    "functools",
    "heapq",
    "importlib",
    "io",
    "json",
    "keyword",
    "numbers",
    "operator",
    "pprint",
    "re",
    "reprlib",
    "string",
    "textwrap",
    "token",
    "types",
    "typing",
    "warnings",
    "weakref",
    "zipimport",
];

/// Deepest nesting of calls in Python.
const RECURSION_LIMIT: usize = 900;

/// Our own modules. They are compiled when ckstore is; the texts are named here so that a change of one is seen.
const _: [&str; 24] = [
    include_str!("../prelude/anemoi/__init__.py"),
    include_str!("../prelude/anemoi/models/__init__.py"),
    include_str!("../prelude/anemoi/models/migrations/__init__.py"),
    include_str!("../prelude/argparse.py"),
    include_str!("../prelude/ckstore_families.py"),
    include_str!("../prelude/ckstore_modules.py"),
    include_str!("../prelude/ckstore_objects.py"),
    include_str!("../prelude/ckstore_runtime.py"),
    include_str!("../prelude/ckstore_tensor.py"),
    include_str!("../prelude/ckstore_values.py"),
    include_str!("../prelude/collections/_defaultdict.py"),
    include_str!("../prelude/datetime.py"),
    include_str!("../prelude/fnmatch.py"),
    include_str!("../prelude/inspect.py"),
    include_str!("../prelude/io.py"),
    include_str!("../prelude/logging.py"),
    include_str!("../prelude/math.py"),
    include_str!("../prelude/numpy/__init__.py"),
    include_str!("../prelude/numpy/_types.py"),
    include_str!("../prelude/omegaconf/__init__.py"),
    include_str!("../prelude/pathlib.py"),
    include_str!("../prelude/torch/__init__.py"),
    include_str!("../prelude/torch/nn/__init__.py"),
    include_str!("../prelude/warnings.py"),
];

/// Runs a task to its last word.
pub(super) fn run(mut task: OwnedTask, replies: Box<dyn Read>) -> FromWorker {
    let questions = lockdown::start_clock(Duration::from_millis(task.cpu_millis));
    let builder = Interpreter::builder(settings());
    let ours = native::_ckstore::module_def(&builder.ctx);
    let interpreter = builder
        .add_native_module(ours)
        .add_frozen_modules(rustpython_pylib::FROZEN_STDLIB)
        .add_frozen_modules(rustpython_vm::py_freeze!(dir = "../prelude"))
        .init_hook(move |vm| {
            vm.set_user_signal_channel(questions);
            vm.recursion_limit.set(RECURSION_LIMIT);
            let state = PyRc::get_mut(&mut vm.state).expect("nobody else holds the state yet");
            state.module_defs.retain(|name, _| NATIVE_MODULES.contains(name));
            state.frozen.retain(|name, _| is_kept(name));
        })
        .build();
    interpreter.enter(|vm| {
        failure::set_script(&task.file, &task.source);
        let runtime = match start(vm) {
            Ok(runtime) => runtime,
            Err(exception) => return FromWorker::Failed(failure::of_exception(vm, &exception)),
        };
        lockdown::close();
        match script(vm, &runtime, &mut task, replies) {
            Ok(answer) => FromWorker::Done(Box::new(answer)),
            Err(Stop::Failure(failure)) => FromWorker::Failed(failure),
            Err(Stop::Python(exception)) => FromWorker::Failed(failure::of_exception(vm, &exception)),
        }
    })
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.isolated = true;
    settings.ignore_environment = true;
    settings.import_site = false;
    settings.user_site_directory = false;
    settings.write_bytecode = false;
    settings.install_signal_handlers = false;
    settings.safe_path = true;
    settings.allow_external_library = false;
    // One input has one result.
    settings.hash_seed = Some(0);
    settings
}

fn is_kept(name: &str) -> bool {
    let top = name.split('.').next().unwrap_or(name);
    FROZEN_MODULES.contains(&top) || OUR_MODULES.contains(&top)
}

/// The top modules of the prelude.
const OUR_MODULES: &[&str] = &[
    "anemoi",
    "argparse",
    "ckstore_families",
    "ckstore_modules",
    "ckstore_objects",
    "ckstore_runtime",
    "ckstore_tensor",
    "ckstore_values",
    "datetime",
    "inspect",
    "logging",
    "math",
    "numpy",
    "omegaconf",
    "pathlib",
    "torch",
];

/// Loads the prelude and closes what the interpreter itself leaves open.
fn start(vm: &VirtualMachine) -> PyResult<PyObjectRef> {
    let runtime = vm.import("ckstore_runtime", 0)?;
    // Code objects made by hand crash the interpreter.
    let code = vm.ctx.types.code_type;
    for name in ["replace", "__replace__", "__new__"] {
        code.set_attr(vm.ctx.intern_str(name), vm.ctx.none());
    }
    code.slots.new.store(None);
    vm.call_method(&runtime, "harden", ())?;
    Ok(runtime)
}

fn script(
    vm: &VirtualMachine,
    runtime: &PyObjectRef,
    task: &mut OwnedTask,
    replies: Box<dyn Read>,
) -> Result<Answer, Stop> {
    let code = vm.compile(&task.source, Mode::Exec, task.file.clone()).map_err(|error| {
        let line = error.location().map_or(0, |location| location.line.get());
        Failure::Syntax { line: u32::try_from(line).unwrap_or(0), message: error.to_string() }
    })?;
    let python = vm.import("ckstore_objects", 0)?;
    let values = vm.import("ckstore_values", 0)?;
    let modules = vm.import("ckstore_modules", 0)?;
    let host = Host::open(&task.graph, python, values, replies, task.printed_bytes, task.message_bytes);
    host.tell_families(&task.graph, vm)?;
    let class = vm.import("torch", 0)?.get_attr("Tensor", vm)?;
    host.tensors.set_class(class.downcast().map_err(|_| vm.new_type_error("no class".to_owned()))?);

    let globals = vm.ctx.new_dict();
    // A name of its own, whatever the file is called: `copy.py` is not the module `copy`.
    let name = format!("migrations.{}", task.name);
    globals.set_item("__name__", vm.ctx.new_str(name.as_str()).into(), vm)?;
    vm.call_method(runtime, "register", (name, globals.clone()))?;
    vm.run_code_obj(code, Scope::with_builtins(None, globals.clone(), vm))?;

    let defined = |name: &str| globals.get_item_opt(name, vm).map(|f| f.filter(|f| !vm.is_none(f)));
    let Some(function) = defined(task.entry.function())? else { return Err(Failure::NoEntry.into()) };
    let mut moved = Vec::new();
    if let Some(setup) = defined("migrate_setup")? {
        let mut moves = moves(vm, runtime, setup)?;
        if task.entry == Entry::Rollback {
            moves = moves.inverted().ok_or_else(|| Failure::Checkpoint {
                reason: "two classes became one in `migrate_setup`: which is which cannot be told".to_owned(),
            })?;
        }
        moved = moves.apply(&mut task.graph);
        host.tell_families(&task.graph, vm)?;
    }

    host.set_graph(std::mem::take(&mut task.graph));
    let root = host.thaw(host.graph().root, vm).map_err(|exception| {
        match failure::of_exception(vm, &exception) {
            Failure::Raised { message, .. } => Failure::Checkpoint { reason: message },
            other => other,
        }
    })?;
    vm.call_method(&modules, "open_root", (root.clone(),))?;
    let result = vm.call_method(runtime, "call", (function, root.clone()))?;
    vm.call_method(&modules, "commit", ())?;
    let (result, wanted_model): (PyObjectRef, bool) = pair(vm, &result)?;
    let is_dict = |object: &PyObjectRef| object.downcast_ref::<PyDict>().is_some();
    if !(result.class().is(root.class()) || (is_dict(&result) && is_dict(&root))) {
        let type_name = result.class().name().to_string();
        let type_name = if vm.is_none(&result) { "None".to_owned() } else { type_name };
        return Err(Failure::NotReturned { type_name }.into());
    }
    let mut answer = freeze::freeze(host, &result, moved, vm)?;
    answer.printed = host.printed.take();
    if wanted_model && answer.changed.is_empty() && answer.root == host.graph().root {
        let reason = answer.printed.lines().rfind(|line| !line.trim().is_empty());
        answer.skipped = Some(reason.unwrap_or("the script asked for a model").to_owned());
    }
    Ok(answer)
}

fn moves(vm: &VirtualMachine, runtime: &PyObjectRef, setup: PyObjectRef) -> PyResult<Moves> {
    let maps = vm.call_method(runtime, "setup", (setup,))?;
    let (modules, attributes): (PyObjectRef, PyObjectRef) = pair(vm, &maps)?;
    let map = |map: PyObjectRef| -> PyResult<_> {
        let map: PyDictRef =
            map.downcast().map_err(|_| vm.new_type_error("a dict was expected".to_owned()))?;
        map.items_vec()
            .into_iter()
            .map(|(from, to)| Ok((from.try_into_value::<String>(vm)?, to.try_into_value::<String>(vm)?)))
            .collect()
    };
    Ok(Moves { modules: map(modules)?, attributes: map(attributes)? })
}

fn pair<B: rustpython_vm::TryFromObject>(
    vm: &VirtualMachine,
    object: &PyObjectRef,
) -> PyResult<(PyObjectRef, B)> {
    match object.downcast_ref::<PyTuple>().map(|tuple| tuple.as_slice()) {
        Some([first, second]) => Ok((first.clone(), second.clone().try_into_value(vm)?)),
        _ => Err(vm.new_type_error("a pair was expected".to_owned())),
    }
}
