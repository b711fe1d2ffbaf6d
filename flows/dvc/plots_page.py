"""`python -m flows.dvc.plots_page`: make `dvc plots` work without a network.

DVC's page loads Vega from a content delivery network: it is blank offline, and online it reveals that it was opened.
Here its template contains Vega itself (from the package vl-convert-python). `make install` calls this.
"""

import subprocess
import sys
from pathlib import Path

from flows.dvc.project import Project, find_project
from pipeline.errors import EgovlmError, StageError
from pipeline.files import write_text

PAGE = "plots.html"  # below .dvc, which is where DVC looks for it
_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh_tag}
<title>egovlm: plots of DVC</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; margin: 1rem; } body > div { overflow-x: auto; }</style>
<script>VEGA</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def write_plots_page(project: Project) -> Path:
    """Write the template and name it in .dvc/config.local, for this checkout only.

    Raises:
        StageError: DVC refuses the setting.
    """
    import vl_convert

    vega = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    path = project.root / ".dvc" / PAGE
    write_text(path, _TEMPLATE.replace("VEGA", vega))
    command = [sys.executable, "-m", "dvc", "config", "--local", "plots.html_template", PAGE]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True)
    if done.returncode:
        raise StageError(f"DVC refuses {path} as its page: {' '.join(done.stderr.split())}")
    return path


def main() -> int:
    """Entry point."""
    try:
        write_plots_page(find_project())
    except ImportError:
        print(
            "egovlm: `dvc plots` will need a network; `pip install 'egovlm[plots]'` makes it work offline",
            file=sys.stderr,
        )
    except EgovlmError as error:
        print(f"egovlm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
