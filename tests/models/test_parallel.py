"""Tensor parallelism in two processes on a CPU, against one process."""

import os
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as multiprocessing
from safetensors.torch import load_file, save_file

from dllm import LLM, ConfigError, SamplingParams, load_model

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = ("llada", "dream")
PROMPTS = ([5, 9, 3, 77, 12], [8, 1, 30, 41, 7, 22, 90])
PARAMS = SamplingParams(max_new_tokens=12, block_length=4, scheduler="topk(1)", cache="dual", ignore_eos=True)


def network(name):
    return load_model(GOLDEN / name, dtype="float32", device="cpu")


def worker(rank, results):
    from torch.distributed.device_mesh import init_device_mesh

    from dllm.models.network.parallel import tensor_parallel

    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
    # they meet in a file: a port that was free when it was looked for may be another test's by now
    meeting = f"file://{results / 'meeting'}"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    for name in NAMES:
        model = tensor_parallel(network(name), mesh)
        ids = torch.arange(24).view(1, -1)
        logits = model.logits(ids)
        tokens = torch.tensor([output.token_ids for output in LLM(model).generate([list(p) for p in PROMPTS], PARAMS)])
        mine = sum(p.to_local().numel() if hasattr(p, "to_local") else p.numel() for p in model.parameters())
        found = {"logits": logits, "tokens": tokens, "parameters": torch.tensor(mine)}
        save_file(found, results / f"{name}-{rank}.safetensors")
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_logits_of_one(tmp_path):
    """All networks in one start of the two, which takes most of the time."""
    multiprocessing.spawn(worker, args=(tmp_path,), nprocs=2)
    for name in NAMES:
        alone = network(name)
        expected = alone.logits(torch.arange(24).view(1, -1))
        tokens = [output.token_ids for output in LLM(alone).generate([list(p) for p in PROMPTS], PARAMS)]
        whole = sum(parameter.numel() for parameter in alone.parameters())
        for rank in (0, 1):
            found = load_file(tmp_path / f"{name}-{rank}.safetensors")
            torch.testing.assert_close(found["logits"], expected, atol=2e-5, rtol=0)
            assert found["tokens"].tolist() == tokens, (name, rank)
            assert found["parameters"] < 0.75 * whole, (name, rank)


def test_what_cannot_be_split_is_refused():
    from dllm.models.network.parallel import tensor_parallel

    class Mesh:
        def __init__(self, count):
            self.count = count

        def size(self):
            return self.count

    with pytest.raises(ConfigError, match=r"heads=4 must be a multiple of 3"):
        tensor_parallel(network("llada"), Mesh(3))
    with pytest.raises(ConfigError, match="tied"):
        tensor_parallel(network("llada_gqa_bias_tied"), Mesh(1))
