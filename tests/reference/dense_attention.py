"""Attention between all queries and all keys, as matrices."""

import torch
import torch.nn.functional as F

from internal_methods.backends import patches


def dense_attention(q, k, v, patch_size, similarity, temperature):
    """(B, Cv, *size): softmax of the similarities of whole patches, of the values at centres."""
    axes, half = q.ndim - 2, patch_size // 2

    def tokens(image):
        for axis in range(2, 2 + axes):
            image = image.unfold(axis, patch_size, 1)
        return image.movedim(1, 1 + axes).flatten(1 + axes).flatten(1, axes)

    queries, keys = tokens(patches.pad(q, half, (False,) * axes)), tokens(k)
    for axis in range(2, 2 + axes):
        v = v.narrow(axis, half, v.shape[axis] - 2 * half)
    if similarity == "l2":
        logits = -torch.cdist(queries, keys, compute_mode="donot_use_mm_for_euclid_dist").square()
    else:
        if similarity == "cosine":
            queries, keys = F.normalize(queries, dim=-1), F.normalize(keys, dim=-1)
        logits = queries @ keys.transpose(1, 2)
    output = (logits / temperature).softmax(-1) @ v.flatten(2).transpose(1, 2)
    return output.transpose(1, 2).unflatten(2, q.shape[2:])
