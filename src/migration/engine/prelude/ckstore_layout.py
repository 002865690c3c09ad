"""How the results of torch's operations lie in memory: shapes and strides alone, in elements.

A copy keeps the order that the dimensions of its source have in memory, and an element-wise result takes the order of
its operands; https://pytorch.org/docs/stable/tensor_attributes.html#torch-memory-format says so, and the rules below,
down to dimensions of one entry, are those that torch 2.15 was seen to follow.
"""


def dense(shape):
    """Strides of elements in rows, one after the other."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= max(extent, 1)
    return strides[::-1]


def is_dense(shape, strides):
    expected = 1
    if 0 in shape:
        return True
    for extent, stride in zip(reversed(shape), reversed(strides)):
        if extent != 1:
            if stride != expected:
                return False
            expected *= extent
    return True


def is_packed(shape, strides):
    """Whether the elements lie without gaps or overlaps, in whatever order of dimensions."""
    if is_dense(shape, strides):
        return True
    expected = 1
    for stride, extent in sorted((stride, extent) for extent, stride in zip(shape, strides) if extent != 1):
        if stride != expected:
            return False
        expected *= extent
    return True


def _in_order(shape, order):
    """Packed strides; `order` begins with the dimension whose elements are next to one another."""
    strides, step = [0] * len(shape), 1
    for dim in order:
        strides[dim] = step
        step *= shape[dim]
    return strides


def _order(shape, operands):
    """Dimensions from the smallest step to the largest; the first operand that tells two apart decides."""
    count = len(shape)

    def later(a, b):
        for strides in operands:
            if strides[a] == 0 or strides[b] == 0:
                continue
            if strides[a] != strides[b]:
                return 1 if strides[a] > strides[b] else -1
            if shape[a] > shape[b]:
                return 1
        return 0

    order = list(range(count - 1, -1, -1))
    for i in range(1, count):
        at = i
        for before in range(i - 1, -1, -1):
            found = later(order[before], order[at])
            if found > 0:
                order[before], order[at] = order[at], order[before]
                at = before
            elif found < 0:
                break
    return order


def ordered(shape, operands):
    """Strides in the order that the operands' strides have together."""
    order = _order(shape, operands)
    if order == list(range(len(shape) - 1, -1, -1)):
        return dense(shape)
    return _in_order(shape, order)


def copied(shape, strides):
    """Strides of a copy, or of a tensor that is made like another."""
    if is_packed(shape, strides):
        return list(strides)
    return _in_order(shape, _order(shape, [strides]))


_CHANNELS_LAST = {4: (1, 3, 2, 0), 5: (1, 4, 3, 2, 0)}


def _is_channels_last(shape, strides):
    if len(shape) != 4:
        return False
    expected = 1
    for dim in _CHANNELS_LAST[4]:
        if shape[dim] != 1:
            if strides[dim] != expected:
                return False
            expected *= shape[dim]
    return True


def _looks_channels_last(shape, strides):
    """Whether the strides suggest that the second dimension is the innermost; also where single entries leave it open."""
    if len(shape) not in _CHANNELS_LAST or strides[1] == 0:
        return False
    least = 0
    for dim in _CHANNELS_LAST[len(shape)]:
        if shape[dim] == 0 or strides[dim] < least or (dim == 0 and least == strides[1]):
            return False
        least = strides[dim] * max(shape[dim], 1)
    return True


def elementwise(shape, operands):
    """Strides of an element-wise result from shapes and strides of the operands. A plain number has the shape ()."""
    shape = list(shape)
    if all(list(own) == shape for own, _ in operands):
        if all(is_dense(*operand) for operand in operands):
            return dense(shape)
        if all(_is_channels_last(*operand) for operand in operands):
            return _in_order(shape, _CHANNELS_LAST[4])
        first = list(operands[0][1])
        if all(is_packed(*operand) and list(operand[1]) == first for operand in operands):
            return first
    rows = []
    for own, strides in operands:
        extra = len(shape) - len(own)
        steps = (0 if extent == 1 != shape[extra + i] else step for i, (extent, step) in enumerate(zip(own, strides)))
        rows.append([0] * extra + list(steps))
    return ordered(shape, rows)


def joined(shape, parts):
    """Strides of a tensor of this shape that joins others."""
    if all(_looks_channels_last(*part) for part in parts):
        return _in_order(shape, _CHANNELS_LAST[len(shape)])
    return dense(shape)


def stacked_in_rows(first, rest):
    """Whether tensors that are stacked before their last dimension are copied one after the other."""
    if _looks_channels_last(*first):
        return False
    return all(is_dense(*part) for part in rest)
