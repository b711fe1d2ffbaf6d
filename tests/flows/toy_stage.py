"""Writes its output from its inputs; what `.toy/<stage>` says makes it fail, sleep or die (see toy.behave)."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import yaml

name, out, *inputs = sys.argv[1:]
params = yaml.safe_load(Path("params.yaml").read_text())
behaviour = Path(f".toy/{name}").read_text().split() if Path(f".toy/{name}").exists() else []
print(f"toy {name} pid {os.getpid()} in {Path.cwd().name}", flush=True)
Path("ran").mkdir(exist_ok=True)
with Path("ran", name).open("a") as note:
    note.write(f"in {Path.cwd().name}\n")
for word in behaviour:
    if word.startswith("sleep="):
        steps = int(float(word[6:]) * 10)
        for step in range(steps):
            time.sleep(0.1)
            bar = f"{name}: {100 * step // steps:3d}%|##  | {step}/{steps} [00:01<00:01,  9.9it/s]"
            print(bar, end="\r", flush=True)
    if word.startswith("meet="):  # wait until another stage has started
        deadline = time.monotonic() + 60
        while not Path("ran", word[5:]).exists():
            if time.monotonic() > deadline:
                sys.exit(f"{name}: never met {word[5:]}")
            time.sleep(0.02)
    if word.startswith("resume="):  # needs two tries: the first leaves a checkpoint and dies
        checkpoint = Path("data/checkpoints/step")
        if not checkpoint.exists():
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write_text("1")
            os.kill(os.getpid(), signal.SIGKILL)
        print(f"{name}: resumed from step {checkpoint.read_text()}", flush=True)
    if word == "fail":
        print(f"egovlm {name}: StageError: clip a@1 has no frames; run extract_frames", file=sys.stderr)
        sys.exit(1)
    if word == "crash":
        raise KeyError("clip a@1")
content = {
    "stage": name,
    "params": params.get(name),
    "inputs": {i: (Path(i) if i.endswith(".json") else Path(i, "out.json")).read_text() for i in inputs},
}
Path(out).mkdir(parents=True, exist_ok=True)
Path(out, "out.json").write_text(json.dumps(content, sort_keys=True))
reports = Path("data/reports")
reports.mkdir(parents=True, exist_ok=True)
values = {"learning_rate": params["train_grpo"]["learning_rate"]}
report = {"stage": name, "values": values, "outcomes": {"clip": {"ok": 3, "torn": 1}}}
(reports / f"{name}.json").write_text(json.dumps(report) + "\n")
if name == "train_grpo":  # an output that is kept for a resumed run, as the real stage's live metrics
    live = reports / "live.json"
    before = json.loads(live.read_text())["runs"] if live.exists() else 0
    live.write_text(json.dumps({"runs": before + 1}) + "\n")
skill = round(params["train_grpo"]["learning_rate"] * 1e5)  # per cent of right answers: 5e-4 -> 50
if name == "validate_dataset":
    from toy_rows import write_questions

    write_questions(Path(out))
if name == "evaluate_egoschema":
    from toy_rows import write_predictions

    write_predictions(Path(out), skill)
    accuracy = skill / 100
    headline = {
        "questions": 120,
        "accuracy": accuracy,
        "accuracy_low": accuracy - 0.09,
        "accuracy_high": accuracy + 0.09,
        "gain": accuracy - 0.3,
        "gain_low": accuracy - 0.4,
        "gain_high": accuracy - 0.2,
        "base_accuracy": 0.3,
        "unparsed_fraction": 0.0,
        "keyframe_f1": 0.5,
        "above_floor_low": 0.1,
        "agreement": 0.9,
        "leaky": False,
    }
    (reports / "metrics.json").write_text(json.dumps(headline) + "\n")
    row = {"accuracy": accuracy, "gain": accuracy - 0.3, "low": accuracy - 0.4, "high": accuracy - 0.2, "key_f1": 0.5}
    row |= {"above": accuracy - 0.2, "agree": 0.9}
    (reports / "result.json").write_text(json.dumps({**row, "unread": 0.0, "n": 120}) + "\n")
