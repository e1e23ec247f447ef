"""`python -m tests.decoders.expect`: writes `expected.json`, what transformers answers for the tiny models.

It needs torch (2.13.0 was used), transformers (5.24.0) and peft (0.21.2), which the tests do not.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.decoders import adapters, tiny

STEPS = 5
SHOWN = 4


def main() -> None:
    found = {}
    for name, family in tiny.FAMILIES.items():
        with tempfile.TemporaryDirectory() as folder:
            tiny.save(Path(folder), family)
            words = PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json")
            found[name] = answers(loaded(folder), words)
            if name == adapters.FAMILY:
                for seed in adapters.SEEDS:
                    found[adapters.expected(seed)] = answers(adapted(loaded(folder), seed), words)
    text = json.dumps(found, separators=(",", ":")).replace('},{"tokens"', '},\n{"tokens"')
    Path(__file__).with_name("expected.json").write_text(text + "\n")


def loaded(folder: str) -> Any:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def adapted(model: Any, seed: int) -> Any:
    """The model with an adapter, as PEFT applies it."""
    matrices = {adapters.of_transformers(*place): pair for place, pair in adapters.lora(seed).items()}
    modules = sorted({name.rpartition(".")[2] for name in matrices})
    config = LoraConfig(r=adapters.RANK, lora_alpha=int(adapters.ALPHA), target_modules=modules, task_type="CAUSAL_LM")
    found = get_peft_model(model, config)
    given = {}
    for name, (down, up) in matrices.items():
        given[f"base_model.model.{name}.lora_A.default.weight"] = torch.from_numpy(down)
        given[f"base_model.model.{name}.lora_B.default.weight"] = torch.from_numpy(up)
    rest = found.load_state_dict(given, strict=False)
    assert not rest.unexpected_keys
    return found.eval()


def answers(model: Any, words: PreTrainedTokenizerFast) -> list[dict[str, Any]]:
    found = []
    for prompt in tiny.PROMPTS:
        tokens = words(prompt)["input_ids"]
        written, steps = list(tokens), []
        for _ in range(STEPS):
            with torch.no_grad():
                logits = model(torch.tensor([written])).logits[0, -1]
            best = torch.log_softmax(logits.double(), -1).topk(SHOWN)
            steps.append({str(int(t)): round(float(p), 5) for p, t in zip(best.values, best.indices, strict=True)})
            written.append(int(best.indices[0]))
        found.append({"tokens": tokens, "steps": steps})
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
