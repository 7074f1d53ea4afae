"""A scheduler of one's own, usable by name wherever the built-in ones are: `python examples/own_scheduler.py`.

It is given to the command line in the same file: `dllm compare --quick --plugin examples/own_scheduler.py -s halving`.
"""

from dataclasses import dataclass

from torch import Tensor

from dllm import LLM, SamplingParams
from dllm.schedulers import Scheduler, StepView, register


@register("halving")
@dataclass(frozen=True)
class Halving(Scheduler):
    """Commit the surest half of what is left of the block at each step, and whatever is at least `sure`.

    Args:
        sure: confidence from which on a token is committed at once.
    """

    sure: float = 0.95

    def select(self, view: StepView, state: None) -> tuple[Tensor, None]:
        half = (int(view.active.sum()) + 1) // 2
        return view.best(view.confidence, half) | (view.active & (view.confidence >= self.sure)), state


def main() -> None:
    llm = LLM("tiny")  # or a folder, or a Hub id
    prompt = "Write a C++ function add that returns the sum of two ints.\n"
    text = ""
    for scheduler in ("topk(1)", "threshold(0.9)", "halving", "halving(0.8)+eotp", Halving(sure=1.0)):
        params = SamplingParams(max_new_tokens=64, block_length=64, scheduler=scheduler, cache="none")
        out = llm.generate(prompt, params)
        print(f"{scheduler!s:20} {out.stats.forwards:2} forwards for {out.stats.tokens} tokens", end="")
        print(", the same text" if out.text == text else f":\n{out.text}")
        text = out.text


if __name__ == "__main__":
    main()
