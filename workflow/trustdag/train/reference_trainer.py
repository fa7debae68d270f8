"""TRL's DPOTrainer as a stage, with the reference's log-probabilities kept beside the checkpoints.

Imports transformers and trl: import it inside functions only.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from trl import DPOTrainer

from trustdag.artifacts import atomic_file
from trustdag.train.trainer import StageTrainer

COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")


class ReferenceTrainer(StageTrainer, DPOTrainer):
    """Computes the reference's log-probabilities once for all starts of the stage."""

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        return dataset  # tokenised already

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        path = Path(self.args.output_dir) / f"reference-{name}.safetensors"
        if not path.is_file():
            columns = self._reference(dataset, batch_size)
            if self.accelerator.is_main_process:
                with atomic_file(path) as partial:
                    save_file(columns, str(partial))
            self.accelerator.wait_for_everyone()
        for column, values in load_file(str(path)).items():
            dataset = dataset.add_column(column, values.tolist())
        return dataset

    def _reference(self, dataset: Any, batch_size: int) -> dict[str, torch.Tensor]:
        """The sum of log-probabilities of each pair's replies under the model that training starts from, (n,) each."""
        loader = self.accelerator.prepare(
            torch.utils.data.DataLoader(dataset, batch_size=batch_size, collate_fn=self.data_collator, shuffle=False)
        )
        found: list[Any] = []
        for batch in loader:
            model = self.ref_model or self.model.to(self.accelerator.device)
            found.append(self.accelerator.gather_for_metrics(self.compute_ref_log_probs(model, batch)))
        return {
            name: torch.cat(parts).float().cpu() for name, parts in zip(COLUMNS, zip(*found, strict=True), strict=True)
        }
