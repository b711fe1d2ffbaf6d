"""`dvc plots` opens without a network."""

import re

from dvc_render.html import HTML

from flows.dvc.plots_page import write_plots_page
from flows.dvc.project import Project
from tests.flows.toy import dvc


def test_the_page_of_dvc_plots_asks_nobody(project: Project) -> None:
    page = write_plots_page(project)
    assert dvc(project.root, "config", "plots.html_template").strip() == page.name
    filled = HTML(page.read_text(encoding="utf-8")).with_scripts('<script src="https://cdn.test/vega"></script>')
    text = filled.with_element("<div id=plot>here</div>").embed()
    assert "vegaEmbed" in text and text.endswith("<div id=plot>here</div>\n</body>\n</html>\n")
    bare = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert len(bare) < 1000 < len(text) and not re.search("src=|href=", bare)
