"""Distances and products of two patches as explicit vector code.

Both patches are rows of `length` numbers inside flat arrays, `stride` numbers apart; those of clips
are `depth` times as many, each time `plane` numbers further on. Arrays need `simd.SLACK` spare
numbers at their end.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import F32, I64, Bytes, Floats, pointer_to


def _sum_over_patch(
    builder, elements, add_terms, a, b, stride_a, stride_b, length, rows, limit, frames=None
):
    """Emit the loops over frames, if any, rows and vectors.

    With a limit, give up at half the height of each frame once past it. frames: None, or the planes
    of a and b and the depth.
    """
    lanes, function = I64(elements.lanes), builder.function
    whole = builder.sdiv(builder.sub(length, I64(1)), lanes)  # the last vector is always masked
    tail = builder.mul(whole, lanes)
    mask = elements.lane_mask(builder.sub(length, tail))
    half = builder.sdiv(rows, I64(2))
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
        left, *at_frame = (builder.phi(t) for t in (I64, a.type, b.type, elements.sums))
    first_a, first_b, first_sums = at_start if frames is None else at_frame
    before = builder.block
    builder.branch(head)

    builder.position_at_end(head)
    row, at_a, at_b, sums = (builder.phi(t) for t in (I64, a.type, b.type, elements.sums))
    builder.branch(vectors)

    builder.position_at_end(vectors)
    index, running = builder.phi(I64), builder.phi(elements.sums)
    index.add_incoming(I64(0), head)
    running.add_incoming(sums, head)
    builder.cbranch(builder.icmp_signed("<", index, whole), vector, last)

    builder.position_at_end(vector)
    at = builder.mul(index, lanes)
    running.add_incoming(add_terms(running, at_a, at_b, at, None), vector)
    index.add_incoming(builder.add(index, I64(1)), vector)
    builder.branch(vectors)

    builder.position_at_end(last)
    row_sums = add_terms(running, at_a, at_b, tail, mask)
    next_row = builder.add(row, I64(1))
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
        (row, I64(0), next_row),
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
        fewer = builder.sub(left, I64(1))
        following = builder.gep(first_a, [plane_a]), builder.gep(first_b, [plane_b]), row_sums
        for phi, first, next_one in zip(
            (left, *at_frame), (depth, *at_start), (fewer, *following), strict=True
        ):
            phi.add_incoming(first, start)
            phi.add_incoming(next_one, frame_end)
        builder.cbranch(builder.icmp_signed(">", fewer, I64(0)), frame, end)

    builder.position_at_end(end)
    total = elements.reduce(row_sums)
    builder.branch(done)
    builder.position_at_end(done)
    result = builder.phi(F32)
    if limit is not None:
        result.add_incoming(partial, middle)
    result.add_incoming(total, end)
    return result


def _generate_squared_difference(context, builder, signature, arguments):
    a, at_a, b, at_b, stride_a, stride_b, length, rows, *frames, limit = arguments
    kind = Bytes if signature.args[0].dtype == types.uint8 else Floats
    size = I64(kind.size)
    a = pointer_to(context, builder, signature.args[0], a, at_a, kind.size)
    b = pointer_to(context, builder, signature.args[2], b, at_b, kind.size)
    strides = builder.mul(stride_a, size), builder.mul(stride_b, size)
    frames = _frames(builder, frames, size, size)

    def emit(lanes):
        elements = kind(builder, lanes)
        return _sum_over_patch(
            builder, elements, elements.add_squares, a, b, *strides, length, rows, limit, frames
        )

    if kind is Floats:
        return emit(16)
    short = builder.icmp_signed("<=", length, I64(32))
    with builder.if_else(short) as (then, otherwise):
        with then:
            narrow = emit(32)
            narrow_end = builder.block
        with otherwise:
            wide = emit(64)
            wide_end = builder.block
    result = builder.phi(F32)
    result.add_incoming(narrow, narrow_end)
    result.add_incoming(wide, wide_end)
    return result


def _generate_product(context, builder, signature, arguments):
    a, at_a, b, at_b, stride_a, stride_b, length, rows, *frames = arguments
    of_bytes = signature.args[0].dtype == types.uint8
    size = 1 if of_bytes else 4
    a = pointer_to(context, builder, signature.args[0], a, at_a, size)
    b = pointer_to(context, builder, signature.args[2], b, at_b, 4)
    strides = builder.mul(stride_a, I64(size)), builder.mul(stride_b, I64(4))
    frames = _frames(builder, frames, I64(size), I64(4))
    elements = Floats(builder, 16)
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
