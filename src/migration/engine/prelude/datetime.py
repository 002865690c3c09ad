"""Moments and spans that a checkpoint holds or a script writes down; there is no clock."""

import sys

import ckstore_objects as _objects

_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = "January February March April May June July August September October November December".split()


def _strftime(form, moment):
    year, month, day, hour, minute, second, weekday, yearday = moment[:8]
    known = {
        "Y": f"{year:04d}", "m": f"{month:02d}", "d": f"{day:02d}", "H": f"{hour:02d}", "M": f"{minute:02d}",
        "S": f"{second:02d}", "j": f"{yearday:03d}", "y": f"{year % 100:02d}", "I": f"{(hour - 1) % 12 + 1:02d}",
        "p": "AM" if hour < 12 else "PM", "A": _DAYS[weekday], "a": _DAYS[weekday][:3], "B": _MONTHS[month - 1],
        "b": _MONTHS[month - 1][:3], "%": "%", "F": f"{year:04d}-{month:02d}-{day:02d}",
        "T": f"{hour:02d}:{minute:02d}:{second:02d}",
    }
    out, letters = "", iter(form)
    for letter in letters:
        if letter == "%":
            code = next(letters, "%")
            if code not in known:
                raise _objects.unavailable(f"%{code} in strftime")
            letter = known[code]
        out += letter
    return out


class _NoClock(type(sys)):
    strftime = staticmethod(_strftime)
    struct_time = tuple

    def __getattr__(self, name):
        raise _objects.unavailable(f"time.{name}")


# The library's own text asks for a clock when it is loaded.
sys.modules["time"] = _NoClock("time")
try:
    from _pydatetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta, timezone, tzinfo
finally:
    del sys.modules["time"]


def _strptime(cls, text, form):
    raise _objects.unavailable("datetime.datetime.strptime")


def _now(name):
    def method(cls, *_):
        raise _objects.unavailable(f"datetime.{name}")

    return classmethod(method)


datetime.strptime = classmethod(_strptime)
datetime.now, datetime.utcnow, datetime.today, date.today = (
    _now(name) for name in ("datetime.now", "datetime.utcnow", "datetime.today", "date.today")
)
for _class in (date, datetime, time, timedelta, timezone):
    _objects._paths[_class] = ("datetime", _class.__name__)
