"""Scripts over tensors leave the same bits here and in torch.

A script is grown step by step while torch runs it, so that most steps fit the shapes that they meet. The values are
quarters of small numbers, so that every sum is exact whatever its order; what torch itself does not promise (sums of
rounding numbers, NaN's payload) is left out.
"""

import collections
import contextlib
import io
import os
import pathlib
import random as randomness
import shutil
import warnings

import torch

from driver import Refused, Store
from sameness import differences

HEAD = """import torch

from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(versions={"migration": "1.0.0", "anemoi-models": "1.0.0"})


def migrate(ckpt):
"""

FLOATS = ("float32", "float32", "float64", "float16", "bfloat16")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
ALL = FLOATS + INTEGERS + ("bool",)


def values(random, dtype, count):
    if dtype == "bool":
        return torch.tensor([random.random() < 0.5 for _ in range(count)])
    if dtype in FLOATS:
        return torch.tensor([random.randint(-24, 24) / 4 for _ in range(count)], dtype=torch.float64).to(getattr(torch, dtype))
    low = 0 if dtype == "uint8" else -9
    return torch.tensor([random.randint(low, 9) for _ in range(count)]).to(getattr(torch, dtype))


def wild(random, dtype, count):
    """Values at the edges of a floating type, for casts alone."""
    edges = [0.0, -0.0, 1.0, 65504.0, 65520.0, 6e-8, 3e-8, 1e-40, -1e-45, 3.3895e38, float("inf"), -float("inf"), 1e300]
    made = [random.choice(edges) if random.random() < 0.4 else random.uniform(-2, 2) * 10.0 ** random.randint(-40, 38) for _ in range(count)]
    return torch.tensor(made, dtype=torch.float64).to(getattr(torch, dtype))


def shape_of(random):
    return [random.randint(1, 5) for _ in range(random.choice((1, 2, 2, 2, 3, 3, 4)))]


def count_of(shape):
    count = 1
    for extent in shape:
        count *= extent
    return count


def base(random, name):
    shape = shape_of(random)
    dtype = random.choice(ALL)
    make = wild if name.startswith("w") else values
    if make is wild:
        dtype = random.choice(FLOATS)
    made = make(random, dtype, count_of(shape)).reshape(shape)
    kind = random.random()
    if kind < 0.2 and made.ndim >= 2:
        made = made.transpose(0, 1)
    elif kind < 0.35:
        made = made[..., : max(1, made.shape[-1] - 1)]
    elif kind < 0.4:
        made = made[:0]
    elif kind < 0.45:
        made = torch.nn.Parameter(made) if made.is_floating_point() else made
    return made


VIEWS = """
{x}.t()
{x}.T
{x}.mT
{x}.transpose({d}, {e})
{x}.permute({perm})
{x}.reshape(-1)
{x}.reshape({reshape})
{x}.view(-1)
{x}.view({reshape})
{x}.flatten()
{x}.flatten({d})
{x}.unsqueeze({d})
{x}.squeeze()
{x}.squeeze({d})
{x}[{i}]
{x}[-1]
{x}[{a}:{b}]
{x}[..., {i}]
{x}[..., ::2]
{x}[:, {a}:]
{x}[None]
{x}[..., None, :]
{x}.narrow({d}, {a}, 1)
{x}.select({d}, {i})
{x}.chunk({n}, dim={d})[0]
{x}.chunk({n}, {d})[-1]
{x}.split({n}, dim={d})[-1]
torch.split({x}, [1, {x}.shape[{d}] - 1], dim={d})[1]
{x}.unbind({d})[0]
{x}.expand(2, *{x}.shape)
{x}.movedim({d}, {e})
{x}.detach()
torch.transpose({x}, {d}, {e})
{x}.unflatten({d}, (1, -1))
{x}.as_strided((2, 2), (1, 1), 0)
{x}.view_as({x})
{x}.swapaxes({d}, {e})
"""

COPIES = """
{x}.clone()
{x}.contiguous()
{x}.detach().clone()
{x}.flip({d})
{x}.roll({n}, {d})
{x}.repeat(2, {reps})
torch.cat([{x}, {x}], dim={d})
torch.cat([{x}, {y}], dim={d})
torch.cat(({x}, {y}.reshape(-1)))
torch.stack([{x}, {x}], dim={d})
torch.stack([{x}, {y}])
{x}.index_select({d}, torch.tensor([0, {i}, 0]))
{x}[[0, {i}]]
{x}[torch.tensor([{i}, 0])]
{x}.repeat_interleave({n}, dim={d})
torch.zeros_like({x})
torch.ones_like({x}, dtype=torch.{dtype})
torch.full_like({x}, {n})
torch.zeros({n}, 2, dtype=torch.{dtype})
torch.ones(({n}, 3))
torch.full((2, {n}), 1.5)
torch.arange({n} + 4)
torch.arange({n}, 20, 3, dtype=torch.{dtype})
torch.arange(0, 2, 0.25)
torch.eye({n})
torch.tensor([[1, {n}], [3, 4]])
torch.tensor([1.5, -{n}], dtype=torch.float64)
torch.tensor(True)
torch.empty({n}, 0)
torch.linspace(0, 1, 5)
{x}.new_zeros(2, {n})
{x}.new_tensor([1, 2])
{x}.tril()
{x}.tile(2)
"""

CASTS = """
{x}.to(torch.{float})
{x}.type(torch.{float})
{x}.half()
{x}.bfloat16()
{x}.float()
{x}.double()
{x}.to(dtype=torch.{float}, copy=True)
{x}.to({y})
"""

TAME_CASTS = """
{x}.to(torch.{dtype})
{x}.int()
{x}.long()
{x}.bool()
{x}.short()
{x}.type_as({y})
{x}.to(torch.complex64)
{x}.to(torch.float8_e4m3fn)
{x}.to(torch.float8_e5m2).float()
"""

ARITHMETIC = """
{x} + {y}
{x} - {y}
{x} * {y}
{x} + {n}
{x} * 0.5
{n} - {x}
{x} * {x}
-{x}
abs({x})
{x} / {n}
{x} / 4
{x} // {n}
{x} % {n}
{x} ** 2
{x}.add({y}, alpha={n})
torch.add({x}, {n})
torch.maximum({x}, {y})
torch.minimum({x}, {x})
{x}.clamp(-1, 1)
{x}.clamp(min={n})
torch.where({x} > 0, {x}, {y})
torch.where({x} > {n}, {x}, 0)
{x}.masked_fill({x} < 0, {n})
{x}.floor()
{x}.round()
{x}.sign()
{x}.sum()
{x}.sum({d})
{x}.sum(dim={d}, keepdim=True)
{x}.max()
{x}.min()
{x}.max({d}).values
{x}.argmax()
{x}.amin({d})
{x}.prod({d})
{x}.abs().sqrt()
{x}.mean()
{x}.reciprocal()
{x} == {y}
{x} != {n}
{x} > {n}
{x} <= {y}
({x} > 0) & ({x} < 4)
~({x} > 1)
({x} > 0).any({d})
({x} == {x}).all()
{x}.square()
{x} & 3
{x} ^ {x}
{x}.isnan()
{x} * torch.tensor(2.5)
{x} + torch.tensor([1])
1 / ({x} * {x} + 1)
"""

PLAIN = """
{x}.shape
tuple({x}.size())
{x}.numel()
str({x}.dtype)
{x}.stride()
{x}.storage_offset()
{x}.is_contiguous()
{x}.dim()
{x}.tolist()
{x}.max().item()
({x} > {n}).any().item()
bool(({x} == {y}).all())
int({x}.reshape(-1)[0])
float({x}.reshape(-1)[-1])
{x}.element_size()
{x}.dtype.is_floating_point
len({x})
{x}.equal({y})
torch.equal({x}, {x}.clone())
{x}.sum().item()
[row.tolist() for row in {x}]
{x}.dtype == torch.{dtype}
torch.allclose({x}, {x})
torch.is_tensor({x})
{x}.data_ptr() == {y}.data_ptr()
"""

IN_PLACE = """
{x}.add_({n})
{x}.mul_(2)
{x}.zero_()
{x}.fill_({n})
{x}[{i}] = {n}
{x}[..., 0] = 0
{x}[{a}:{b}] += 1
{x}.copy_({x}.flip(0))
{x}.sub_({x})
{x} *= 2
{x}.data[...] = 1
"""

POOLS = {
    name: text.strip("\n").split("\n")
    for name, text in dict(
        views=VIEWS, copies=COPIES, casts=CASTS, tame=TAME_CASTS, arithmetic=ARITHMETIC, plain=PLAIN, in_place=IN_PLACE
    ).items()
}


class Script:
    """A script that grows while torch runs it."""

    def __init__(self, random, ckpt):
        self.random = random
        self.ckpt = ckpt
        self.lines = []
        self.used = []
        self.names = list(ckpt)

    def words(self, x):
        random = self.random
        value = self.ckpt[x]
        dims = max(1, value.dim())
        shape = list(value.shape) or [1]
        order = list(range(value.dim()))
        random.shuffle(order)
        factors = [-1, random.choice([n for n in (1, 2, 3, 4) if value.numel() % n == 0])]
        random.shuffle(factors)
        similar = [n for n in self.names if n[0] == x[0] and self.ckpt[n].shape == value.shape]
        d = random.randrange(-dims, dims)
        other = random.choice(similar if random.random() < 0.8 else [n for n in self.names if n[0] == x[0]])
        start = random.randrange(shape[0]) if shape[0] else 0
        return {
            "x": f'ckpt["{x}"]',
            "y": f'ckpt["{other}"]',
            "d": d,
            "e": random.randrange(-dims, dims),
            "i": random.randrange(min(shape)) if min(shape) else 0,
            "a": start,
            "b": random.randint(start, shape[0]),
            "n": random.randint(1, 4),
            "perm": ", ".join(map(str, order)) or "()",
            "reshape": ", ".join(map(str, factors)),
            "reps": ", ".join(["1"] * value.dim()),
            "dtype": random.choice(ALL),
            "float": random.choice(FLOATS),
        }

    def step(self, number):
        random = self.random
        x = random.choice(self.names)
        pools = ["views"] * 5 + ["copies"] * 3 + ["casts"] * 3
        if x.startswith("t"):
            pools += ["arithmetic"] * 6 + ["tame"] * 2 + ["plain"] * 2 + ["in_place"]
        pool = random.choice(pools)
        template = random.choice(POOLS[pool])
        text = template.format(**self.words(x))
        if pool != "in_place":
            target = f"p{number}" if pool == "plain" else f"{x[0]}{number}"
            text = f'ckpt["{target}"] = {text}'
        if not self.runs(text):
            return
        self.lines.append(text)
        self.used.append(template)
        if pool not in ("plain", "in_place") and self.ckpt[target].numel() <= 4000:
            self.names.append(target)

    def runs(self, text):
        """Runs one line; a failed one may have left nothing behind."""
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                exec(text, {"ckpt": self.ckpt, "torch": torch})
        except Exception:
            return False
        return True

    def source(self):
        return HEAD + "".join(f"    {line}\n" for line in self.lines) + "    return ckpt\n"


def check(folder, number, random, steps=12):
    path = folder / "tensors.pt"
    names = [f"t{place}" for place in range(5)] + ["w5", "w6"]
    ckpt = {name: base(random, name) for name in names}
    ckpt["t4"] = ckpt["t0"].detach()[:1]
    torch.save(ckpt, path)
    script = Script(random, torch.load(path, weights_only=False))
    for place in range(steps):
        script.step(place + 10)
    expected = folder / "expected.pt"
    torch.save(script.ckpt, expected)
    with Store() as store:
        catalogue = store.catalogue({"1700000000_tensors": script.source()})
        try:
            output = store.migrated(path, catalogue)
        except Refused as error:
            found = [str(error.message)]
        else:
            result = torch.load(output, weights_only=False)
            del result["migrations"]
            found = differences(torch.load(expected, weights_only=False), result, most=3)
    kept = os.environ.get("CKSTORE_INTEROP_KEEP")
    if found and kept:
        target = pathlib.Path(kept) / f"tensors_{number}"
        target.mkdir(exist_ok=True)
        (target / "1700000000_tensors.py").write_text(script.source())
        shutil.copy(path, target)
    return script, found


def run(setting):
    count = 40 if setting.short else 300
    failed = steps = 0
    used = collections.Counter()
    for number in range(count):
        random = randomness.Random(setting.seed * 100_000 + number)
        script, found = check(setting.folder, number, random)
        steps += len(script.lines)
        used.update(script.used)
        if found:
            failed += 1
            keys = [line for line in script.lines if any(f"[{line.split(chr(34))[1]!r}]" in text for text in found)] if found else []
            print(f"FAILED case {number} of seed {setting.seed}: {'; '.join(found)[:600]}   <- {' | '.join(keys)[:300]}", flush=True)
    print(f"tensor scripts: {count - failed} of {count} equal, {steps} steps of {len(used)} forms")
    return failed == 0
