"""Sources of a study's models: the hub, a local folder, or training from scratch inside the DAG."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, RootModel, model_validator

from trustdag.data.location import expanded
from trustdag.errors import UserError, first_line
from trustdag.hub import Commit, Repository
from trustdag.jsonfiles import FETCH, read_object
from trustdag.settings import Count, Decay, NotNegative, Positive, Section, Seed

Kind = Literal["policy", "reward"]

ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model"
TAKEN = (".json", ".safetensors", ".txt", ".model", ".jinja")
"""Suffixes of the files of a model. Pickled weights and code are not among them."""


def model_files(folder: Path) -> list[Path]:
    """The model's files in a model folder, by name.

    Raises UserError if it is no model folder, has no weights, has an adapter, or has pickled weights, which can run
    code when they are read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such model folder")
    if (folder / ADAPTER).is_file():
        if has_weights(folder):
            raise UserError(
                f"{folder}: holds full weights and an adapter ({ADAPTER}), which transformers would add to them; if "
                f"the weights have it already, remove its files, else merge it: `trustdag convert {folder} NEW_FOLDER`"
            )
        raise UserError(
            f"{folder}: an adapter ({ADAPTER}), not a whole model; merge it with its base model by "
            f"`trustdag convert {folder} NEW_FOLDER --base BASE_FOLDER`"
        )
    read_config(folder)
    if not has_weights(folder):
        pickles = sorted(path.name for end in ("bin", "pt", "pth", "ckpt") for path in folder.glob(f"*.{end}"))
        if pickles:
            raise UserError(
                f"{folder}: {pickles[0]} is a pickle, which can run code when it is read; where you trust it, convert "
                f"it to safetensors in Python: {from_pickle(folder)}"
            )
        raise UserError(f"{folder}: no weights (*.safetensors)")
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix in TAKEN]
    refuse_links_outside(folder)
    return files


def refuse_links_outside(folder: Path) -> None:
    """Raises UserError for a file that is a link out of the folder: what is small is copied, and could be any secret.

    Weights may be linked from anywhere, as the workflow does itself: they are never copied, and must be safetensors.
    In the hub's own cache, files are links to blobs beside the snapshots. In Snakemake's cache between studies, they
    are links to files of the same names in another model folder.
    """
    home = folder.resolve()
    if home.parent.name == "snapshots":
        home = home.parents[1]
    for path in sorted(folder.iterdir()):
        if not path.is_symlink() or path.suffix == ".safetensors":
            continue
        target = path.resolve()
        of_a_model = (target.parent / "config.json").is_file() and has_weights(target.parent)
        if not (target.is_relative_to(home) or (target.name == path.name and of_a_model)):
            raise UserError(
                f"{path}: a link to {target}, outside of the model's folder; put the file itself there if it"
                " belongs to the model, or remove the link"
            )


LAYERS = frozenset({"num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers"})
"""Names of the number of layers in configurations."""
MOST_LAYERS = 10_000
CONFIG = {
    "architectures?": (list, type(None)),
    "id2label?": (dict, type(None)),
    "label2id?": (dict, type(None)),
    "model_type?": str,
}


def read_config(folder: Path) -> dict[str, Any]:
    """A model's config.json. Raises UserError where it is missing, damaged, or asks for what no model has."""
    path = folder / "config.json"
    if not path.exists():
        raise UserError(f"{folder}: no config.json: not a model folder")
    config = read_object(path, CONFIG, "a model's configuration", FETCH)
    for section in (config, *(value for value in config.values() if isinstance(value, dict))):
        for name in LAYERS & section.keys():
            layers = section[name]
            if layers is not None and not (isinstance(layers, int) and 0 <= layers <= MOST_LAYERS):
                raise UserError(f"{path}: {name}: {layers!r:.40} is no number of layers up to {MOST_LAYERS:,}; {FETCH}")
    return config


def unreadable(folder: Path, what: str, error: Exception) -> UserError:
    """The UserError for a folder from which a library cannot load.

    Args:
        folder: The folder.
        what: What could not be loaded, for the message.
        error: The library's error.
    """
    if "custom code" in str(error):
        return UserError(
            f"{folder}: {what} needs Python code that comes with it, which is never run; take a model of an"
            " architecture that transformers has itself"
        )
    return UserError(f"{folder}: {what} cannot be read here ({first_line(error)})")


def architecture(config: Mapping[str, Any]) -> str:
    """The class that a configuration names first; `unknown` where it names none."""
    names = config.get("architectures")
    return str(names[0]) if names else "unknown"


def has_weights(folder: Path) -> bool:
    """Whether the folder contains a model's safetensors, apart from those of an adapter."""
    return any(path.is_file() and not path.name.startswith(ADAPTER_WEIGHTS) for path in folder.glob("*.safetensors"))


def from_pickle(folder: Path) -> str:
    """Python code that converts a folder of pickled weights to NEW_FOLDER, with its head and its tokenizer."""
    name = architecture(read_config(folder))
    kind = "SequenceClassification" if name.endswith("ForSequenceClassification") else "CausalLM"
    return (
        f"from transformers import AutoTokenizer, AutoModelFor{kind} as Model; "
        f"Model.from_pretrained('{folder}').save_pretrained('NEW_FOLDER'); "
        f"AutoTokenizer.from_pretrained('{folder}').save_pretrained('NEW_FOLDER')"
    )


class Existing(Section):
    """An existing model."""

    template_arguments: dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")], str | bool | int | float] = {}
    """Values of variables in the model's chat template, such as `date_string` or `enable_thinking`."""


class Hub(Existing):
    """A model of the Hugging Face hub at one commit. Code that comes with a model is never run."""

    source: Literal["hub"] = "hub"
    """A model of the hub."""
    name: Repository
    """Repository, such as `EleutherAI/pythia-1.4b`."""
    revision: Commit
    """Commit, 40 hexadecimal digits. Branches and tags are refused, because they can change."""
    kind: Kind = "policy"
    """What the model is: a language model, or a reward model with one score."""


class Folder(Existing):
    """A model in a local folder: config.json, safetensors weights and the tokenizer."""

    source: Literal["folder"] = "folder"
    """A model folder."""
    path: str
    """The folder, relative to the working directory, absolute, or below the home folder (`~/...`)."""
    kind: Kind = "policy"
    """What the model is: a language model, or a reward model with one score."""

    @property
    def folder(self) -> Path:
        """The folder's path."""
        return expanded(self.path)


class Gguf(Existing):
    """A language model in a GGUF file (llama.cpp's format). Its quantized weights are dequantized."""

    source: Literal["gguf"] = "gguf"
    """A GGUF file."""
    path: str
    """The file, relative to the working directory, absolute, or below the home folder (`~/...`)."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the file, 64 hexadecimal digits: another file is refused."""

    @property
    def file(self) -> Path:
        """The file's path."""
        return expanded(self.path)


class Scratch(Section):
    """A small GPT-NeoX (the architecture of Pythia), trained inside the DAG with its own tokenizer."""

    source: Literal["scratch"] = "scratch"
    """A model that the study trains from its first step."""
    corpus: str
    """Preference set of the study whose corpus.parquet is the training text."""
    vocabulary: int = Field(2048, ge=300, le=1_000_000)
    """Largest size of the byte-level BPE vocabulary; a small corpus has fewer pairs to merge."""
    hidden_size: int = Field(128, ge=8, le=16_384)
    """Width of the residual stream."""
    layers: int = Field(4, ge=1, le=256)
    """Transformer layers."""
    heads: int = Field(4, ge=1, le=1024)
    """Attention heads; they divide `hidden_size`."""
    context: int = Field(256, ge=16, le=1_000_000)
    """Context length in tokens. The model is trained on packed sequences of this length."""
    initializer_range: Positive = 0.02
    """Standard deviation of the initial weights. Pythia's .02 suits wide models; narrow ones learn faster with more."""
    steps: Count = 1000
    """Optimizer steps."""
    batch_size: Count = 16
    """Packed sequences in a step."""
    learning_rate: float = Field(1e-3, gt=0, le=10_000)
    """Peak learning rate, with cosine decay to a tenth."""
    warmup: float = Field(0.05, ge=0, lt=1)
    """Warm-up of the learning rate from 0, as a share of the steps."""
    weight_decay: NotNegative = 0.1
    """Decoupled weight decay of AdamW, on matrices alone."""
    betas: tuple[Decay, Decay] = (0.9, 0.95)
    """AdamW's decay rates of the first and second moment."""
    max_grad_norm: Positive = 1.0
    """Gradients are clipped to this norm."""
    validation_share: float = Field(0.02, gt=0, lt=0.5)
    """Share of the corpus's texts held out for the validation loss."""
    checkpoint_every: Count = 500
    """Optimizer steps between two checkpoints."""
    log_every: Count = 25
    """Optimizer steps between two lines of metrics.jsonl."""
    seed: Seed = 0
    """Seed of the initial weights and the order of the data."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden_size % (8 * self.heads):
            raise ValueError(
                f"hidden_size: {self.hidden_size} must be a multiple of 8 x heads ({self.heads}): rotary "
                "embeddings turn a quarter of each head, in pairs"
            )
        return self


AnyBase = Annotated[Hub | Folder | Gguf | Scratch, Field(discriminator="source")]
"""One entry of a study's `models`; `source` says which."""


class Base(RootModel[AnyBase]):
    """The settings of `trustdag base --settings`."""
