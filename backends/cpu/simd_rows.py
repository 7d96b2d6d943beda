"""Sums, greatest values and exponentials of rows of float32 as explicit vector code."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compile import inline
from .simd import F32, FAST, I32, I64, Floats, pointer_to


@intrinsic
def add_scaled(typingctx, out, at, values, at_values, length, weight):
    """out[at : at + length] += weight * values[at_values : at_values + length], all float32.

    Reads up to `SLACK` numbers past the end of the values, and writes nothing past that of `out`.
    """
    signature = types.void(out, types.int64, values, *[types.int64] * 2, types.float32)

    def generate(context, builder, signature, arguments):
        out, at, values, at_values, length, weight = arguments
        to = pointer_to(context, builder, signature.args[0], out, at, 4)
        source = pointer_to(context, builder, signature.args[2], values, at_values, 4)
        elements = Floats(builder, 16)
        vector, flags = elements.sums, ir.VectorType(ir.IntType(1), 16)
        pointer = vector.as_pointer()
        scale = elements.everywhere(weight)
        whole = builder.sdiv(builder.sub(length, I64(1)), I64(16))

        def addend(index):
            return builder.fmul(elements.load(source, index, F32), scale, flags=FAST)

        with cgutils.for_range(builder, whole) as loop:
            index = builder.mul(loop.index, I64(16))
            total = builder.fadd(elements.load(to, index, F32), addend(index), flags=FAST)
            place = builder.gep(to, [builder.mul(index, I64(4))])
            builder.store(total, builder.bitcast(place, pointer)).align = 4
        index = builder.mul(whole, I64(16))
        mask = elements.lane_mask(builder.sub(length, index))
        some = builder.trunc(mask, flags)
        place = builder.bitcast(builder.gep(to, [builder.mul(index, I64(4))]), pointer)
        load = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(vector, [pointer, I32, flags, vector]),
            "llvm.masked.load.v16f32.p0",
        )
        store = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [vector, pointer, I32, flags]),
            "llvm.masked.store.v16f32.p0",
        )
        zeros = ir.Constant(vector, None)
        before = builder.call(load, [place, I32(4), some, zeros])
        total = builder.fadd(before, addend(index), flags=FAST)
        builder.call(store, [total, place, I32(4), some])
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
        zero = I64(0)
        to = pointer_to(context, builder, kinds[0], out, zero, 4)
        source = pointer_to(context, builder, kinds[1], rows, zero, 4)
        weight = pointer_to(context, builder, kinds[3], weights, at_weights, 4)
        weight = builder.bitcast(weight, F32.as_pointer())
        elements = Floats(builder, 16)
        vectors = builder.sdiv(builder.add(length, I64(15)), I64(16))
        blocks = builder.sdiv(vectors, I64(4))
        with cgutils.for_range(builder, blocks) as loop:
            at = builder.mul(loop.index, I64(64))
            _weighted_block(builder, elements, to, source, stride, weight, count, at, 4)
        at = builder.mul(blocks, I64(64))
        rest = builder.srem(vectors, I64(4))
        for some in (1, 2, 3):
            with builder.if_then(builder.icmp_signed("==", rest, I64(some))):
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

    def add(row, which):
        scale = elements.everywhere(builder.load(builder.gep(weight, [row])))
        start = builder.add(builder.mul(row, stride), at)
        for i, one in enumerate(sums[which]):
            part = elements.load(source, builder.add(start, I64(16 * i)), F32)
            part = builder.fmul(part, scale, flags=FAST)
            builder.store(builder.fadd(builder.load(one), part, flags=FAST), one)

    with cgutils.for_range(builder, builder.sdiv(count, I64(2))) as loop:
        row = builder.mul(loop.index, I64(2))
        add(row, 0)
        add(builder.add(row, I64(1)), 1)
    with builder.if_then(builder.icmp_signed("==", builder.srem(count, I64(2)), I64(1))):
        add(builder.sub(count, I64(1)), 0)
    for i, (even, odd) in enumerate(zip(*sums, strict=True)):
        total = builder.fadd(builder.load(even), builder.load(odd), flags=FAST)
        place = builder.gep(to, [builder.mul(builder.add(at, I64(16 * i)), I64(4))])
        builder.store(total, builder.bitcast(place, vector.as_pointer())).align = 4


@intrinsic
def largest(typingctx, numbers, length):
    """The largest of the first `length` float32 numbers, at least one; reads none past them."""

    def generate(context, builder, signature, arguments):
        numbers, length = arguments
        source = pointer_to(context, builder, signature.args[0], numbers, I64(0), 4)
        singles = builder.bitcast(source, F32.as_pointer())
        elements = Floats(builder, 16)
        vector = elements.sums
        most = cgutils.alloca_once(builder, vector)
        builder.store(elements.everywhere(builder.load(singles)), most)
        whole = builder.sdiv(length, I64(16))
        with cgutils.for_range(builder, whole) as loop:
            some = elements.load(source, builder.mul(loop.index, I64(16)), F32)
            before = builder.load(most)
            above = builder.fcmp_ordered(">", some, before)
            builder.store(builder.select(above, some, before), most)
        name = "llvm.vector.reduce.fmax.v16f32"
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(F32, [vector]), name
        )
        result = cgutils.alloca_once_value(builder, builder.call(function, [builder.load(most)]))
        at = builder.mul(whole, I64(16))
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
        return builder.bitcast(arguments[0], F32)

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
