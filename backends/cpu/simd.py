"""Explicit vector code, for `simd_patches` and `simd_rows`.

Left to itself numba widens 8-bit integers to 64 bits and gives up vectorising a loop that may
leave early. These intrinsics emit plain LLVM vector instructions instead, which LLVM lowers to
whatever the CPU has (AVX-512, AVX2, NEON ...). No compiler is needed on the user's machine.

The last vector of a row reads past its end and masks what it read: arrays need `SLACK` spare
numbers at their end.
"""

from llvmlite import ir
from numba.core import cgutils

SLACK = 64

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
F32 = ir.FloatType()
FAST = ("fast",)


class Elements:
    """How one element type is loaded, and how its terms are formed, summed and reduced."""

    def __init__(self, builder: ir.IRBuilder, lanes: int):
        self.builder, self.lanes = builder, lanes

    def load(self, pointer, index, element):
        """The vector that begins at number `index` of the numbers at `pointer`."""
        size = 4 if element is F32 else element.width // 8
        at = self.builder.gep(pointer, [self.builder.mul(index, I64(size))])
        vector = ir.VectorType(element, self.lanes)
        value = self.builder.load(self.builder.bitcast(at, vector.as_pointer()))
        value.align = 1
        return value

    def everywhere(self, value):
        """`value` in all lanes."""
        undefined = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        first = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        one = self.builder.insert_element(undefined, value, I32(0))
        return self.builder.shuffle_vector(one, undefined, first)

    def lane_mask(self, length):
        """All ones in the first `length` lanes, zeros in the rest."""
        integer = I32 if self.size == 4 else I16
        vector = ir.VectorType(integer, self.lanes)
        limit = self.everywhere(self.builder.trunc(length, integer))
        index = ir.Constant(vector, list(range(self.lanes)))
        return self.builder.sext(self.builder.icmp_signed("<", index, limit), vector)


class Bytes(Elements):
    """Unsigned 8-bit: differences in 16 bits, pairs of squares summed in 32 bits."""

    size = 1

    @property
    def sums(self):
        return ir.VectorType(I32, self.lanes // 2)

    def add_squares(self, sums, a, b, index, mask):
        builder, wide = self.builder, ir.VectorType(I16, self.lanes)
        difference = builder.sub(
            builder.zext(self.load(a, index, I8), wide),
            builder.zext(self.load(b, index, I8), wide),
        )
        if mask is not None:
            difference = builder.and_(difference, mask)
        for first in (0, 1):
            lanes = [I32(i) for i in range(first, self.lanes, 2)]
            half = builder.shuffle_vector(
                difference,
                ir.Constant(wide, ir.Undefined),
                ir.Constant(ir.VectorType(I32, len(lanes)), lanes),
            )
            half = builder.sext(half, self.sums)
            square = builder.mul(half, half)
            pair = square if first == 0 else builder.add(pair, square)  # noqa: F821
        return builder.add(sums, pair)

    def reduce(self, sums):
        name = f"llvm.vector.reduce.add.v{self.lanes // 2}i32"
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(I32, [self.sums]), name
        )
        return self.builder.sitofp(self.builder.call(function, [sums]), F32)


class Floats(Elements):
    """32-bit floats."""

    size = 4

    @property
    def sums(self):
        return ir.VectorType(F32, self.lanes)

    def _masked(self, value, mask):
        if mask is None:
            return value
        bits = self.builder.bitcast(value, ir.VectorType(I32, self.lanes))
        return self.builder.bitcast(self.builder.and_(bits, mask), self.sums)

    def add_squares(self, sums, a, b, index, mask):
        difference = self.builder.fsub(
            self.load(a, index, F32), self.load(b, index, F32), flags=FAST
        )
        difference = self._masked(difference, mask)
        return self.builder.fadd(
            sums, self.builder.fmul(difference, difference, flags=FAST), flags=FAST
        )

    def add_products(self, sums, a, b, index, mask):
        left = self.load(a, index, F32)
        return self._add_product(sums, left, b, index, mask)

    def add_products_of_bytes(self, sums, a, b, index, mask):
        left = self.builder.uitofp(self.load(a, index, I8), self.sums)
        return self._add_product(sums, left, b, index, mask)

    def _add_product(self, sums, left, b, index, mask):
        left = self._masked(left, mask)
        right = self._masked(self.load(b, index, F32), mask)
        return self.builder.fadd(sums, self.builder.fmul(left, right, flags=FAST), flags=FAST)

    def reduce(self, sums):
        name = f"llvm.vector.reduce.fadd.v{self.lanes}f32"
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(F32, [F32, self.sums]), name
        )
        return self.builder.call(function, [F32(0.0), sums], fastmath=FAST)


def pointer_to(context, builder, array_type, array, index, size):
    """To number `index` of an array whose numbers have `size` bytes."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.gep(builder.bitcast(data, I8.as_pointer()), [builder.mul(index, I64(size))])
