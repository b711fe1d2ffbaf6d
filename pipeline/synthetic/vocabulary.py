"""The words of the rendered world."""

from pipeline.synthetic.families import FAMILIES
from pipeline.synthetic.world import COLOURS, PLACES, WINDOWS


def world_texts() -> list[str]:
    """Every text of the examples and of the world's questions, without the prompts."""
    families = FAMILIES.values()
    wordings = [wording for family in families for wording in family.wordings]
    values = [value for family in families for value in family.vocabulary]
    phrases = [family.phrase(value) for family in families for value in family.vocabulary]
    frames = " ".join(str(i) for i in range(WINDOWS))
    return ["frame so", frames, *COLOURS, *PLACES, *values, *wordings, *phrases]
