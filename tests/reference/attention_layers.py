"""Attention between patches by plain loops over queries and keys, in float64."""

import numpy as np


def attention(q, k, v, patch_size, *, similarity="l2", temperature=1.0, stride=1, window=None):
    """(Cv, H, W) of q (C, H, W), k (C, H2, W2), v (Cv, H2, W2).

    Queries reflect at the border, keys lie whole inside, every `stride`-th of them from the first
    on, and no further than window // 2 from the query's place. similarity "linear": the product of
    elu + 1 of all entries, without an exponential.
    """
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    h = patch_size // 2
    padded = np.pad(q, ((0, 0), (h, h), (h, h)), mode="reflect")
    out = np.zeros((v.shape[0], *q.shape[1:]))
    for y in range(q.shape[1]):
        for x in range(q.shape[2]):
            patch = padded[:, y : y + patch_size, x : x + patch_size]
            logits, values = [], []
            for i in range(h, k.shape[1] - h, stride):
                for j in range(h, k.shape[2] - h, stride):
                    if window and max(abs(i - y), abs(j - x)) > window // 2:
                        continue
                    key = k[:, i - h : i + h + 1, j - h : j + h + 1]
                    logits.append(_similarity(patch, key, similarity) / temperature)
                    values.append(v[:, i, j])
            logits = np.array(logits)
            weights = logits if similarity == "linear" else np.exp(logits - logits.max())
            out[:, y, x] = weights @ np.array(values) / weights.sum()
    return out


def _similarity(patch, key, similarity):
    if similarity == "l2":
        return -((patch - key) ** 2).sum()
    if similarity == "linear":
        patch, key = (np.where(x > 0, x + 1, np.exp(np.minimum(x, 0))) for x in (patch, key))
    return (patch * key).sum()
