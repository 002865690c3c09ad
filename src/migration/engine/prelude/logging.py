"""Logging that ends up in the captured output."""

CRITICAL = FATAL = 50
ERROR = 40
WARNING = WARN = 30
INFO = 20
DEBUG = 10
NOTSET = 0

_NAMES = {50: "CRITICAL", 40: "ERROR", 30: "WARNING", 20: "INFO", 10: "DEBUG", 0: "NOTSET"}


def getLevelName(level):
    return _NAMES.get(level, f"Level {level}")


class Handler:
    def __init__(self, *args, **kwargs):
        pass

    def setFormatter(self, formatter):
        pass

    def setLevel(self, level):
        pass


NullHandler = StreamHandler = Formatter = Handler


class Logger:
    def __init__(self, name, level=INFO):
        self.name = name
        self.level = level
        self.handlers = []
        self.disabled = False
        self.propagate = True

    def log(self, level, message, *args, **_):
        if self.disabled or level < self.level:
            return
        text = str(message)
        if args:
            if len(args) == 1 and isinstance(args[0], dict) and args[0]:
                args = args[0]
            try:
                text = text % args
            except (TypeError, ValueError, KeyError):
                text = f"{text} {args!r}"
        print(f"{getLevelName(level)}: {text}")

    def debug(self, message, *args, **kwargs):
        self.log(DEBUG, message, *args, **kwargs)

    def info(self, message, *args, **kwargs):
        self.log(INFO, message, *args, **kwargs)

    def warning(self, message, *args, **kwargs):
        self.log(WARNING, message, *args, **kwargs)

    warn = warning

    def error(self, message, *args, **kwargs):
        self.log(ERROR, message, *args, **kwargs)

    exception = error

    def critical(self, message, *args, **kwargs):
        self.log(CRITICAL, message, *args, **kwargs)

    fatal = critical

    def setLevel(self, level):
        if isinstance(level, str):
            level = {name: number for number, name in _NAMES.items()}[level]
        self.level = level

    def getEffectiveLevel(self):
        return self.level

    def isEnabledFor(self, level):
        return level >= self.level

    def addHandler(self, handler):
        self.handlers.append(handler)

    def removeHandler(self, handler):
        self.handlers.remove(handler)

    def getChild(self, suffix):
        return getLogger(f"{self.name}.{suffix}")


LoggerAdapter = Logger
root = Logger("root")
_loggers = {}


def getLogger(name=None):
    if not name or name == "root":
        return root
    if name not in _loggers:
        _loggers[name] = Logger(name)
    return _loggers[name]


def basicConfig(**kwargs):
    if kwargs.get("level") is not None:
        root.setLevel(kwargs["level"])


def disable(level=CRITICAL):
    pass


debug = root.debug
info = root.info
warning = warn = root.warning
error = root.error
exception = root.exception
critical = root.critical
log = root.log
