"""A template by which a model thinks before it answers, unless it is told not to."""

from __future__ import annotations

from typing import Final

TEMPLATE: Final = """\
{%- for message in messages -%}
{{- "<|im_start|>" + message.role + "\\n" -}}
{%- if message.reasoning_content -%}{{- "<think>\\n" + message.reasoning_content + "\\n</think>\\n\\n" -}}{%- endif -%}
{{- message.content + "<|im_end|>\\n" -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- "<|im_start|>assistant\\n" -}}
{%- if enable_thinking is defined and enable_thinking is false -%}{{- "<think>\\n\\n</think>\\n\\n" -}}{%- endif -%}
{%- endif -%}
"""
THOUGHT: Final = "hm"
ANSWER: Final = "yes"
GRAMMAR: Final = rf'root ::= "<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"'
"""What a model with random weights is made to write."""
