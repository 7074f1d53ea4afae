"""The published samplers of block-causal families read aloud: one row, the whole canvas at every step, no cache.

Nothing here shares code with the engine; `model.logits` gives predictions. Greedy, and no end of text.
"""

from __future__ import annotations

import torch


def read(model, canvas: list[int], end: int) -> tuple[list[float], list[int]]:
    """Confidence and proposal at every position before `end`, as if the canvas ended there."""
    logits = model.logits(torch.tensor(canvas[:end])[None])[0].double()
    p = torch.softmax(logits, -1)
    if model.mask_token_id is not None:
        logits[:, model.mask_token_id] = -torch.inf
    tokens = logits.argmax(-1)
    return p[torch.arange(end), tokens].tolist(), tokens.tolist()


def llada2(model, prompt, new, block, tau, least=1, edit=None, passes=16) -> tuple[list[int], int]:
    """LLaDA2.0's rule, and 2.1's editing; the answer and how many forwards it took. SDAR's is the same with least=1."""
    mask, total = model.mask_token_id, -(-(len(prompt) + new) // block) * block
    canvas, forwards = prompt + [mask] * (total - len(prompt)), 0
    for start in range(len(prompt) // block * block, total, block):
        own, post = range(max(start, len(prompt)), start + block), 0
        while True:
            masked = [i for i in own if canvas[i] == mask]
            if not masked:
                post += 1
                if edit is None or post > passes:
                    break
            confidence, tokens = read(model, canvas, start + block)
            forwards += 1
            high = [i for i in masked if confidence[i] > tau]
            best = sorted(masked, key=lambda i: (-confidence[i], i))[:least]
            changed = high if len(high) >= least else best
            if edit is not None:
                done = [i for i in own if canvas[i] != mask]
                changed = changed + [i for i in done if tokens[i] != canvas[i] and confidence[i] > edit]
            for i in changed:
                canvas[i] = tokens[i]
            if not masked and not changed:
                break
            if not any(i == mask for i in canvas[len(prompt) : len(prompt) + new]) and edit is None:
                break
    return canvas[len(prompt) : len(prompt) + new], forwards


def fast_dllm_v2(model, prompt, new, block, piece, tau) -> list[int]:
    """Fast-dLLM v2's: the first token of a block alone, then `piece` positions at a time."""
    mask, total = model.mask_token_id, -(-(len(prompt) + new) // block) * block
    canvas = prompt + [mask] * (total - len(prompt))
    for start in range(len(prompt) // block * block, total, block):
        if canvas[start] == mask:  # from the last row of the block before, which sees nothing of this one
            _, tokens = read(model, [*canvas[:start], mask], start + 1)
            canvas[start] = tokens[start]
        for low in range(start, start + block, piece):
            while masked := [i for i in range(low, low + piece) if canvas[i] == mask]:
                confidence, tokens = read(model, canvas, start + block)
                best = min(masked, key=lambda i: (-confidence[i], i))
                for i in masked:
                    if i == best or confidence[i] > tau:
                        canvas[i] = tokens[i]
    return canvas[len(prompt) : len(prompt) + new]
