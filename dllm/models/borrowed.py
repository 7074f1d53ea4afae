"""Networks that transformers has under its own name, as a `RowDenoiser`; no code of the checkpoint is run.

The class is built from the config alone and filled by this package's strict loader. transformers' `from_pretrained` is
not used: a tensor that it does not find in the file it draws anew, and says so in a log at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from dllm.errors import ModelError
from dllm.models.adapters import LogitsAdapter
from dllm.models.base import RowInput, RowKV
from dllm.models.families.config import ConfigReader
from dllm.models.families.family import BorrowedFamily


class Borrowed(nn.Module):
    """A transformers model behind the interface of `Backbone`: whole canvases only, no row sees padding or its mates.

    Built with uninitialised weights: use `dllm.load_model`.

    Attributes:
        module: the transformers model.
        vocab_size: columns of its head, returned untouched.
        mask_token_id, eos_token_ids: see `Denoiser`.
        max_length: longest canvas in tokens.
        family, folder: where the weights came from, for messages.
        usual: what the family's published sampler comes to.
        id_sources: which file or rule gave the ids, for messages.
        no_split: classes whose modules stay on one device.
    """

    capabilities: frozenset[str] = frozenset()
    lookback = 0
    block_rule = None
    quantized = None

    def __init__(self, family: BorrowedFamily, config: ConfigReader, *, max_length: int | None = None) -> None:
        super().__init__()
        self.family = family
        self.max_length = max_length
        self.mask_token_id: int | None = None
        self.eos_token_ids: tuple[int, ...] = ()
        self.folder: Path | None = None
        self.id_sources: dict[str, str] = {}
        self.usual = family.usual()
        self.module = _build(config.get("architectures")[0], family.values(config), config.source)
        self.vocab_size = int(self._head.out_features)
        self.no_split = tuple(sorted(self.module._no_split_modules or ()))

    @property
    def name(self) -> str:
        """Of the family, for messages."""
        return self.family.name

    @property
    def _head(self) -> Any:
        return self.module.get_output_embeddings()

    @property
    def _embedding(self) -> Any:
        return self.module.get_input_embeddings()

    @property
    def tied(self) -> tuple[str, str] | None:
        """As `Backbone.tied`."""
        if self._head.weight is not self._embedding.weight:
            return None
        names = {id(module): name for name, module in self.named_modules()}
        head, embedding = (f"{names[id(module)]}.weight" for module in (self._head, self._embedding))
        return head, embedding

    def tie_weights(self) -> None:
        """Make tied parameters one, anew after they were replaced."""
        self.module.tie_weights()

    def keeps_float32(self, parameter: str) -> bool:
        """Never: every parameter is in the network's dtype."""
        return False

    def pack(self) -> None:
        """Nothing: transformers' modules keep their parameters."""

    @property
    def device(self) -> torch.device:
        """Where ids go in, under accelerate's offloading too."""
        hook = getattr(self._embedding, "_hf_hook", None)
        executes_on = getattr(hook, "execution_device", None)
        return cast(torch.device, self._embedding.weight.device) if executes_on is None else torch.device(executes_on)

    @property
    def dtype(self) -> torch.dtype:
        return cast(torch.dtype, self._embedding.weight.dtype)

    def forward_rows(self, rows: Sequence[RowInput]) -> list[Tensor]:
        """See `RowDenoiser`; `[m_r, V]` float32 a row.

        Raises:
            CapabilityError: a row comes with stored K/V, or is not its whole canvas.
        """
        return self._adapter.forward_rows(rows)

    def logits(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """See `Denoiser`; padding is cut off before the module is called, and comes back as zeros."""
        return self._adapter.logits(input_ids, attention_mask)

    def new_kv(self, length: int) -> RowKV:
        """Always a CapabilityError: the module's keys and values are out of reach."""
        return self._adapter.new_kv(length)

    @property
    def _adapter(self) -> LogitsAdapter:
        # made anew, for the module may have been moved
        return LogitsAdapter(
            lambda ids: cast(Tensor, self.module(input_ids=ids).logits),
            name=self.family.name,
            vocab_size=self.vocab_size,
            mask_token_id=None,
            eos_token_ids=(),
            device=self.device,
            one_by_one=self.device.type == "cpu",
        )


def _build(architecture: str, values: Mapping[str, Any], source: str) -> Any:
    """The transformers model of a config, its weights not initialised where the caller allocates none."""
    # Imported here: it costs seconds, and native families never need it.
    import transformers

    found = getattr(transformers, architecture, None)
    if found is None:
        raise ModelError(
            f"{source}: transformers {transformers.__version__} has no {architecture}; install a newer transformers"
        )
    try:
        # not flash attention, which is not on every machine and takes half precision only
        return found(found.config_class.from_dict(dict(values), attn_implementation="sdpa"))
    except Exception as error:  # a config's values meet checks of several libraries
        text = " ".join(str(error).split())[:400]  # some say it in several lines
        raise ModelError(
            f"{source}: transformers {transformers.__version__} cannot build {architecture} from it ({text})"
        ) from error
