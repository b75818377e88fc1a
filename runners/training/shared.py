"""GRPO in which a group's prompt is computed once: sampling by ``decode``, the loss by ``packed``."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from trl.trainer.utils import split_tensor_dict

from runners.decoding.generation import Drawing, draw
from runners.decoding.texts import answer_text
from runners.training.groups import GroupTrainer
from runners.training.loss import share_prefixes


class SharedPrefixTrainer(GroupTrainer):
    """TRL's numbers at a fraction of the work. Groups stay whole in every pass.

    Where only the policy loss teaches (no KL), groups without spread have no gradient and are not computed.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        for model in (self.model, self.ref_model):
            if model is not None:
                bare = model.get_base_model() if isinstance(model, PeftModel) else model
                share_prefixes(bare, self.temperature, ("log_probs", "entropy"))
        # bnpo divides by the tokens left; DeepSpeed sends gradients in the order in which they come
        self.skips_idle = self.beta == 0 and self.loss_type != "bnpo" and not self.is_deepspeed_enabled

    def _generate_single_turn(
        self, prompt_ids: Any, images: Any, multimodal_fields: Any, num_generations: Any, *more: Any
    ) -> Any:
        """Completion tokens for each prompt; the same prompt stands ``num_generations`` times in a row.

        With vLLM they are TRL's to get, with their log-probabilities.
        """
        if self.use_vllm:
            return super()._generate_single_turn(  # type: ignore[no-untyped-call]
                prompt_ids, images, multimodal_fields, num_generations, *more
            )
        config, group = self.rewards.config, num_generations
        prompts = [tuple(ids) for ids in prompt_ids[::group]]
        how = Drawing(config.temperature, config.top_p, config.max_new_tokens, tuple(self.eos_token_ids))
        place = f"{self.args.seed} {self.state.global_step} 0"
        place += f" turn {self.turn}" if self.turn else ""
        seeds = [zlib.crc32(f"{place} {self.drawn + index}".encode()) for index in range(len(prompts))]
        model = self.accelerator.unwrap_model(self.model)
        drawn = {}
        with self.accelerator.autocast():
            for index, answers in draw(model, prompts, seeds, group, how):
                drawn[index] = answers
                if config.max_turns == 1:
                    texts = [
                        answer_text(self._tokenizer, prompts[index], answer.tokens) for answer in answers
                    ]
                    self.rewards.ahead.submit(self.asked[index * group], texts)
        return [answer.tokens for index in range(len(prompts)) for answer in drawn[index]], None

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        if self.skips_idle:
            idle = (output["advantages"].view(-1, self.rewards.config.group_size) == 0).all(1)
            output["completion_mask"][idle.repeat_interleave(self.rewards.config.group_size)] = 0
        return output

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """TRL's, but whole groups go to the passes, those on one schema together."""
        passes = self.args.gradient_accumulation_steps
        if self._step % (passes * self.num_iterations) == 0 or self._buffered_inputs is None:
            batch = self._generate_and_score_completions(generation_batch)
            order = by_prompt(batch, self.rewards.config.group_size)
            dealt = {name: value[order] if value.dim() else value for name, value in batch.items()}
            self._buffered_inputs = split_tensor_dict(dealt, passes)
        return self._buffered_inputs[self._step % passes]


def by_prompt(batch: Mapping[str, Tensor], group: int) -> Tensor:
    """The order of a batch's rows in which groups stay whole, and those whose prompts begin alike meet.

    Groups without an answer in the mask come first.
    """
    prompts, masks = batch["prompt_ids"][::group], batch["prompt_mask"][::group].bool()
    asked = [prompt[mask].tolist() for prompt, mask in zip(prompts, masks, strict=True)]
    live = batch["completion_mask"].view(len(asked), -1).any(1).tolist()
    groups = torch.tensor(sorted(range(len(asked)), key=lambda i: (live[i], asked[i])), device=prompts.device)
    return (groups[:, None] * group + torch.arange(group, device=groups.device)).flatten()
