"""The functions of `math` that scripts use, without a native library."""

from _ckstore import math as _native

pi = 3.141592653589793
e = 2.718281828459045
tau = 6.283185307179586
inf = float("inf")
nan = float("nan")


def _one(name):
    def function(x, /):
        result = _native(name, float(x))
        if result != result and x == x:
            raise ValueError("math domain error")
        return result

    function.__name__ = name
    return function


for _name in (
    "sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh exp exp2 expm1 log2 log10 log1p sqrt cbrt fabs"
).split():
    globals()[_name] = _one(_name)
_ln = _one("ln")


def log(x, base=None, /):
    if x <= 0:
        raise ValueError("math domain error")
    if isinstance(x, int) and x.bit_length() > 1000:
        shift = x.bit_length() - 60
        value = _ln(x >> shift) + shift * _ln(2)
    else:
        value = _ln(x)
    return value if base is None else value / _ln(base)


def floor(x, /):
    whole = int(x)
    return whole - 1 if whole > x else whole


def ceil(x, /):
    whole = int(x)
    return whole + 1 if whole < x else whole


def trunc(x, /):
    return int(x)


def pow(x, y, /):
    return float(x) ** float(y)


def fmod(x, y, /):
    result = abs(x) % abs(y)
    return copysign(float(result), x)


def copysign(x, y, /):
    return abs(float(x)) * (-1.0 if str(float(y)).startswith("-") else 1.0)


def hypot(*xs):
    return sqrt(sum(float(x) * x for x in xs))


def dist(p, q, /):
    return hypot(*(a - b for a, b in zip(p, q)))


def atan2(y, x, /):
    if x > 0:
        return atan(y / x)
    if x < 0:
        return atan(y / x) + copysign(pi, y)
    return 0.0 if y == 0 else copysign(pi / 2, y)


def degrees(x, /):
    return x * (180 / pi)


def radians(x, /):
    return x * (pi / 180)


def isnan(x, /):
    return x != x


def isinf(x, /):
    return x in (inf, -inf)


def isfinite(x, /):
    return not (isnan(x) or isinf(x))


def isclose(a, b, *, rel_tol=1e-09, abs_tol=0.0):
    if a == b:
        return True
    if isinf(a) or isinf(b):
        return False
    return abs(a - b) <= max(rel_tol * max(abs(a), abs(b)), abs_tol)


def gcd(*xs):
    result = 0
    for x in xs:
        a, b = result, abs(x)
        while b:
            a, b = b, a % b
        result = a
    return result


def lcm(*xs):
    result = 1
    for x in xs:
        if x == 0:
            return 0
        result = result * abs(x) // gcd(result, x)
    return result


def factorial(n, /):
    if n < 0:
        raise ValueError("factorial() not defined for negative values")
    return prod(range(2, n + 1))


def comb(n, k, /):
    return 0 if k > n else factorial(n) // (factorial(k) * factorial(n - k))


def perm(n, k=None, /):
    return factorial(n) if k is None else (0 if k > n else factorial(n) // factorial(n - k))


def prod(xs, /, *, start=1):
    for x in xs:
        start = start * x
    return start


def fsum(xs, /):
    partials = []
    for x in xs:
        i = 0
        for y in partials:
            if abs(x) < abs(y):
                x, y = y, x
            high = x + y
            low = y - (high - x)
            if low:
                partials[i] = low
                i += 1
            x = high
        partials[i:] = [x]
    return sum(partials, 0.0)


def isqrt(n, /):
    if n < 0:
        raise ValueError("isqrt() argument must be nonnegative")
    if n == 0:
        return 0
    x = 1 << (n.bit_length() + 1) // 2
    while True:
        y = (x + n // x) // 2
        if y >= x:
            return x
        x = y


def modf(x, /):
    whole = float(int(x))
    return x - whole, whole


def frexp(x, /):
    if x == 0 or not isfinite(x):
        return float(x), 0
    exponent = floor(log2(abs(x))) + 1
    mantissa = x / 2.0**exponent
    while abs(mantissa) >= 1:
        mantissa, exponent = mantissa / 2, exponent + 1
    while abs(mantissa) < 0.5:
        mantissa, exponent = mantissa * 2, exponent - 1
    return mantissa, exponent


def ldexp(x, i, /):
    return x * 2.0**i
