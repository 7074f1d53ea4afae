"""Continue prompts, several at once, and watch one canvas being filled: `python examples/generate.py`."""

from dllm import LLM, SamplingParams

PROMPTS = [
    '["Mary", "Linda", "Susan"]\nReverse the list.\n',
    '["Mary", "Linda", "Susan"]\nReplace the second name with "Ruth".\n',
    '["dog", "river", "teacher"]\nWrite a sentence with all the words.\n',
]


def main() -> None:
    llm = LLM("tiny")  # or a folder, or a Hub id such as "GSAI-ML/LLaDA-8B-Instruct"
    params = SamplingParams(max_new_tokens=32, scheduler="threshold(0.9)", cache="none")

    for prompt, out in zip(PROMPTS, llm.generate(PROMPTS, params), strict=True):
        print(prompt + out.text)
        print(f"  {out.stats.tokens} tokens in {out.stats.forwards} forwards\n")

    print("The last one, step by step (_ is a mask):")
    assert llm.tokenizer is not None
    mask = llm.model.mask_token_id
    start = len(llm.tokenizer.encode(PROMPTS[-1]))
    for event in llm.stream(PROMPTS[-1], params):
        answer = [token for token in event.canvas[start:] if token not in llm.model.eos_token_ids]
        shown = ("_" if token == mask else llm.tokenizer.decode([token]) for token in answer)
        print(f"  +{len(event.positions)}  {''.join(shown)}")


if __name__ == "__main__":
    main()
