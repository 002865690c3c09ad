"""Training that came after a migration survives its rollback, or the rollback is refused: never a silent wrong answer.

Catalogues and training are generated. What must come back is found in Python: the same scripts run there on a checkpoint
in which every element of every tensor, and every setting, is a number of its own, so that it is seen where each of them
went. After that the numbers say which trained element belongs into which place of the old checkpoint.
"""

import collections
import copy
import os
import pathlib
import random as randomness
import shutil

import torch

import training
from driver import Refused, Store

HEAD = """import torch

from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(versions={{"migration": "1.0.0", "anemoi-models": "{number}.0.0"}})


def migrate(ckpt):
    sd, config = ckpt["state_dict"], ckpt["config"]
    keys = sorted(sd)
"""

# Only take elements from one place to another.
MOVES = """
for key in keys:
    sd[key.replace("{a}", "{b}")] = sd.pop(key)
---
ckpt["state_dict"] = {{"new." + key: value for key, value in sd.items()}}
---
sd.pop(keys[{n} % len(keys)])
---
sd["added.{n}"] = torch.zeros({n}, 3)
---
key = keys[{n} % len(keys)]
if sd[key].shape[0] > 1:
    sd[key + ".first"], sd[key + ".second"] = sd.pop(key).tensor_split(2)
---
key = keys[{n} % len(keys)]
for place, part in enumerate(sd.pop(key).unbind(0)):
    sd[key + str(place)] = part.clone()
---
key = keys[{n} % len(keys)]
sd[key] = sd[key].transpose(0, -1).contiguous()
---
key = keys[{n} % len(keys)]
sd[key] = sd[key].reshape(-1)
---
key = keys[{n} % len(keys)]
sd[key + ".t"] = sd.pop(key).flip(0)
---
for key in keys:
    for other in keys:
        if key < other and sd[key].shape == sd[other].shape and key in sd and other in sd:
            sd[key + ".both"] = torch.{join}([sd.pop(key), sd.pop(other)])
            break
    else:
        continue
    break
---
one, two = keys[{n} % len(keys)], keys[-1]
sd[one], sd[two] = sd[two], sd[one]
---
key = keys[{n} % len(keys)]
wide = torch.zeros(sd[key].shape[0] + 2, *sd[key].shape[1:])
wide[1:-1] = sd.pop(key)
sd[key + ".padded"] = wide
---
for key in reversed(keys):
    sd[key] = sd.pop(key)
---
config["model"]["renamed{n}"] = config["model"].pop(sorted(config["model"])[{n} % len(config["model"])])
---
config["section{n}"] = {{"moved": config["model"].pop(sorted(config["model"])[0])}}
---
config["model"].pop(sorted(config["model"])[-1])
---
config["model"]["fresh{n}"] = {{"x": None, "y": [{n}]}}
"""

# Make new values of old ones.
COMPUTES = """
key = keys[{n} % len(keys)]
sd[key] = sd[key] * 0.37
---
key = keys[{n} % len(keys)]
sd[key + ".half"] = (sd.pop(key) * 0.37).half()
---
key = keys[{n} % len(keys)]
sd[key] = sd[key].mean(0, keepdim=True) + 0.37
---
key = keys[{n} % len(keys)]
sd[key + ".one"], sd[key + ".two"] = sd[key].clone(), sd.pop(key).clone()
---
key = keys[{n} % len(keys)]
sd[key] = sd[key][:1].clone()
"""

POOLS = {name: text.strip("\n").split("\n---\n") for name, text in {"moves": MOVES, "computes": COMPUTES}.items()}


def body(random, pool):
    words = {
        "a": random.choice(("encoder", "weight", "0", "a")),
        "b": random.choice(("enc", "kernel", "zero", "b")),
        "n": random.randint(1, 5),
        "join": random.choice(("cat", "stack")),
    }
    lines = random.choice(POOLS[pool]).format(**words).split("\n")
    # An action sees the keys as the one before left them.
    return ['sd, keys = ckpt["state_dict"], sorted(ckpt["state_dict"])'] + lines


class Numbers:
    """Numbers that are given out once."""

    def __init__(self):
        self.last = 1000

    def take(self, count):
        self.last += count
        return list(range(self.last - count, self.last))


def begin(random):
    """A checkpoint, and the same one with a number of its own in every place."""
    numbers = Numbers()
    real, marked = collections.OrderedDict(), collections.OrderedDict()
    shapes = [tuple(random.randint(1, 4) for _ in range(random.choice((1, 2, 2, 3)))) for _ in range(3)]
    for place in range(random.randint(3, 6)):
        key = f"{random.choice(('encoder', 'decoder', 'a'))}.{place}.weight"
        shape = random.choice(shapes)
        real[key] = torch.randn(shape)
        marked[key] = torch.tensor(numbers.take(real[key].numel()), dtype=torch.float32).reshape(shape)
    if random.random() < 0.3:
        key = random.choice(list(real))
        real["tied"], marked["tied"] = real[key], marked[key]
    settings = {name: numbers.take(1)[0] for name in ("layers", "width", "heads", "rate")}
    made = {"state_dict": real, "config": {"model": settings, "data": {"path": "x"}}, "epoch": 1}
    twin = {"state_dict": marked, "config": copy.deepcopy(made["config"]), "epoch": 1}
    return made, twin


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path, value


class Case:
    def __init__(self, random):
        self.random = random
        self.begun, twin = begin(random)
        self.computes = random.random() < 0.4
        self.scripts = {}
        self.sound = False
        for number in range(1, random.randint(1, 3) + 1):
            lines = [line for _ in range(random.randint(1, 3)) for line in body(random, "moves")]
            if self.computes and number == 1:
                lines += body(random, "computes")
            text = HEAD.format(number=number) + "".join(f"    {line}\n" for line in lines) + "    return ckpt\n"
            self.scripts[f"170000000{number}_m{number}"] = text
        # The twin keeps which objects were where, for those that only move.
        self.old = dict(twin["state_dict"])
        self.old_settings = dict(leaves(twin["config"]))
        try:
            for text in self.scripts.values():
                scope = {}
                exec(text.replace("from anemoi.models.migrations import MigrationMetadata", "MigrationMetadata = dict"), scope)
                twin = scope["migrate"](twin)
        except Exception:
            return
        self.sound = True
        self.new = dict(twin["state_dict"])
        self.new_settings = dict(leaves(twin["config"]))

    def train(self, ckpt):
        """Changes the checkpoint as training does, and now and then as it should not."""
        random, sd = self.random, ckpt["state_dict"]
        share = random.choice((0.0, 0.5, 1.0, 1.0, 1.0))
        seen = set()
        for key, value in sd.items():
            if random.random() < share and value.untyped_storage().data_ptr() not in seen:
                value.copy_(torch.randn(value.shape))
            seen.add(value.untyped_storage().data_ptr())
        ckpt["epoch"] = 7
        ckpt["callbacks"] = {"best": torch.randn(())}
        for path, value in list(leaves(ckpt["config"]["model"])):
            if isinstance(value, int) and value >= 1000 and random.random() < 0.3:
                place = ckpt["config"]["model"]
                for key in path[:-1]:
                    place = place[key]
                place[path[-1]] = value + 100_000
        self.attack = random.choice((None, None, None, "reuse", "resize", "untie"))
        gone = [key for key in self.old if key not in sd]
        if self.attack == "reuse" and gone:
            sd[random.choice(gone)] = torch.full((2, 2), 5.0)
        elif self.attack == "resize":
            key = random.choice(list(sd))
            sd[key] = torch.randn(*sd[key].shape, 2)
            self.resized = key
        elif self.attack == "untie":
            for key in sd:
                sd[key] = torch.randn(sd[key].shape).to(sd[key].dtype)
        else:
            self.attack = None

    def wrong(self, present, back):
        """What of the old checkpoint is neither as training left it nor, where training had nothing to say, as stored."""
        found = []
        now, then = present["state_dict"], back["state_dict"]
        kept_keys = [key for key in then if key in self.begun["state_dict"]]
        if kept_keys != list(self.begun["state_dict"]):
            return [f"keys {kept_keys}"]
        where = collections.defaultdict(list)
        for key, marks in self.new.items():
            if key in now and now[key].shape == marks.shape:
                for mark, value in zip(marks.reshape(-1).tolist(), now[key].reshape(-1).tolist()):
                    where[mark].append(value)
        for key, marks in self.old.items():
            came = then[key]
            objects = [new for new, value in self.new.items() if value is marks]
            if objects:
                if not any(new in now and torch.equal(came, now[new]) for new in objects):
                    found.append(f"{key} is not what training left under {objects}")
                continue
            if came.shape != marks.shape:
                found.append(f"{key} has shape {tuple(came.shape)}")
                continue
            stored = self.begun["state_dict"][key].reshape(-1).tolist()
            trained = [where.get(mark, []) for mark in marks.reshape(-1).tolist()]
            for value, old, values in zip(came.reshape(-1).tolist(), stored, trained):
                if value not in (values or [old]) or len(set(values)) > 1:
                    found.append(f"{key}: {value} came back for {values or old}")
                    break
            if any(trained) and not all(trained) and came.reshape(-1).tolist() != stored:
                found.append(f"{key} is put together from trained and stored elements")
        extra = [key for key in then if key not in self.old and key not in now]
        found += [f"{key} came from nowhere" for key in extra]
        settings = dict(leaves(back["config"]))
        new_now = dict(leaves(present["config"]))
        for path, mark in self.old_settings.items():
            places = [new for new, value in self.new_settings.items() if value == mark]
            expected = [new_now[place] for place in places if place in new_now] or [mark]
            if settings.get(path) not in expected:
                found.append(f"config {path}: {settings.get(path)} came back for {expected}")
        if back["epoch"] != 7 or "callbacks" not in back:
            found.append("what training added elsewhere is lost")
        return found

    def lost_if_silent(self, present):
        """Whether training changed something that only a computed tensor holds, so that nothing but a refusal is right."""
        now = present["state_dict"]
        marks = {mark for value in self.old.values() for mark in value.reshape(-1).tolist()}
        for key, value in self.new.items():
            pure = all(mark in marks or mark == 0 for mark in value.reshape(-1).tolist())
            if not pure and key in now and key in self.migrated and not torch.equal(now[key], self.migrated[key]):
                return True
        return False


def check(folder, number, random):
    case = Case(random)
    while not case.sound:
        case = Case(random)
    path = folder / f"rollback_{number}.ckpt"
    torch.save(case.begun, path)
    with Store() as store:
        catalogue = store.catalogue(case.scripts)
        store.run("import", path, "--name", "case", "--catalogue", catalogue)
        store.run("baseline", "case", "--to", "base")
        trained = store.folder / "trained.ckpt"
        store.run("checkout", "case", "--to", "next", "-o", trained)
        present = torch.load(trained, weights_only=False)
        case.migrated = copy.deepcopy(dict(present["state_dict"]))
        case.train(present)
        torch.save(present, trained)
        store.run("import", trained, "--name", "case", "--catalogue", catalogue)
        present = torch.load(trained, weights_only=False)
        output = store.folder / "back.ckpt"
        try:
            done = store.run("checkout", "case", "--version", "0.0.1", "-o", output)
        except Refused as error:
            if error.code != "E_IRREVERSIBLE":
                return case, "broken", [str(error)]
            return case, "refused", []
        back = torch.load(output, weights_only=False)
        found = case.wrong(present, back)
        if case.lost_if_silent(present):
            found.append("a computed tensor was trained, and the rollback was not refused")
        methods = {operation["method"] for operation in done["operations"]}
        return case, "exact" if methods == {"merge"} else "/".join(sorted(methods)), found


def run(setting):
    count = 40 if setting.short else 400
    tally = collections.Counter()
    good = training.run(setting)
    for number in range(count):
        torch.manual_seed(setting.seed * 100_000 + number)
        random = randomness.Random(setting.seed * 100_000 + number)
        case, outcome, found = check(setting.folder, number, random)
        kind = case.attack or ("computed" if case.computes else "plain")
        tally[f"{kind} {outcome}"] += 1
        if found:
            good = False
            print(f"FAILED case {number} of seed {setting.seed} ({kind}): {'; '.join(found)[:700]}", flush=True)
            if kept := os.environ.get("CKSTORE_INTEROP_KEEP"):
                target = pathlib.Path(kept) / f"rollback_{number}"
                target.mkdir(exist_ok=True)
                for name, text in case.scripts.items():
                    (target / f"{name}.py").write_text(text)
                shutil.copy(setting.folder / f"rollback_{number}.ckpt", target)
    # A refusal loses nothing, but where elements only moved and training did nothing odd it has to be rare.
    plain = sum(n for word, n in tally.items() if word.startswith("plain "))
    if tally["plain refused"] * 10 > plain:
        good = False
        print(f"FAILED: {tally['plain refused']} of {plain} rollbacks of plain moves are refused")
    print("rollback after training: " + ", ".join(f"{n} {word}" for word, n in sorted(tally.items())))
    return good
