"""Prompts are files: Jinja templates with named blocks, in which an undefined variable is an error.

A prompt file (`prompts/client/static.jinja`) holds a header comment that says which literature it follows, and blocks
that an agent renders by name: `system` (the same for all personas), `persona` (for a client), `reminder` (last before
every answer), and what a method needs besides. `path_of` also takes a file of the user's own with the same blocks.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from simulator.errors import UserError, nearest
from simulator.records.fingerprints import text_fingerprint

FOLDER = Path(__file__).resolve().parent / "prompts"
_LINE_ENDS = str.maketrans({end: f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"})


class Prompt:
    """A prompt file, compiled once per process.

    Args:
        path: the file.
        needs: blocks that the agent is going to render.

    Raises:
        UserError: the file cannot be read, is no template, or lacks a block.
    """

    def __init__(self, path: Path, needs: Iterable[str]) -> None:
        self.path = path
        try:
            source = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"prompt: cannot read '{path}' ({error}); name a UTF-8 text file") from None
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise UserError(f"{path}:{error.lineno}: {error.message}") from None
        for name in needs:
            if name not in self._template.blocks:
                raise UserError(f"{path}: block '{name}' is missing; see docs/agents.md for what a prompt file holds")

    def render(self, block: str, **values: Any) -> str:
        """The text of one block, without empty lines at its ends.

        Raises:
            UserError: the block uses a variable that nobody gives.
        """
        try:
            context = self._template.new_context(values)
            return "".join(self._template.blocks[block](context)).strip()
        except jinja2.UndefinedError as error:
            raise UserError(f"{self.path}: block '{block}': {error.message}") from None

    def render_all(self, **values: Any) -> str:
        """The text of a file without blocks, without empty lines at its ends.

        Raises:
            UserError: it uses a variable that nobody gives.
        """
        try:
            return self._template.render(values).strip()
        except jinja2.UndefinedError as error:
            raise UserError(f"{self.path}: {error.message}") from None


def content_of(path: Path) -> str:
    """The fingerprint of a prompt file's content.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return f"content {text_fingerprint(path.expanduser().read_bytes())}"
    except OSError as error:
        raise UserError(f"prompt: cannot read '{path}' ({error.strerror}); name a UTF-8 text file") from None


def quoted(text: str) -> str:
    """A text as a JSON string on one line, every letter as it was written: what Jinja's `tojson` escapes for HTML, an
    apostrophe among them, stays. In prompt files the filter `quoted`."""
    return msgspec.json.encode(text).decode().translate(_LINE_ENDS)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["quoted"] = quoted
    return environment


@lru_cache(maxsize=64)
def load_prompt(path: Path, needs: tuple[str, ...]) -> Prompt:
    """The prompt in a file, compiled once."""
    return Prompt(path, needs)


def shipped(kind: str) -> list[str]:
    """Names of the shipped prompts of a kind (`client`, `therapist`)."""
    return sorted(path.stem for path in (FOLDER / kind).glob("*.jinja") if not path.stem.startswith("_"))


def path_of(kind: str, name: str, where: str) -> Path:
    """The file of a shipped prompt by its name, or the user's own file by its path (anything that ends in .jinja).

    Raises:
        UserError: there is no such prompt; `where` says in which field it stands.
    """
    own = Path(name).expanduser()
    if own.suffix == ".jinja":
        return own
    if name not in shipped(kind):
        raise UserError(
            f"{where}: no shipped prompt '{name}'{nearest(name, shipped(kind))}; or give a path to a .jinja file"
        )
    return FOLDER / kind / f"{name}.jinja"
