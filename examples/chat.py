"""A conversation through the model's chat template, with `n` samples of one answer: `python examples/chat.py`."""

from dllm import LLM, SamplingParams


def main() -> None:
    llm = LLM("tiny")  # or a folder, or a Hub id such as "GSAI-ML/LLaDA-8B-Instruct"
    question = "Name: Ana, Age: 31, City: Rome\nWrite JSON with keys: age, name"
    messages = [{"role": "user", "content": question}]

    out = llm.chat(messages, SamplingParams(max_new_tokens=64, scheduler="topk(2, by=margin)"))
    print(f"{question}\n> {out.text}")
    print(f"  {out.stats.tokens} tokens in {out.stats.forwards} forwards; ended by: {out.finish_reason}\n")

    question = '["Mary", "Linda", "Susan", "Karen"]\nShuffle the list.'
    warm = SamplingParams(max_new_tokens=32, temperature=0.7, seed=0, n=3, cache="none")
    print(question)
    for sample in llm.chat([{"role": "user", "content": question}], warm).samples:
        print(f"> {sample.text}   (seed {sample.seed})")


if __name__ == "__main__":
    main()
