"""Small products of matrices and small fixed matrices as explicit vector code, for
`winograd_kernels`.

Everything is float32 and flat, and works on `LANES` numbers that lie side by side.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import F32, FAST, I64, Floats, pointer_to

LANES = 16
ROWS = 4  # of a product that are summed at a time; with their columns they fill half the registers


def _store(builder, value, base, at):
    """Write a vector to the place `at` numbers after `base`."""
    place = builder.gep(base, [builder.mul(at, I64(4))])
    builder.store(value, builder.bitcast(place, value.type.as_pointer())).align = 4


@intrinsic
def add_product(typingctx, out, at_out, step, a, at_a, step_a, next_a, b, at_b, next_b, depth, new):
    """out[i * step + j] += sum over k < depth of a[i * step_a + k * next_a] * b[k * next_b + j].

    i < ROWS, j < LANES, depth at least 1, counted from the places given. new: = instead of +=.
    """
    long = types.int64
    signature = types.void(
        out, long, long, a, long, long, long, b, long, long, long, types.boolean
    )  # fmt: skip

    def generate(context, builder, signature, arguments):
        out, at_out, step, a, at_a, step_a, next_a, b, at_b, next_b, depth, new = arguments
        kinds, elements = signature.args, Floats(builder, LANES)
        to = pointer_to(context, builder, kinds[0], out, at_out, 4)
        left = pointer_to(context, builder, kinds[3], a, at_a, 4)
        right = pointer_to(context, builder, kinds[7], b, at_b, 4)
        places = [builder.mul(I64(i), step) for i in range(ROWS)]
        zeros = ir.Constant(elements.sums, [0.0] * LANES)
        with builder.if_else(new) as (fresh, going_on):
            with fresh:
                no = builder.block
            with going_on:
                before = [elements.load(to, place, F32) for place in places]
                yes = builder.block
        sums = []
        for value in before:
            sums.append(builder.phi(elements.sums))
            sums[-1].add_incoming(zeros, no)
            sums[-1].add_incoming(value, yes)
        head, loop, end = builder.block, *map(builder.append_basic_block, ("depth", "done"))
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(I64)
        totals = [builder.phi(elements.sums) for _ in sums]
        row = elements.load(right, builder.mul(k, next_b), F32)
        added, base = [], builder.mul(k, next_a)
        for i, total in enumerate(totals):
            at = builder.add(base, builder.mul(I64(i), step_a))
            place = builder.gep(left, [builder.mul(at, I64(4))])
            factor = builder.load(builder.bitcast(place, F32.as_pointer()))
            product = builder.fmul(elements.everywhere(factor), row, flags=FAST)
            added.append(builder.fadd(total, product, flags=FAST))
        following = builder.add(k, I64(1))
        for number, first, then in ((k, I64(0), following), *zip(totals, sums, added, strict=True)):
            number.add_incoming(first, head)
            number.add_incoming(then, loop)
        builder.cbranch(builder.icmp_signed("<", following, depth), loop, end)
        builder.position_at_end(end)
        for value, place in zip(added, places, strict=True):
            _store(builder, value, to, place)
        return context.get_dummy_value()

    return signature, generate


def combination(matrix):
    """An intrinsic that multiplies vectors by `matrix`, given as rows of numbers.

    combine(out, at_out, step_out, values, at_values, step): out[i * step_out + lane] = sum over j
    of matrix[i][j] * values[j * step + lane].
    """

    @intrinsic
    def combine(typingctx, out, at_out, step_out, values, at_values, step):
        signature = types.void(out, types.int64, types.int64, values, types.int64, types.int64)

        def generate(context, builder, signature, arguments):
            out, at_out, step_out, values, at_values, step = arguments
            to = pointer_to(context, builder, signature.args[0], out, at_out, 4)
            source = pointer_to(context, builder, signature.args[3], values, at_values, 4)
            elements = Floats(builder, LANES)
            given = [
                elements.load(source, builder.mul(I64(j), step), F32) for j in range(len(matrix[0]))
            ]
            for i, row in enumerate(matrix):
                total = ir.Constant(elements.sums, [0.0] * LANES)
                for factor, value in zip(row, given, strict=True):
                    if factor:
                        many = ir.Constant(elements.sums, [float(factor)] * LANES)
                        product = builder.fmul(value, many, flags=FAST)
                        total = builder.fadd(total, product, flags=FAST)
                _store(builder, total, to, builder.mul(I64(i), step_out))
            return context.get_dummy_value()

        return signature, generate

    return combine


@intrinsic
def put(typingctx, out, at_out, values, at_values):
    """out[at_out : at_out + LANES] = values[at_values : at_values + LANES]."""
    signature = types.void(out, types.int64, values, types.int64)

    def generate(context, builder, signature, arguments):
        out, at_out, values, at_values = arguments
        to = pointer_to(context, builder, signature.args[0], out, at_out, 4)
        source = pointer_to(context, builder, signature.args[2], values, at_values, 4)
        value = Floats(builder, LANES).load(source, I64(0), F32)
        _store(builder, value, to, I64(0))
        return context.get_dummy_value()

    return signature, generate
