"""Distances and products of two patches as explicit vector code.

Left to itself numba widens 8-bit integers to 64 bits and gives up vectorising a loop that may
leave early. These intrinsics emit plain LLVM vector instructions instead, which LLVM lowers to
whatever the CPU has (AVX-512, AVX2, NEON ...). No compiler is needed on the user's machine.

Both patches are rows of `length` numbers inside flat arrays, `stride` numbers apart; those of clips
are `depth` times as many, each time `plane` numbers further on. The last vector of a row reads past
its end and masks what it read: arrays need `SLACK` spare numbers at their end.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compile import inline

SLACK = 64

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_F32 = ir.FloatType()
_FAST = ("fast",)


class _Elements:
    """How one element type is loaded, and how its terms are formed, summed and reduced."""

    def __init__(self, builder: ir.IRBuilder, lanes: int):
        self.builder, self.lanes = builder, lanes

    def load(self, pointer, index, element):
        """The vector that begins at number `index` of the numbers at `pointer`."""
        size = 4 if element is _F32 else element.width // 8
        at = self.builder.gep(pointer, [self.builder.mul(index, _I64(size))])
        vector = ir.VectorType(element, self.lanes)
        value = self.builder.load(self.builder.bitcast(at, vector.as_pointer()))
        value.align = 1
        return value

    def lane_mask(self, length):
        """All ones in the first `length` lanes, zeros in the rest."""
        integer = _I32 if self.size == 4 else _I16
        vector = ir.VectorType(integer, self.lanes)
        limit = self.builder.insert_element(
            ir.Constant(vector, ir.Undefined), self.builder.trunc(length, integer), _I32(0)
        )
        zeros = ir.Constant(ir.VectorType(_I32, self.lanes), [0] * self.lanes)
        limit = self.builder.shuffle_vector(limit, ir.Constant(vector, ir.Undefined), zeros)
        index = ir.Constant(vector, list(range(self.lanes)))
        return self.builder.sext(self.builder.icmp_signed("<", index, limit), vector)


class _Bytes(_Elements):
    """Unsigned 8-bit: differences in 16 bits, pairs of squares summed in 32 bits."""

    size = 1

    @property
    def sums(self):
        return ir.VectorType(_I32, self.lanes // 2)

    def add_squares(self, sums, a, b, index, mask):
        builder, wide = self.builder, ir.VectorType(_I16, self.lanes)
        difference = builder.sub(
            builder.zext(self.load(a, index, _I8), wide),
            builder.zext(self.load(b, index, _I8), wide),
        )
        if mask is not None:
            difference = builder.and_(difference, mask)
        for first in (0, 1):
            lanes = [_I32(i) for i in range(first, self.lanes, 2)]
            half = builder.shuffle_vector(
                difference,
                ir.Constant(wide, ir.Undefined),
                ir.Constant(ir.VectorType(_I32, len(lanes)), lanes),
            )
            half = builder.sext(half, self.sums)
            square = builder.mul(half, half)
            pair = square if first == 0 else builder.add(pair, square)  # noqa: F821
        return builder.add(sums, pair)

    def reduce(self, sums):
        name = f"llvm.vector.reduce.add.v{self.lanes // 2}i32"
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(_I32, [self.sums]), name
        )
        return self.builder.sitofp(self.builder.call(function, [sums]), _F32)


class _Floats(_Elements):
    """32-bit floats."""

    size = 4

    @property
    def sums(self):
        return ir.VectorType(_F32, self.lanes)

    def _masked(self, value, mask):
        if mask is None:
            return value
        bits = self.builder.bitcast(value, ir.VectorType(_I32, self.lanes))
        return self.builder.bitcast(self.builder.and_(bits, mask), self.sums)

    def add_squares(self, sums, a, b, index, mask):
        difference = self.builder.fsub(
            self.load(a, index, _F32), self.load(b, index, _F32), flags=_FAST
        )
        difference = self._masked(difference, mask)
        return self.builder.fadd(
            sums, self.builder.fmul(difference, difference, flags=_FAST), flags=_FAST
        )

    def add_products(self, sums, a, b, index, mask):
        left = self.load(a, index, _F32)
        return self._add_product(sums, left, b, index, mask)

    def add_products_of_bytes(self, sums, a, b, index, mask):
        left = self.builder.uitofp(self.load(a, index, _I8), self.sums)
        return self._add_product(sums, left, b, index, mask)

    def _add_product(self, sums, left, b, index, mask):
        left = self._masked(left, mask)
        right = self._masked(self.load(b, index, _F32), mask)
        return self.builder.fadd(sums, self.builder.fmul(left, right, flags=_FAST), flags=_FAST)

    def reduce(self, sums):
        name = f"llvm.vector.reduce.fadd.v{self.lanes}f32"
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(_F32, [_F32, self.sums]), name
        )
        return self.builder.call(function, [_F32(0.0), sums], fastmath=_FAST)


def _sum_over_patch(
    builder, elements, add_terms, a, b, stride_a, stride_b, length, rows, limit, frames=None
):
    """Emit the loops over frames, if any, rows and vectors.

    With a limit, give up at half the height of each frame once past it. frames: None, or the planes
    of a and b and the depth.
    """
    lanes, function = _I64(elements.lanes), builder.function
    whole = builder.sdiv(builder.sub(length, _I64(1)), lanes)  # the last vector is always masked
    tail = builder.mul(whole, lanes)
    mask = elements.lane_mask(builder.sub(length, tail))
    half = builder.sdiv(rows, _I64(2))
    head, vectors, vector, last, middle, row_end, end, done = (
        function.append_basic_block(name)
        for name in ("row", "vectors", "vector", "last", "middle", "row_end", "end", "done")
    )
    zero = ir.Constant(elements.sums, None)
    start, at_start = builder.block, (a, b, zero)
    if frames is not None:
        frame = function.append_basic_block("frame")
        builder.branch(frame)
        builder.position_at_end(frame)
        left, *at_frame = (builder.phi(t) for t in (_I64, a.type, b.type, elements.sums))
    first_a, first_b, first_sums = at_start if frames is None else at_frame
    before = builder.block
    builder.branch(head)

    builder.position_at_end(head)
    row, at_a, at_b, sums = (builder.phi(t) for t in (_I64, a.type, b.type, elements.sums))
    builder.branch(vectors)

    builder.position_at_end(vectors)
    index, running = builder.phi(_I64), builder.phi(elements.sums)
    index.add_incoming(_I64(0), head)
    running.add_incoming(sums, head)
    builder.cbranch(builder.icmp_signed("<", index, whole), vector, last)

    builder.position_at_end(vector)
    at = builder.mul(index, lanes)
    running.add_incoming(add_terms(running, at_a, at_b, at, None), vector)
    index.add_incoming(builder.add(index, _I64(1)), vector)
    builder.branch(vectors)

    builder.position_at_end(last)
    row_sums = add_terms(running, at_a, at_b, tail, mask)
    next_row = builder.add(row, _I64(1))
    next_a, next_b = builder.gep(at_a, [stride_a]), builder.gep(at_b, [stride_b])
    if limit is None:
        builder.branch(row_end)
    else:
        builder.cbranch(builder.icmp_signed("==", next_row, half), middle, row_end)

    builder.position_at_end(middle)
    if limit is None:
        builder.unreachable()
    else:
        partial = elements.reduce(row_sums)
        builder.cbranch(builder.fcmp_ordered(">=", partial, limit), done, row_end)

    builder.position_at_end(row_end)
    for phi, first, following in (
        (row, _I64(0), next_row),
        (at_a, first_a, next_a),
        (at_b, first_b, next_b),
        (sums, first_sums, row_sums),
    ):
        phi.add_incoming(first, before)
        phi.add_incoming(following, row_end)
    if frames is None:
        builder.cbranch(builder.icmp_signed("<", next_row, rows), head, end)
    else:
        frame_end = function.append_basic_block("frame_end")
        builder.cbranch(builder.icmp_signed("<", next_row, rows), head, frame_end)
        builder.position_at_end(frame_end)
        plane_a, plane_b, depth = frames
        fewer = builder.sub(left, _I64(1))
        following = builder.gep(first_a, [plane_a]), builder.gep(first_b, [plane_b]), row_sums
        for phi, first, next_one in zip(
            (left, *at_frame), (depth, *at_start), (fewer, *following), strict=True
        ):
            phi.add_incoming(first, start)
            phi.add_incoming(next_one, frame_end)
        builder.cbranch(builder.icmp_signed(">", fewer, _I64(0)), frame, end)

    builder.position_at_end(end)
    total = elements.reduce(row_sums)
    builder.branch(done)
    builder.position_at_end(done)
    result = builder.phi(_F32)
    if limit is not None:
        result.add_incoming(partial, middle)
    result.add_incoming(total, end)
    return result


def _pointer(context, builder, array_type, array, index, size):
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.gep(builder.bitcast(data, _I8.as_pointer()), [builder.mul(index, _I64(size))])


def _generate_squared_difference(context, builder, signature, arguments):
    a, at_a, b, at_b, stride_a, stride_b, length, rows, *frames, limit = arguments
    kind = _Bytes if signature.args[0].dtype == types.uint8 else _Floats
    size = _I64(kind.size)
    a = _pointer(context, builder, signature.args[0], a, at_a, kind.size)
    b = _pointer(context, builder, signature.args[2], b, at_b, kind.size)
    strides = builder.mul(stride_a, size), builder.mul(stride_b, size)
    frames = _frames(builder, frames, size, size)

    def emit(lanes):
        elements = kind(builder, lanes)
        return _sum_over_patch(
            builder, elements, elements.add_squares, a, b, *strides, length, rows, limit, frames
        )

    if kind is _Floats:
        return emit(16)
    short = builder.icmp_signed("<=", length, _I64(32))
    with builder.if_else(short) as (then, otherwise):
        with then:
            narrow = emit(32)
            narrow_end = builder.block
        with otherwise:
            wide = emit(64)
            wide_end = builder.block
    result = builder.phi(_F32)
    result.add_incoming(narrow, narrow_end)
    result.add_incoming(wide, wide_end)
    return result


def _generate_product(context, builder, signature, arguments):
    a, at_a, b, at_b, stride_a, stride_b, length, rows, *frames = arguments
    of_bytes = signature.args[0].dtype == types.uint8
    size = 1 if of_bytes else 4
    a = _pointer(context, builder, signature.args[0], a, at_a, size)
    b = _pointer(context, builder, signature.args[2], b, at_b, 4)
    strides = builder.mul(stride_a, _I64(size)), builder.mul(stride_b, _I64(4))
    frames = _frames(builder, frames, _I64(size), _I64(4))
    elements = _Floats(builder, 16)
    add_terms = elements.add_products_of_bytes if of_bytes else elements.add_products
    return _sum_over_patch(builder, elements, add_terms, a, b, *strides, length, rows, None, frames)


def _frames(builder, arguments, size_a, size_b):
    """The planes in bytes and the depth, or None for pictures."""
    if not arguments:
        return None
    plane_a, plane_b, depth = arguments
    return builder.mul(plane_a, size_a), builder.mul(plane_b, size_b), depth


@intrinsic
def squared_difference(typingctx, a, at_a, b, at_b, stride_a, stride_b, length, rows, limit):
    """Sum of squared differences of two patches of uint8 or float32, as float32.

    At half height the sum so far is returned if it is not below `limit`.
    """
    signature = types.float32(a, types.int64, b, *[types.int64] * 5, types.float32)
    return signature, _generate_squared_difference


@intrinsic
def squared_difference_in_time(
    typingctx, a, at_a, b, at_b, stride_a, stride_b, length, rows, plane_a, plane_b, depth, limit
):
    """`squared_difference` of patches of clips; gives up at half the height of any frame."""
    signature = types.float32(a, types.int64, b, *[types.int64] * 8, types.float32)
    return signature, _generate_squared_difference


@intrinsic
def product(typingctx, a, at_a, b, at_b, stride_a, stride_b, length, rows):
    """Inner product of a patch of float32 or uint8 and a patch of float32, as float32."""
    return types.float32(a, types.int64, b, *[types.int64] * 5), _generate_product


@intrinsic
def product_in_time(
    typingctx, a, at_a, b, at_b, stride_a, stride_b, length, rows, plane_a, plane_b, depth
):
    """`product` of patches of clips."""
    return types.float32(a, types.int64, b, *[types.int64] * 8), _generate_product


@intrinsic
def add_scaled(typingctx, out, at, values, at_values, length, weight):
    """out[at : at + length] += weight * values[at_values : at_values + length], all float32.

    Reads up to `SLACK` numbers past the end of the values, and writes nothing past that of `out`.
    """
    signature = types.void(out, types.int64, values, *[types.int64] * 2, types.float32)

    def generate(context, builder, signature, arguments):
        out, at, values, at_values, length, weight = arguments
        to = _pointer(context, builder, signature.args[0], out, at, 4)
        source = _pointer(context, builder, signature.args[2], values, at_values, 4)
        elements = _Floats(builder, 16)
        vector, flags = elements.sums, ir.VectorType(ir.IntType(1), 16)
        pointer = vector.as_pointer()
        everywhere = ir.Constant(ir.VectorType(_I32, 16), [0] * 16)
        undefined = ir.Constant(vector, ir.Undefined)
        scale = builder.insert_element(undefined, weight, _I32(0))
        scale = builder.shuffle_vector(scale, undefined, everywhere)
        whole = builder.sdiv(builder.sub(length, _I64(1)), _I64(16))

        def addend(index):
            return builder.fmul(elements.load(source, index, _F32), scale, flags=_FAST)

        with cgutils.for_range(builder, whole) as loop:
            index = builder.mul(loop.index, _I64(16))
            total = builder.fadd(elements.load(to, index, _F32), addend(index), flags=_FAST)
            place = builder.gep(to, [builder.mul(index, _I64(4))])
            builder.store(total, builder.bitcast(place, pointer)).align = 4
        index = builder.mul(whole, _I64(16))
        mask = elements.lane_mask(builder.sub(length, index))
        some = builder.trunc(mask, flags)
        place = builder.bitcast(builder.gep(to, [builder.mul(index, _I64(4))]), pointer)
        load = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(vector, [pointer, _I32, flags, vector]),
            "llvm.masked.load.v16f32.p0",
        )
        store = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [vector, pointer, _I32, flags]),
            "llvm.masked.store.v16f32.p0",
        )
        zeros = ir.Constant(vector, None)
        before = builder.call(load, [place, _I32(4), some, zeros])
        total = builder.fadd(before, addend(index), flags=_FAST)
        builder.call(store, [total, place, _I32(4), some])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def weighted_rows(typingctx, out, rows, stride, weights, at_weights, count, length):
    """out[:length] = sum over i < count of weights[at_weights + i] * rows[i * stride :], float32.

    Reads up to `SLACK` numbers past the rows, and writes as many of no use past the end of `out`.
    """
    signature = types.void(out, rows, types.int64, weights, *[types.int64] * 3)

    def generate(context, builder, signature, arguments):
        out, rows, stride, weights, at_weights, count, length = arguments
        kinds = signature.args
        zero = _I64(0)
        to = _pointer(context, builder, kinds[0], out, zero, 4)
        source = _pointer(context, builder, kinds[1], rows, zero, 4)
        weight = _pointer(context, builder, kinds[3], weights, at_weights, 4)
        weight = builder.bitcast(weight, _F32.as_pointer())
        elements = _Floats(builder, 16)
        vectors = builder.sdiv(builder.add(length, _I64(15)), _I64(16))
        blocks = builder.sdiv(vectors, _I64(4))
        with cgutils.for_range(builder, blocks) as loop:
            at = builder.mul(loop.index, _I64(64))
            _weighted_block(builder, elements, to, source, stride, weight, count, at, 4)
        at = builder.mul(blocks, _I64(64))
        rest = builder.srem(vectors, _I64(4))
        for some in (1, 2, 3):
            with builder.if_then(builder.icmp_signed("==", rest, _I64(some))):
                _weighted_block(builder, elements, to, source, stride, weight, count, at, some)
        return context.get_dummy_value()

    return signature, generate


def _weighted_block(builder, elements, to, source, stride, weight, count, at, vectors):
    """Emit the sums of `vectors` vectors from column `at` on; odd and even rows apart, so that
    additions need not wait for each other."""
    vector = elements.sums
    sums = [[cgutils.alloca_once(builder, vector) for _ in range(vectors)] for _ in range(2)]
    for one in (*sums[0], *sums[1]):
        builder.store(ir.Constant(vector, None), one)
    everywhere = ir.Constant(ir.VectorType(_I32, 16), [0] * 16)
    undefined = ir.Constant(vector, ir.Undefined)

    def add(row, which):
        scale = builder.load(builder.gep(weight, [row]))
        scale = builder.insert_element(undefined, scale, _I32(0))
        scale = builder.shuffle_vector(scale, undefined, everywhere)
        start = builder.add(builder.mul(row, stride), at)
        for i, one in enumerate(sums[which]):
            part = elements.load(source, builder.add(start, _I64(16 * i)), _F32)
            part = builder.fmul(part, scale, flags=_FAST)
            builder.store(builder.fadd(builder.load(one), part, flags=_FAST), one)

    with cgutils.for_range(builder, builder.sdiv(count, _I64(2))) as loop:
        row = builder.mul(loop.index, _I64(2))
        add(row, 0)
        add(builder.add(row, _I64(1)), 1)
    with builder.if_then(builder.icmp_signed("==", builder.srem(count, _I64(2)), _I64(1))):
        add(builder.sub(count, _I64(1)), 0)
    for i, (even, odd) in enumerate(zip(*sums, strict=True)):
        total = builder.fadd(builder.load(even), builder.load(odd), flags=_FAST)
        place = builder.gep(to, [builder.mul(builder.add(at, _I64(16 * i)), _I64(4))])
        builder.store(total, builder.bitcast(place, vector.as_pointer())).align = 4


@intrinsic
def largest(typingctx, numbers, length):
    """The largest of the first `length` float32 numbers, at least one; reads none past them."""

    def generate(context, builder, signature, arguments):
        numbers, length = arguments
        source = _pointer(context, builder, signature.args[0], numbers, _I64(0), 4)
        singles = builder.bitcast(source, _F32.as_pointer())
        elements = _Floats(builder, 16)
        vector = elements.sums
        most = cgutils.alloca_once(builder, vector)
        undefined = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(undefined, builder.load(singles), _I32(0))
        everywhere = ir.Constant(ir.VectorType(_I32, 16), [0] * 16)
        builder.store(builder.shuffle_vector(first, undefined, everywhere), most)
        whole = builder.sdiv(length, _I64(16))
        with cgutils.for_range(builder, whole) as loop:
            some = elements.load(source, builder.mul(loop.index, _I64(16)), _F32)
            before = builder.load(most)
            above = builder.fcmp_ordered(">", some, before)
            builder.store(builder.select(above, some, before), most)
        name = "llvm.vector.reduce.fmax.v16f32"
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_F32, [vector]), name
        )
        result = cgutils.alloca_once_value(builder, builder.call(function, [builder.load(most)]))
        at = builder.mul(whole, _I64(16))
        with cgutils.for_range(builder, builder.sub(length, at)) as loop:
            one = builder.load(builder.gep(singles, [builder.add(at, loop.index)]))
            before = builder.load(result)
            builder.store(
                builder.select(builder.fcmp_ordered(">", one, before), one, before), result
            )
        return builder.load(result)

    return types.float32(numbers, types.int64), generate


@intrinsic
def _as_float(typingctx, bits):
    """The float32 of these 32 bits."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], _F32)

    return types.float32(types.int32), generate


@inline
def exponential(x):
    """exp(x) of a float32 to about 2e-7, 0 below -87: plain arithmetic, which loops vectorise."""
    x = max(x, np.float32(-87))
    whole = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    rest = x - whole * np.float32(0.693359375)
    rest = rest + whole * np.float32(2.12194440e-4)
    power = np.float32(1.9875691e-4)
    power = power * rest + np.float32(1.3981999e-3)
    power = power * rest + np.float32(8.3334519e-3)
    power = power * rest + np.float32(4.1665796e-2)
    power = power * rest + np.float32(0.16666665)
    power = power * rest + np.float32(0.5)
    power = power * rest * rest + rest + np.float32(1)
    return power * _as_float(np.int32(np.int32(whole) + np.int32(127)) << np.int32(23))
