"""Front ends: from what people write (Lark, a pattern, choices, a JSON Schema, tools) to `dllm.grammars.rules`."""
