"""Checkpoint families, one file each: how `config.json` is read, what tensors are called, ids, template, sampler.

`family` has what such a file declares, `config` the strict reader it reads its config with, `qwen` what most of them
share, `table` finds a checkpoint's family by its architecture.

To add one: copy `fast_dllm_v2.py`; write its name into `FAMILY_FILES` of `table.py`; put a config of it into
`dllm/testing/configs.py`, and the tests run it under every cache and scheduler; describe it in docs/models.md. A test
says which of these is missing.
"""
