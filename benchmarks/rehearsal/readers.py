"""What others make of the products: plain transformers, and lmms-eval's reader of results."""

import json
import sys
from importlib.util import find_spec
from typing import Any

from benchmarks.rehearsal.place import ROOT, Failed, LeftOut, Place
from pipeline.layout import BASE, POLICY

PLAIN = """
import json, sys, torch
from transformers import AutoModelForImageTextToText, AutoTokenizer, AutoProcessor
told = {}
for folder in sys.argv[1:]:
    model = AutoModelForImageTextToText.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": [{"type": "text", "text": "Which room?"}]}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    said = model.generate(**ids, max_new_tokens=16, do_sample=False)
    text = tokenizer.decode(said[0, ids["input_ids"].shape[1]:])
    try:
        processor = type(AutoProcessor.from_pretrained(folder)).__name__
    except ImportError as error:
        processor = "needs " + str(error).strip().splitlines()[0][:90]
    told[folder] = {"class": type(model).__name__, "dtype": str(model.dtype), "said": text, "processor": processor,
                    "weights": sorted(model.state_dict())}
print("TOLD" + json.dumps(told))
"""


def open_plainly(place: Place) -> dict[str, Any]:
    """Base and policy by transformers alone: the same class, dtype and tensors; every small file of the base kept."""
    printed = place.run(sys.executable, "-c", PLAIN, BASE, POLICY)
    told = json.loads(printed[printed.index("TOLD") + 4 :].splitlines()[0])
    base, policy = told[BASE], told[POLICY]
    if any(base[name] != policy[name] for name in ("class", "dtype", "weights")):
        raise Failed(f"base and policy differ: {base['class']} {base['dtype']}, {policy['class']} {policy['dtype']}")
    kept = ("LICENSE", "generation_config.json", "preprocessor_config.json", "chat_template.json", "tokenizer.json")
    lacking = [name for name in kept if not (place.project / POLICY / name).is_file()]
    if lacking:
        raise Failed(f"the policy's folder lacks {', '.join(lacking)}")
    return {name: value for name, value in policy.items() if name != "weights"} | {"tensors": len(policy["weights"])}


LMMS = """
import sys
from pathlib import Path
from lmms_eval.tui.server import _parse_log_folder as parse
print(parse(Path(sys.argv[1])))
"""


def open_by_lmms(place: Place) -> dict[str, Any]:
    """The results in lmms-eval's layout, by lmms-eval's own reader."""
    results = sorted((place.project / "data/predictions").rglob("*_results.json"))
    if not results:
        raise Failed("no results in lmms-eval's layout below data/predictions")
    if find_spec("lmms_eval") is None:
        raise LeftOut(f"lmms-eval is not installed; {len(results)} results in its layout were written")
    return {"results": len(results), "said": place.run(sys.executable, "-c", LMMS, str(results[0].parent))}


def dry_run_acceptance(place: Place) -> dict[str, Any]:
    """The acceptance kit of `make gpu` on the CPU."""
    folder = place.root / "gpu-dry"
    place.run(sys.executable, "-m", "benchmarks.acceptance", str(folder), "--dry-run", cwd=ROOT)
    done = json.loads((folder / "result.json").read_text("utf-8"))
    return {"steps": {step["name"]: {"outcome": step["outcome"], "reason": step["reason"]} for step in done["steps"]}}
