"""Checks the links of a built site: every one to a page or an anchor of the site leads somewhere.

python .ci/links.py FOLDER
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links and the anchors of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if identity := given.get("id") or given.get("name"):
            self.anchors.add(identity)
        link = given.get("href" if tag in {"a", "link"} else "src")
        if link is not None and tag in {"a", "img", "link", "script"}:
            self.links.append(link)


def broken(folder: Path) -> list[str]:
    pages = {path: Page(path) for path in folder.rglob("*.html") if path.name != "404.html"}
    found = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            known = pages.get(target)
            if not target.exists() or (
                known and parts.fragment and unquote(parts.fragment) not in known.anchors
            ):
                found.append(f"{path.relative_to(folder)}: {link}")
    return found


if __name__ == "__main__":
    root = Path(sys.argv[1]).resolve()
    wrong = broken(root)
    print(f"{len(list(root.rglob('*.html')))} pages, {len(wrong)} broken links", *wrong, sep="\n")
    sys.exit(bool(wrong))
