"""Front ends: from what people write (Lark, a pattern, choices, a JSON Schema) to `dllm.grammars.rules`."""
