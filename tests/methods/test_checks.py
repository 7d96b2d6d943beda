"""Checks of inputs, where they are more than a comparison."""

import pytest
import torch

from internal_methods.methods.checks import check_finite


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_finite_values_pass_even_where_their_sum_does_not(dtype):
    check_finite(torch.full((100,), torch.finfo(dtype).max, dtype=dtype), "x")


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_values_that_are_not_finite_are_counted(bad):
    values = torch.zeros(3, 5)
    values[1, 2:4] = bad
    with pytest.raises(ValueError, match="2 values of x are NaN or infinite"):
        check_finite(values, "x")


def test_infinities_of_both_signs_do_not_cancel():
    with pytest.raises(ValueError, match="2 values"):
        check_finite(torch.tensor([torch.inf, -torch.inf]), "x")
