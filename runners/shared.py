"""GRPO in which a group's prompt is computed once: sampling by ``decode``, the loss by ``packed``."""

from __future__ import annotations

import zlib
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from trl.trainer.utils import split_tensor_dict

from runners.decode import Drawing, draw
from runners.groups import GroupTrainer
from runners.packed import add_packed_head, pack


class SharedPrefixTrainer(GroupTrainer):
    """TRL's numbers at a fraction of the work. Groups stay whole in every pass.

    Where only the policy loss teaches (no KL), groups without spread have no gradient and are not computed.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        for model in (self.model, self.ref_model):
            if model is not None:
                bare = model.get_base_model() if isinstance(model, PeftModel) else model
                add_packed_head(bare, self.temperature)
        self.skips_idle = self.beta == 0 and self.loss_type != "bnpo"  # bnpo divides by the tokens left

    def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
        """Completion tokens for each prompt; the same prompt stands ``group`` times in a row."""
        config = self.rewards.config
        group = config.group_size
        prompts = [tuple(ids) for ids in prompt_ids[::group]]
        how = Drawing(config.temperature, config.top_p, config.max_new_tokens, tuple(self.eos_token_ids))
        place = f"{self.args.seed} {self.state.global_step} {self.accelerator.process_index}"
        seeds = [zlib.crc32(f"{place} {self.drawn + index}".encode()) for index in range(len(prompts))]
        model = self.accelerator.unwrap_model(self.model)
        with self.accelerator.autocast():
            drawn = dict(draw(model, prompts, seeds, group, how))
        return [answer.tokens for index in range(len(prompts)) for answer in drawn[index]], None

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        if self.skips_idle:
            idle = (output["advantages"].view(-1, self.rewards.config.group_size) == 0).all(1)
            output["completion_mask"][idle.repeat_interleave(self.rewards.config.group_size)] = 0
        return output

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """TRL's, but whole groups go to the passes, those of like size together."""
        passes = self.rewards.config.passes
        if self._step % (passes * self.num_iterations) == 0 or self._buffered_inputs is None:
            batch = self._generate_and_score_completions(generation_batch)
            order = by_size(batch["prompt_mask"], batch["completion_mask"], self.rewards.config.group_size)
            dealt = {name: value[order] if value.dim() else value for name, value in batch.items()}
            self._buffered_inputs = split_tensor_dict(dealt, passes)
        return self._buffered_inputs[self._step % passes]

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **options: Any,
    ) -> tuple[Tensor, Tensor | None, None]:
        """Log-probabilities and entropies (rows, logits_to_keep); 0 where the mask is."""
        parts, size = [], batch_size or len(input_ids)
        for start in range(0, len(input_ids), size):
            ids, mask = input_ids[start : start + size], attention_mask[start : start + size]
            packed = pack(ids, mask, logits_to_keep, self.rewards.config.group_size)
            if packed is None:
                nothing = 0.0 * next(p for p in model.parameters() if p.requires_grad).sum()
                parts.append(nothing.expand(2, len(ids), logits_to_keep))
                continue
            with self.accelerator.autocast():
                logprobs, entropies = model(**packed.inputs(self.model.dtype))
            labelled = mask[:, -logits_to_keep:].bool()
            empty = logprobs.new_zeros(labelled.shape)
            parts.append(torch.stack([empty.masked_scatter(labelled, one) for one in (logprobs, entropies)]))
        logprobs, entropies = torch.cat(parts, 1)
        return logprobs, entropies if options.get("compute_entropy") else None, None


def by_size(prompt_mask: Tensor, completion_mask: Tensor, group: int) -> Tensor:
    """The order of the rows in which packed groups grow, groups whole: a pass is as wide as its widest."""
    answers = completion_mask.sum(1).view(-1, group).sum(1)
    size = torch.where(answers > 0, answers + prompt_mask.sum(1)[::group], 0)
    groups = size.argsort(stable=True)
    return (groups[:, None] * group + torch.arange(group, device=groups.device)).flatten()
