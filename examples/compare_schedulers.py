"""Two schedulers on the same prompts and noise, as a table and, with matplotlib, as pictures.

python examples/compare_schedulers.py [FOLDER]      (default: runs/example)
"""

import sys
from pathlib import Path

from dllm.eval.compare import Plan, compare
from dllm.eval.reports import Report
from dllm.eval.tiny.items import tiny_task


def main(folder: Path) -> None:
    # a task whose answer the prompt determines, and one where many answers are right but tokens must agree
    tasks = [tiny_task("reverse", 8, seed=0), tiny_task("shuffle", 8, seed=0)]
    plan = Plan.make({"tiny": "tiny"}, tasks, ["topk({1,2,4})", "threshold({0.9,0.6})"])
    report = Report.make(plan, compare(plan, folder), baselines=["topk(1)"])
    for row in report.rows:
        print(f"{row.task:10} {row.label:16} {100 * row.accuracy:5.1f} %  {row.tokens_per_forward:5.2f} tokens/forward")
    print("written:", *(path.name for path in report.save(folder)))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/example"))
