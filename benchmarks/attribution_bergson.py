"""bergson's side of benchmarks/attribution_speed.py; run by a Python that has bergson. Prints one line of JSON.

Its own passes, collectors and scorer, with the model in memory: reading the model and tokenizing are not timed.
"""

import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from bergson import GradientCollector, IndexConfig, InMemoryCollector, Scorer
from bergson.collector.collector import CollectorComputer
from bergson.config import HessianConfig, InversionConfig
from bergson.data import allocate_batches, create_index, load_gradients
from bergson.hessians.apply_hessian import EkfacConfig, apply_worker
from bergson.hessians.hessian_approximations import fit_factored_hessians
from bergson.hessians.preconditioner import DensePreconditioner
from bergson.score.score_writer import InMemorySequenceScoreWriter
from bergson.utils.worker_utils import create_processor, setup_model_and_peft
from datasets import Dataset, disable_progress_bars
from torch import Tensor

import attribution_world as world

Vectors = dict[str, Tensor]


class Side:
    """The model and the query."""

    def __init__(self, folder: Path, projection: int, scratch: Path) -> None:
        self.scratch = scratch
        self.config = IndexConfig(
            run_path=str(scratch / "run"),
            model=str(folder / "trained"),
            loss_reduction="mean",
            projection_dim=projection,
        )
        self.config.partial_run_path.mkdir(parents=True)
        self.model, _ = setup_model_and_peft(self.config)
        self.model.eval()
        _, queries = world.texts_of(folder)
        self.queries = self.collected(queries[: world.SUMMED], skip_hessians=True)
        self.query = {name: rows.mean(0, keepdim=True) for name, rows in self.queries.gradients.items()}

    def save_projections(self, path: Path) -> None:
        """Writes, by layer and side, the matrices that it projects with."""
        matrices = self.queries.processor._projection_matrices
        torch.save({(name, side): matrix for (name, side, _), matrix in matrices.items()}, path)

    def dot(self, texts: list[list[int]]) -> Tensor:
        """Gradient dot products, as its rule `score` computes them."""
        return self.products(texts, self.query)

    def projected(self, texts: list[list[int]]) -> Tensor:
        """Projected gradients and their second moments in one pass, all kept in memory."""
        collector = self.collected(texts, skip_hessians=False)
        damping = InversionConfig(damping_factor=world.DAMPING)
        solved = DensePreconditioner.from_processor(collector.processor, inversion_cfg=damping).apply(self.query)
        products = [collector.gradients[name] @ vectors.T for name, vectors in solved.items()]
        return torch.stack(products).sum(0) / len(texts)

    def ekfac(self, texts: list[list[int]]) -> Tensor:
        """Its pipeline: covariances, eigenvalues, the inverse applied to the query, and scores."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as name:
            folder = Path(name)
            data, batches = self.data(texts)
            config = HessianConfig(method="kfac", ev_correction=True, use_dataset_labels=True)
            fit_factored_hessians(
                self.model, data, self.config, config,
                target_modules=None, attention_cfgs={}, batches=batches, path=str(folder / "kfac"),
                do_eigendecomposition=True,
            )  # fmt: skip
            return self.products(texts, self.inverted(folder)) / len(texts)

    def inverted(self, folder: Path) -> Vectors:
        """The inverse curvature times the query's gradient, by its files."""
        sizes = {name: rows.shape[1] for name, rows in self.query.items()}
        index = create_index(folder / "query", 1, sizes, "float32")
        index[:] = torch.cat(list(self.query.values()), 1).numpy()
        index.flush()
        config = EkfacConfig(str(folder / "kfac"), str(folder / "query"), str(folder / "solved"), ev_correction=True)
        apply_worker(0, 0, 1, config, InversionConfig(damping_factor=world.DAMPING))
        solved = torch.from_numpy(load_gradients(folder / "solved").copy())
        # It writes the layers in an order of its own.
        written = json.loads((folder / "solved" / "info.json").read_text(encoding="utf-8"))["grad_sizes"]
        return dict(zip(written, solved.split(list(written.values()), 1), strict=True))

    def collected(self, texts: list[list[int]], skip_hessians: bool) -> Any:
        """A finished collector in memory."""
        data, batches = self.data(texts)
        collector = InMemoryCollector(
            model=self.model.base_model, data=data, cfg=self.config, skip_hessians=skip_hessians,
            processor=create_processor(self.model, self.config),
        )  # fmt: skip
        self.run(collector, data, batches)
        return collector

    def products(self, texts: list[list[int]], vectors: Vectors) -> Tensor:
        """(texts, 1): products of the vectors with each text's gradient, none of which is kept."""
        data, batches = self.data(texts)
        writer = InMemorySequenceScoreWriter(len(texts), 1)
        scorer = Scorer(vectors, list(vectors), writer, torch.device("cpu"), torch.float32)
        collector = GradientCollector(
            model=self.model.base_model, data=data, cfg=self.config, scorer=scorer,
            processor=create_processor(self.model, self.config),
        )  # fmt: skip
        self.run(collector, data, batches)
        return writer.scores

    def data(self, texts: list[list[int]]) -> tuple[Dataset, list[list[int]]]:
        """The texts, and the batches that it makes of them by default."""
        lengths = [len(ids) for ids in texts]
        return Dataset.from_dict({"input_ids": texts, "length": lengths}), allocate_batches(
            lengths, self.config.token_batch_size
        )

    def run(self, collector: Any, data: Dataset, batches: list[list[int]]) -> None:
        """One pass."""
        computer = CollectorComputer(self.model, data, collector=collector, batches=batches, cfg=self.config)
        computer.run_with_collector_hooks()


def main() -> None:
    """Answers the lines of standard input."""
    folder = Path(sys.argv[1])
    logging.disable()
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as scratch:
        plain, projected = (
            Side(folder, 0, Path(scratch, "plain")),
            Side(folder, world.PROJECTION, Path(scratch, "small")),
        )
        projected.save_projections(folder / "projections.pt")
        world.serve({"dot": plain.dot, "projected": projected.projected, "ekfac": plain.ekfac}, folder)


if __name__ == "__main__":
    main()
