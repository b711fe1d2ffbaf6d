"""Where everything is, relative to the root of a checkout: the only list of paths. A test compares it with dvc.yaml.

The first group is what the stages write and DVC keeps. The second is local to this machine.

>>> report_of("train_grpo")
'data/reports/train_grpo.json'
"""

DATA = "data"

RAW = f"{DATA}/raw"
RAW_VIDEOS = f"{RAW}/videos"
VIDEOS = f"{RAW}/videos.parquet"
ANNOTATIONS = f"{RAW}/annotations.parquet"
SOURCE_KINDS = f"{RAW}/sources.json"
BENCHMARK_QUESTIONS = f"{RAW}/benchmarks.json"
FETCHED = f"{RAW}/fetched.jsonl"

PREPARED = f"{DATA}/questions"
PREPARED_QUESTIONS = f"{PREPARED}/questions.parquet"
CLIPS = f"{PREPARED}/clips.parquet"

FRAMES = f"{DATA}/frames"
KEYFRAMES = f"{DATA}/keyframes"
MINED = f"{KEYFRAMES}/keyframes.parquet"

DATASET = f"{DATA}/dataset"
QUESTIONS = f"{DATASET}/questions.parquet"
QUARANTINE = f"{DATASET}/quarantine.parquet"
LEAKAGE = f"{DATASET}/leakage.json"
PROBES = f"{DATASET}/probes.json"
PROBE_HITS = f"{DATASET}/probe_hits.json"
DATA_DOCS = f"{DATASET}/data_docs"

MODELS = f"{DATA}/models"
BASE = f"{MODELS}/base"
POLICY = f"{MODELS}/policy"
TRAINING = f"{POLICY}/training.json"

PREDICTIONS = f"{DATA}/predictions"
PREDICTED = f"{PREDICTIONS}/predictions.parquet"
SUBMISSION = f"{PREDICTIONS}/submission"

REPORTS = f"{DATA}/reports"
DATASET_CARD = f"{REPORTS}/dataset_card.md"
MODEL_CARD = f"{REPORTS}/model_card.md"
PAGE = f"{REPORTS}/index.html"
METRICS = f"{REPORTS}/metrics.json"
RESULT = f"{REPORTS}/result.json"
CONTROLS = f"{REPORTS}/controls.json"
PLOTS = f"{REPORTS}/plots"
LIVE = f"{REPORTS}/live"
TRAINING_LIVE = f"{LIVE}/train_grpo"
CURVES = f"{TRAINING_LIVE}/plots/metrics"

CHECKPOINTS = f"{DATA}/checkpoints"
LOCKS = f"{DATA}/.locks"
LIVE_PAGE = f"{DATA}/live.html"
OF_THIS_MACHINE = (CHECKPOINTS, LOCKS, LIVE_PAGE)
"""Files that are no stage's output: state to resume from, caches, locks, the page that shows a running training."""


def report_of(stage: str) -> str:
    """The counts of one stage."""
    return f"{REPORTS}/{stage}.json"


def cost_of(stage: str) -> str:
    """What one stage cost in seconds and memory."""
    return f"{REPORTS}/costs/{stage}.json"


def quarantine_of(folder: str) -> str:
    """The items that the stage which writes `folder` left out, with reasons."""
    return f"{folder}/quarantine.parquet"
