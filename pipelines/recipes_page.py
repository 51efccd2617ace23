"""The page of shipped recipes, made from their files: `python -m pipelines.recipes_page > infra/docs/recipes.md`."""

import re
from collections.abc import Iterator
from pathlib import Path

from pipelines.recipe import shipped_recipes
from pipelines.strict_yaml import load_yaml

MARKS = ("[F]", "[F2]", "[R+]", "ours")
"""Where a rule or its threshold comes from. What is only faintly remembered is nobody's number, and stands nowhere."""

_INTRODUCTION = """\
# The shipped recipes, and where each rule comes from

Written by `python -m pipelines.recipes_page > infra/docs/recipes.md` from the files in `pipelines/recipes/`; a test
holds the two together. `curate recipes` lists them, `extends: NAME` starts from one, `--set rules.NAME=…` changes a
rule and `--set rules.NAME=null` takes it away.

| mark | means |
|---|---|
| [F] | found in the authors' own words, figures or code |
| [F2] | found second-hand: a survey, a mirror, a talk |
| [R+] | remembered from the paper, with confidence; not read again |
| ours | nobody's but ours: a choice where nothing was published, or another unit or model than theirs |

A row may have two marks: that DanQing asks for a noun is found, that a detector of our own finds the language is ours.
Tokens stand for words throughout, since Chinese has no spaces to count by. What each measure is, say
[measures.md](measures.md) and [balance.md](balance.md).
"""


def recipes_page() -> str:
    """The page in Markdown: a section for each recipe, with its first remark and a table of its rules."""
    return "\n".join([_INTRODUCTION, *(_section(name, path) for name, path in shipped_recipes().items())])


def rule_remarks(path: Path) -> dict[str, str]:
    """What a recipe's file remarks behind each of its rules; empty where it says nothing."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = {}
    for rule in load_yaml(path).get("rules", {}):
        (line,) = (line for line in _lines_of_rules(lines) if re.match(rf"  {rule}:", line))
        found[rule] = line.partition(" # ")[2].strip()
    return found


def _lines_of_rules(lines: list[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        inside = line.startswith("rules:") or (inside and (not line or line[0] in " #"))
        if inside:
            yield line


def _section(name: str, path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
    lines = [f"## {name}", "", first, "", "| rule | keeps | where from |", "|---|---|---|"]
    rules, remarks = load_yaml(path)["rules"], rule_remarks(path)
    lines += [f"| `{rule}` | `{_cell(str(rules[rule]))}` | {_cell(remark)} |" for rule, remark in remarks.items()]
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(recipes_page(), end="")
