"""Chat templates in the styles of the published families, in words of our own, and conversations for them."""

from pathlib import Path

STYLES = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).parents[1] / "data" / "chat_templates").glob("*.jinja"))
}
"""llada, dream (with tools), qwen3 (which thinks), llama3 (with tools, a date), sdar, ling, modernbert, mistral (which
refuses), gemma (a system message in the user's), deepseek (which drops what was thought); loops has what is rare."""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": 'Today\'s weather; "<b>" & é',
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich <&>", "days": 2}}}
CALLED = [
    {"role": "user", "content": "How is it outside?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "it rains", "name": "weather", "tool_call_id": "1"},
]
"""Ends with what a tool said."""
