"""The page of a review: one sample at a time, judged by keys. Text of samples is shown as it is, and never as code."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from importlib.resources import files

from nicegui import run, ui
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import KeyEventArguments, ValueChangeEventArguments

from clues.data.layouts.turns import Message
from clues.errors import CluesError
from clues.review.grid import Grid
from clues.review.session import VERBS, Session

MARKS = {"k": "good", "d": "low", "u": "unsure"}  # by key
TITLES = {"user": "Prompt", "system": "System prompt", "assistant": "Earlier response", "tool": "Result of a tool"}
# In the browser, as what is typed after R must not arrive as marks.
_FOCUS = """<script>document.addEventListener("keydown", event => {
  if (event.key.toLowerCase() !== "r" || event.ctrlKey || event.altKey || event.metaKey) return;
  if (document.activeElement.matches("input") || document.querySelector(".q-dialog__inner")) return;
  document.querySelector(".remark input").focus();
  event.preventDefault();
});</script>"""
_CLOSE = {"label": "Close", "color": "white", "noCaps": True}


def build(session: Session) -> None:
    """Build the page in one browser."""
    ui.add_css(files("clues.review").joinpath("page.css").read_text(encoding="utf-8"))
    ui.add_body_html(_FOCUS)
    _Page(session)


class _Page:
    """The page in one browser: the sample at `row` of the table; everything else belongs to the session."""

    def __init__(self, session: Session) -> None:
        self.session, self.row = session, (session.open_rows or session.queue)[0]
        self.score_open = False  # closed at first, so that the score does not sway the judgement
        with ui.element("header"):
            with ui.element("div").classes("progress"):
                self.progress = _text("", "h1")
                self.bar = ui.linear_progress(show_value=False, size="6px").props("rounded aria-hidden=true")
            self.effect = _text("").classes("note").props("role=status")
            self.grid = Grid(session, self.jump)
            _button("All samples", "a", self.grid.open)
        self.main = ui.element("div").classes("sample")
        with ui.element("footer"):
            _button("‹", "ArrowLeft", lambda: self.move(-1), name="Previous sample")
            for key, quality in MARKS.items():
                _button(VERBS[quality].capitalize(), key, functools.partial(self.judge, quality)).classes(quality)
            _button("Undo", "z", self.undo)
            _button("›", "ArrowRight", lambda: self.move(1), name="Next sample")
        ui.keyboard(self.press, repeating=False, ignore=["input", "select", "textarea"])
        self.show()
        ui.timer(0, self.show_effect, once=True)

    async def press(self, event: KeyEventArguments) -> None:
        pressed, held = event.key.name.lower(), event.modifiers
        if not event.action.keydown or held.ctrl or held.alt or held.meta or self.grid.is_open:
            return
        if pressed in MARKS:
            await self.judge(MARKS[pressed])
        elif pressed == "z":
            await self.undo()
        elif pressed in ("arrowleft", "arrowright"):
            self.move(1 if pressed == "arrowright" else -1)
        elif pressed == "a":
            await self.grid.open()
        elif pressed == "s":
            self.score.set_value(not self.score.value)

    async def judge(self, quality: str) -> None:
        """Mark the sample, and show the next one that is not marked."""
        if self._done(lambda: self.session.judge(self.row, quality)):
            left = self.session.open_rows
            after = [row for row in self.session.queue[self._place() :] if row in left]
            self.jump(next(iter(after or left), self.row))
            await self.show_effect()

    async def undo(self) -> None:
        undone: list[int | None] = []
        if self._done(lambda: undone.append(self.session.undo())):
            if undone[0] is None:
                ui.notify("There is nothing to undo.", position="top")
            else:
                self.jump(undone[0])
                await self.show_effect()

    def move(self, step: int) -> None:
        """Show the next or the previous sample of the queue."""
        self.jump(self.session.queue[(self._place() + step) % len(self.session.queue)])

    def jump(self, row: int) -> None:
        self.row = row
        self.show()

    def more(self) -> None:
        """Go on with another batch."""
        self.session.more()
        self.jump(next(iter(self.session.open_rows), self.row))

    async def show_effect(self) -> None:
        marks = self.session.marks
        effect = await run.io_bound(self.session.effect)
        if effect and marks is self.session.marks:  # no mark has come since
            self.effect.set_text(effect.sentence)

    def show(self) -> None:
        """Show the sample and the progress."""
        total, left = len(self.session.queue), len(self.session.open_rows)
        self.progress.set_text(f"{total - left} of {total} reviewed")
        self.bar.set_value((total - left) / total)
        self.main.clear()
        with self.main:
            if not left:
                self._show_end()
            self._show_sample()

    def _show_end(self) -> None:
        with ui.element("section").classes("end"):
            _text(f"You have reviewed all {len(self.session.queue)}.", "h2")
            _text("Your marks are saved. Select again with them, in a terminal:")
            _text(self.session.owner.apply, "code")
            if len(self.session.queue) < len(self.session.owner.table):
                ui.button(f"Review {self.session.count} more", on_click=self.more, color=None).props("flat no-caps")

    def _show_sample(self) -> None:
        mark, sample = self.session.mark(self.row), self.session.owner.private.samples[self.row]
        with ui.element("article"):
            with ui.element("div").classes("facts"):
                _text(f"Sample {sample.id}").classes("note id")
                if mark.quality:
                    _text(f"Your mark: {VERBS[mark.quality]}").classes(f"mark {mark.quality}").props("role=status")
            for turn in sample.context:
                _section(TITLES.get(role := str(turn["role"]), role), _shown(turn))
            _section("Response", sample.response).classes("response")
            remark = ui.input("Remark (R)", value=mark.remark).classes("remark")
            remark.props("outlined dense debounce=150 maxlength=2000")
            remark.on_value_change(functools.partial(self._remarked, self.row))
            for key in ("escape", "enter"):
                remark.on(f"keydown.{key}", js_handler="event => event.target.blur()")
            with ui.expansion("Score and reason (S)", value=self.score_open) as self.score:
                _text(self.session.reason(self.row))
            self.score.on_value_change(lambda event: setattr(self, "score_open", event.value))

    def _remarked(self, row: int, event: ValueChangeEventArguments[str | None]) -> None:
        self._done(lambda: self.session.remark(row, (event.value or "").strip()))

    def _place(self) -> int:
        """The place of the sample in the queue; of one that is not there, of the next open sample."""
        rows = self.session.queue
        return rows.index(self.row if self.row in rows else (self.session.open_rows or rows)[0])

    def _done(self, change: Callable[[], object]) -> bool:
        """Whether a change could be written; if not, the reason is shown."""
        try:
            change()
        except (CluesError, OSError) as error:
            ui.notify(f"Nothing was written: {error}", type="negative", timeout=0, position="top", actions=[_CLOSE])
            return False
        return True


def _text(text: str, tag: str = "div") -> TextElement:
    """An element that holds text, and shows it as it is."""
    return TextElement(tag=tag, text=text)


def _section(title: str, text: str) -> ui.element:
    with ui.element("section") as section:
        _text(title, "h2")
        _text(text).classes("text").props("dir=auto")
    return section


def _shown(turn: Message) -> str:
    calls = [json.dumps(call, ensure_ascii=False, indent=1, default=str) for call in turn.get("tool_calls") or []]
    return "\n".join([str(turn["content"] or ""), *calls]).strip()


def _button(text: str, key: str, action: Callable[[], object], *, name: str = "") -> ui.button:
    with ui.button(on_click=action, color=None).props(f'flat no-caps aria-keyshortcuts="{key}"') as button:
        _text(text, "span")
        if not name:
            _text(key.upper(), "kbd").props("aria-hidden=true")
    return button.props(f'aria-label="{name}"') if name else button
