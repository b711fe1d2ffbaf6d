"""Files for clusters that are not run here: they parse, use what they declare, and agree with the rest."""

import asyncio
import importlib
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.events.actions import ChangeFlowRunState

from flows.dvc.project import PROJECT_VARIABLE
from flows.service.automations import heartbeat_automation
from flows.service.ui import HEARTBEAT_SECONDS, POOLS

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TEMPLATES = sorted(DEPLOY.glob("*/*-job-template.json"))
USED = re.compile(r"\{\{ (\w+) \}\}")


def _strings(node: Any) -> list[str]:
    if isinstance(node, str):
        return [node]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [text for child in children for text in _strings(child)]


def test_there_is_a_template_of_each_kind_for_each_pool() -> None:
    assert {str(path.relative_to(DEPLOY)) for path in TEMPLATES} == {
        f"{kind}/{pool}-job-template.json" for kind in ("docker", "kubernetes") for pool in POOLS
    }


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_job_template_uses_exactly_the_variables_it_declares(path: Path) -> None:
    template = json.loads(path.read_text())
    declared = set(template["variables"]["properties"])
    used = {name for text in _strings(template["job_configuration"]) for name in USED.findall(text)}
    assert used == declared
    assert template["variables"]["properties"]["image"]["default"] == f"egovlm:{path.name.split('-')[0]}"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_pools_own_worker_takes_the_template(path: Path) -> None:
    """Uses the worker's job class if `prefect-kubernetes` and `prefect-docker` are installed. What that class also
    requires of the manifest is always checked here (found by running it: parallelism and completions *in the pod's
    spec*)."""
    template = json.loads(path.read_text())
    kind = path.parent.name
    if kind == "kubernetes":
        job = template["job_configuration"]["job_manifest"]
        assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
        pod = job["spec"]["template"]["spec"]
        assert (pod["parallelism"], pod["completions"], pod["restartPolicy"]) == (1, 1, "Never")
        assert pod["containers"][0]["name"] == "prefect-job"
    if importlib.util.find_spec(f"prefect_{kind}") is None:
        return
    worker = importlib.import_module(f"prefect_{kind}.worker")
    jobs = getattr(worker, f"{kind.capitalize()}WorkerJobConfiguration")
    known = getattr(worker, f"{kind.capitalize()}Worker").get_default_base_job_template()["job_configuration"]
    assert set(template["job_configuration"]) <= set(known)
    asyncio.run(jobs.from_template_and_values(template, {}))


def test_the_gpu_jobs_ask_for_gpus_and_keep_their_checkout() -> None:
    template = json.loads((DEPLOY / "kubernetes/gpu-job-template.json").read_text())
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "{{ gpus }}"
    assert {"name": "project", "mountPath": "/project"} in container["volumeMounts"]
    docker = json.loads((DEPLOY / "docker/gpu-job-template.json").read_text())
    requests = docker["variables"]["properties"]["container_create_kwargs"]["default"]["device_requests"]
    assert requests[0]["Capabilities"] == [["gpu"]]


def test_manifests_are_complete_and_name_pools_that_exist() -> None:
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes/worker.yaml").read_text()))
    assert [document["kind"] for document in documents].count("Deployment") == len(POOLS)
    claims = {d["metadata"]["name"] for d in documents if d["kind"] == "PersistentVolumeClaim"}
    assert claims == {f"egovlm-{pool}-project" for pool in POOLS}
    for document in documents:
        assert document["apiVersion"] and document["metadata"]["namespace"] == "egovlm"
        if document["kind"] == "Deployment":
            pod = document["spec"]["template"]
            assert document["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
            (container,) = pod["spec"]["containers"]
            assert container["command"][4] in POOLS
            heartbeat = {e["name"]: e["value"] for e in container["env"]}["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
            assert heartbeat == str(HEARTBEAT_SECONDS)


def test_compose_binds_to_loopback_and_holds_no_secret() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert set(services) == {"postgres", "server", *POOLS}
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    assert all(services[pool]["environment"][PROJECT_VARIABLE] == "/project" for pool in POOLS)


@pytest.mark.parametrize("pool", POOLS)
def test_a_dockerfile_copies_what_exists_and_starts_its_worker_as_a_user(pool: str) -> None:
    text = (DEPLOY / f"Dockerfile.{pool}").read_text().replace("\\\n", " ")
    instructions = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    assert {word for word, _ in instructions} <= {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "CMD"}
    copied = [source for word, rest in instructions if word == "COPY" for source in rest.split()[:-1]]
    assert copied and all((ROOT / source).exists() for source in copied if source != "README.md")
    assert ["USER", "egovlm"] in instructions and "NOT RUN HERE" in text
    assert json.loads(instructions[-1][1])[:5] == ["prefect", "worker", "start", "--pool", pool]


def test_the_heartbeat_watch_cannot_touch_a_finished_run() -> None:
    (action,) = heartbeat_automation().actions
    assert isinstance(action, ChangeFlowRunState)
    assert action.state == "CRASHED" and not action.force  # forced, it overwrote Completed on a busy server


def test_deployments_of_prefect_yaml_lead_to_flows_and_pools() -> None:
    from importlib import import_module

    config = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    names = {}
    for deployment in config["deployments"]:
        module, _, function = deployment["entrypoint"].rpartition(".")
        names[getattr(import_module(module), function).name] = deployment["name"]
        assert deployment["work_pool"]["name"] in POOLS
    assert names == {"egovlm": "full", "egovlm-train": "gpu", "egovlm-retrain": "nightly"}
