"""Fill holes in C++ so that the program parses, whatever the model proposes: `python examples/infill_cpp.py`."""

from dllm import LLM, Grammar, SamplingParams

DOCUMENTS = [
    "int half(int q) { r<mask:2>rn q / 2; }",
    "int sum(int a, int b) { return <mask:3>; }",
    "int evaluate(int n, int m) { if (m == 0) return n; return evaluate<mask:3> n % m); }",
]


def main() -> None:
    llm = LLM("tiny")  # or a folder, or a Hub id
    cpp = Grammar.builtin("cpp")
    for document in DOCUMENTS:
        free = llm.infill(document)
        held = llm.infill(document, SamplingParams(grammar=cpp))
        print(f"{document}\n  without a grammar  {free.text}")
        if not cpp.accepts(free.text):
            print("    " + cpp.explain(free.text).replace("\n", "\n    "))
        print(f"  under cpp          {held.text}\n")


if __name__ == "__main__":
    main()
