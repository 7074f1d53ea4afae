"""A benchmark run: from a model, a suite and a preset to the plan of `dllm.eval.compare`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dllm.errors import ConfigError, nearest
from dllm.eval.compare import Plan
from dllm.eval.items import Task
from dllm.eval.parallelbench.presets import PRESETS, Preset
from dllm.eval.parallelbench.synthetic import Wording, known, synthetic
from dllm.eval.parallelbench.tasks import check_tasks
from dllm.eval.parallelbench.trial import ideal_llm
from dllm.eval.parallelbench.upstream import MissingError, upstream
from dllm.hub import TINY

SUITES = ("synthetic", "v1", "v2")
IDEAL = "ideal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What people ask for; None is what the preset has.

    Attributes:
        model: "ideal", or what `LLM` takes.
        data: folder or "hf" of the suites v1 and v2.
    """

    model: str = TINY
    preset: str = "quick"
    suite: str | None = None
    tasks: Sequence[str] | None = None
    schedulers: Sequence[str] | None = None
    count: int | None = None
    block_lengths: Sequence[int] | None = None
    caches: Sequence[str] | None = None
    data: str | None = None
    seed: int = 0

    @property
    def form(self) -> Wording:
        return "ideal" if self.model == IDEAL else "tiny" if self.model == TINY else "chat"

    def the_preset(self) -> Preset:
        """Raises ConfigError for an unknown one."""
        if self.preset not in PRESETS:
            raise ConfigError(f"preset={self.preset!r}{nearest(self.preset, PRESETS)}; there are {', '.join(PRESETS)}")
        return PRESETS[self.preset]

    def the_suite(self) -> str:
        """The suite asked for, else the preset's, else the model's."""
        own = self.suite if self.suite is not None else "v2" if self.data is not None else self.the_preset().suite
        suite = ("v2" if self.form == "chat" else "synthetic") if own is None else own
        if suite not in SUITES:
            raise ConfigError(f"suite={suite!r}{nearest(suite, SUITES)}; there are {', '.join(SUITES)}")
        if self.data is not None and suite == "synthetic":
            raise ConfigError(f"data={self.data!r} plays no part in suite='synthetic'; drop it, or give suite='v2'")
        if self.data is not None and self.form != "chat":
            raise ConfigError(f"data={self.data!r} is worded for chat models, and {self.model} is none; drop it")
        if suite != "synthetic" and self.form != "chat":
            raise ConfigError(f"suite={suite!r} is worded for chat models; {self.model} reads suite='synthetic'")
        return suite

    def the_tasks(self, tell: Callable[[str], object] = lambda text: None) -> list[Task]:
        """Those asked for; of the preset's, those that the suite has. `tell` hears of the others."""
        suite, preset = self.the_suite(), self.the_preset()
        names, count = list(dict.fromkeys(self.tasks or preset.tasks)), self.count or preset.count
        check_tasks(names)
        if suite != "synthetic":
            return self._upstream(names, count, tell)
        if not self.tasks:
            names = [name for name in names if name in known(self.form)]
        return [synthetic(self.form, name, count, self.seed) for name in names]

    def _upstream(self, names: Sequence[str], count: int, tell: Callable[[str], object]) -> list[Task]:
        found: list[Task] = []
        missing: list[MissingError] = []
        for name in names:
            try:
                found.append(upstream(self.the_suite(), self.data, name, count))
            except MissingError as error:
                missing.append(error)
        if missing and (self.tasks or not found):
            raise missing[0]
        for one in missing:
            tell(str(one))
        return found

    def the_schedulers(self) -> list[str]:
        """Those asked for, else the preset's that the model can run."""
        if self.schedulers:
            return list(self.schedulers)
        wants_more = {"learn2pd": self.form == "tiny", "wino": self.form != "ideal"}
        return [spec for spec in self.the_preset().schedulers if wants_more.get(spec, True)]


def plan_of(
    wanted: Wanted,
    *,
    temperature: float | None = None,
    tell: Callable[[str], object] = lambda text: None,
    **rest: Any,
) -> Plan:
    """The plan of a run.

    Args:
        tell: hears of tasks of the preset whose data are missing; the others run all the same.
        temperature: None: 0, but 1 for the ideal model, whose probabilities are what it is about.
        rest: arguments of `Plan.make`: dtype, device, batch_size, workers, shard, plugins.

    Raises:
        ConfigError, ModelError: whatever is wrong; no model is loaded yet.
    """
    preset, ideal = wanted.the_preset(), wanted.form == "ideal"
    if ideal and set(wanted.caches or ()) - {"none"}:
        raise ConfigError("caches: the ideal model has no keys and values to store; drop the caches")
    heat = (1.0 if ideal else 0.0) if temperature is None else temperature
    suite = wanted.the_suite()
    about: Mapping[str, Any] = {"bench": "parallelbench", "suite": suite, "form": wanted.form}
    sampling: dict[str, Any] = {"temperature": heat}
    if suite != "synthetic":
        sampling["ignore_eos"] = True  # the benchmark fills its canvas, ends of text included, and counts all of it
    caches = wanted.caches or (("none",) if ideal else preset.caches)
    plan = Plan.make(
        {} if ideal else {Path(wanted.model).name: wanted.model},
        wanted.the_tasks(tell),
        wanted.the_schedulers(),
        block_lengths=wanted.block_lengths or preset.block_lengths,
        caches=caches,
        sampling=sampling,
        seed=wanted.seed,
        about=about,
        **rest,
    )
    return replace(plan, models={IDEAL: ideal_llm}, fingerprints={IDEAL: "1"}) if ideal else plan
