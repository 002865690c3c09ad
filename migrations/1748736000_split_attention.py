"""Splits the fused attention weight into query, key and value, and renames the decoder's output layer."""

import torch
from anemoi.models.migrations import CkptType
from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(
    versions={
        "migration": "1.0.0",
        "anemoi-models": "0.12.2",
    },
)

FUSED = ".attention.qkv."
PARTS = (".attention.q_proj.", ".attention.k_proj.", ".attention.v_proj.")
OLD_OUTPUT = ".decoder.node_out."
NEW_OUTPUT = ".decoder.head."


def split(moments: dict) -> list[dict]:
    """The optimizer's state of the fused weight, for each of its parts."""
    parts = [{}, {}, {}]
    for key, value in moments.items():
        # The number of steps has no dimension. Each part counts its own from here on.
        values = value.chunk(3, dim=0) if len(value.shape) else [value.clone() for _ in parts]
        for part, piece in zip(parts, values):
            part[key] = piece
    return parts


def join(parts: list[dict]) -> dict:
    """The optimizer's state of the fused weight from those of its parts."""
    first = parts[0]
    return {
        key: torch.cat([part[key] for part in parts], dim=0) if len(value.shape) else value
        for key, value in first.items()
    }


def renumber(optimizer: dict, change) -> None:
    """Writes the optimizer's state anew, which is kept by the number of the parameter.

    `change` takes a name and its state, and returns the names and states that stand in their place.
    """
    states = {}
    number = 0
    for group in optimizer["param_groups"]:
        names, numbers = [], []
        for old_number, old_name in zip(group["params"], group["param_names"]):
            for name, state in change(old_name, optimizer["state"].get(old_number)):
                names.append(name)
                numbers.append(number)
                if state is not None:
                    states[number] = state
                number += 1
        group["params"] = numbers
        group["param_names"] = names
    optimizer["state"] = states


def migrate(ckpt: CkptType) -> CkptType:
    state_dict = ckpt["state_dict"]
    for key in list(state_dict):
        if FUSED in key:
            fused = state_dict.pop(key)
            for part, weight in zip(PARTS, fused.chunk(3, dim=0)):
                state_dict[key.replace(FUSED, part)] = weight
        elif OLD_OUTPUT in key:
            state_dict[key.replace(OLD_OUTPUT, NEW_OUTPUT)] = state_dict.pop(key)

    def change(name, state):
        if FUSED in name:
            states = split(state) if state is not None else [None] * 3
            return [(name.replace(FUSED, part), piece) for part, piece in zip(PARTS, states)]
        return [(name.replace(OLD_OUTPUT, NEW_OUTPUT), state)]

    for optimizer in ckpt["optimizer_states"]:
        renumber(optimizer, change)
    return ckpt


def rollback(ckpt: CkptType) -> CkptType:
    state_dict = ckpt["state_dict"]
    query, key_part, value = PARTS
    for key in list(state_dict):
        if query in key:
            parts = [state_dict.pop(key.replace(query, part)) for part in PARTS]
            state_dict[key.replace(query, FUSED)] = torch.cat(parts, dim=0)
        elif NEW_OUTPUT in key:
            state_dict[key.replace(NEW_OUTPUT, OLD_OUTPUT)] = state_dict.pop(key)

    pending = []

    def change(name, state):
        # Query, key and value stand next to each other, in this order.
        if query in name or key_part in name:
            pending.append(state)
            return []
        if value in name:
            states = [*pending, state]
            pending.clear()
            return [(name.replace(value, FUSED), join(states) if all(states) else None)]
        return [(name.replace(NEW_OUTPUT, OLD_OUTPUT), state)]

    for optimizer in ckpt["optimizer_states"]:
        renumber(optimizer, change)
    return ckpt
