"""The code of docs/receipts.md §4 that computes an inventory's root, as it stands there."""

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "receipts.md"
SECTION = DOCUMENT.read_text().split("**Inventory root.**")[1].split("\n## 5.")[0]

_documented: dict = {}
exec(compile(re.search(r"```python\n(.*?)```", SECTION, re.DOTALL)[1], DOCUMENT, "exec"), _documented)
entry, root = _documented["entry"], _documented["root"]
