//! Python 2 names of classes that moved.

/// Names that moved between modules, and their Python 2 places, as CPython's `Lib/_compat_pickle.py` maps
/// them.
const NAMES: &[(&str, &str, &str, &str)] = &[
    ("builtins", "range", "__builtin__", "xrange"),
    ("builtins", "chr", "__builtin__", "unichr"),
    ("builtins", "str", "__builtin__", "unicode"),
    ("builtins", "int", "__builtin__", "long"),
    ("builtins", "zip", "itertools", "izip"),
    ("builtins", "map", "itertools", "imap"),
    ("builtins", "filter", "itertools", "ifilter"),
    ("functools", "reduce", "__builtin__", "reduce"),
    ("sys", "intern", "__builtin__", "intern"),
    ("collections", "UserDict", "UserDict", "IterableUserDict"),
    ("collections", "UserList", "UserList", "UserList"),
    ("collections", "UserString", "UserString", "UserString"),
];

/// Modules that changed their name.
const MODULES: &[(&str, &str)] = &[
    ("builtins", "__builtin__"),
    ("copyreg", "copy_reg"),
    ("queue", "Queue"),
    ("socketserver", "SocketServer"),
    ("configparser", "ConfigParser"),
    ("reprlib", "repr"),
    ("_thread", "thread"),
    ("xmlrpc.client", "xmlrpclib"),
    ("html.parser", "HTMLParser"),
    ("http.client", "httplib"),
    ("http.cookies", "Cookie"),
    ("http.cookiejar", "cookielib"),
    ("tkinter", "Tkinter"),
    ("winreg", "_winreg"),
];

/// Exceptions of Python 2's `exceptions` module that still have their name.
const EXCEPTIONS: &[&str] = &[
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "BaseException",
    "BufferError",
    "BytesWarning",
    "DeprecationWarning",
    "EOFError",
    "EnvironmentError",
    "Exception",
    "FloatingPointError",
    "FutureWarning",
    "GeneratorExit",
    "IOError",
    "ImportError",
    "ImportWarning",
    "IndentationError",
    "IndexError",
    "KeyError",
    "KeyboardInterrupt",
    "LookupError",
    "MemoryError",
    "NameError",
    "NotImplementedError",
    "OSError",
    "OverflowError",
    "PendingDeprecationWarning",
    "ReferenceError",
    "RuntimeError",
    "RuntimeWarning",
    "StopIteration",
    "SyntaxError",
    "SyntaxWarning",
    "SystemError",
    "SystemExit",
    "TabError",
    "TypeError",
    "UnboundLocalError",
    "UnicodeDecodeError",
    "UnicodeEncodeError",
    "UnicodeError",
    "UnicodeTranslateError",
    "UnicodeWarning",
    "UserWarning",
    "ValueError",
    "Warning",
    "ZeroDivisionError",
];

/// The name that protocols below 3 give a global, which Python 3 maps back when it loads.
///
/// Names of files read in those protocols are spelt so already; this is for names that come from
/// elsewhere.
pub fn python2_name<'a>(module: &'a str, name: &'a str) -> (&'a str, &'a str) {
    if let Some(found) = NAMES.iter().find(|entry| (entry.0, entry.1) == (module, name)) {
        return (found.2, found.3);
    }
    if module == "builtins" && EXCEPTIONS.contains(&name) {
        return ("exceptions", name);
    }
    match MODULES.iter().find(|entry| entry.0 == module) {
        Some(found) => (found.1, name),
        None => (module, name),
    }
}
