"""`python -m tests.decoders.expect`: writes `expected.json`, what transformers answers for the tiny models.

It needs torch (2.13.0 was used) and transformers (5.24.0), which the tests do not.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.decoders import tiny

STEPS = 5
SHOWN = 4


def main() -> None:
    found = {}
    for name, family in tiny.FAMILIES.items():
        with tempfile.TemporaryDirectory() as folder:
            tiny.save(Path(folder), family)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
            words = PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json")
        model.eval()
        answers = []
        for prompt in tiny.PROMPTS:
            tokens = words(prompt)["input_ids"]
            written, steps = list(tokens), []
            for _ in range(STEPS):
                with torch.no_grad():
                    logits = model(torch.tensor([written])).logits[0, -1]
                best = torch.log_softmax(logits.double(), -1).topk(SHOWN)
                steps.append({str(int(t)): round(float(p), 5) for p, t in zip(best.values, best.indices, strict=True)})
                written.append(int(best.indices[0]))
            answers.append({"tokens": tokens, "steps": steps})
        found[name] = answers
    text = json.dumps(found, separators=(",", ":")).replace('},{"tokens"', '},\n{"tokens"')
    Path(__file__).with_name("expected.json").write_text(text + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
