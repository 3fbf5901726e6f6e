"""A lesson as a link: with every setting, for a teacher's class with controls hidden or locked, for a projector."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import segno
import streamlit as st

from pages.ui.address import LISTED, encode, fits
from pages.ui.controls import HIDE, LOCK, PRESENT, Controls, addressed, drawn
from pages.ui.text import LANGUAGE_KEY, language, t

if TYPE_CHECKING:
    from pages.ui.live import Live

PLACE = "share_place"  # where the frame has left room for the button
OPENED = "share_opened"  # what the button has opened in this run, if anything
LARGE = "share_large"  # the link whose code is to fill the screen

PRESENTING = """
<style>
html {font-size: clamp(18px, 1.15vw + 7px, 30px) !important;}
[data-testid="stSidebar"], [data-testid="stExpandSidebarButton"], [data-testid="stHeader"] {display: none !important;}
.block-container {padding-top: 1.2rem; max-width: none;}
/* their widths in pixels do not grow with the letters */
[data-testid="stElementContainer"]:is([class*="_play "], [class*="_film "]) {flex: 0 0 8rem !important;}
[data-testid="stElementContainer"]:is([class*="_speed "], [class*="_lr "]) {flex: 0 0 10.75rem !important;}
.st-key-presenting {position: absolute; top: .4rem; right: 2.6rem; width: auto; z-index: 100;}
@media (max-width: 900px) {.st-key-presenting {position: static;}}
@media print {.st-key-presenting {display: none;}}
</style>
"""

COPY_CSS = """
button {font: inherit; font-weight: 600; width: 100%; padding: .45rem .9rem; cursor: pointer;
  color: #fff; background: var(--st-primary-color); border: 0; border-radius: var(--st-button-radius);}
button:focus-visible {outline: 3px solid var(--st-text-color); outline-offset: 2px;}
"""
# A page without https has no clipboard: there the old way works.
COPY_JS = """
export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  button.textContent = data.label;
  button.onclick = async () => {
    let copied = true;
    try {
      await navigator.clipboard.writeText(data.text);
    } catch {
      const area = document.createElement("textarea");
      area.value = data.text;
      area.style.position = "fixed";
      area.style.opacity = "0";
      button.after(area);
      area.select();
      copied = document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = copied ? data.done : data.failed;
    clearTimeout(button.timer);
    button.timer = setTimeout(() => { button.textContent = data.label; }, 2500);
  };
}
"""
copy = st.components.v2.component("copy", html='<button type="button"></button>', css=COPY_CSS, js=COPY_JS)


# links


def link(controls: Controls, hide: tuple[str, ...] = (), lock: tuple[str, ...] = (), present: bool = False) -> str:
    """The address that opens this lesson as it stands here: every setting, defaults too, and what was changed on the way.

    Args:
        hide, lock: the names of controls that are to be hidden or locked for the whole visit.
        present: open it in the view for a projector.
    """
    query = {LANGUAGE_KEY: language()}
    unused = {controls.key(field): () for field in controls.idle()}  # the viewer's own data that are not looked at
    query |= {key: encode(value) for key, value in (addressed(controls.stem) | unused).items() if value != ""}
    query |= {name: LISTED.join(names) for name, names in ((HIDE, hide), (LOCK, lock)) if names}
    query |= {PRESENT: "1"} if present else {}
    here = st.context.url or f"/{controls.stem}"
    return f"{here.partition('?')[0]}?{urlencode(query, quote_via=quote)}"


@lru_cache(maxsize=64)
def qr(text: str) -> str:
    """A QR code as the address of a picture, dark on white with its quiet zone; empty where the text is too long."""
    try:
        return segno.make(text, error="l", micro=False).svg_data_uri(border=4, dark="#000", light="#fff", omitsize=True)
    except segno.DataOverflowError:
        return ""


def show_qr(text: str, width: str) -> None:
    alt = t("打开此设置的二维码", "QR code that opens these settings")
    st.html(f'<img src="{escape(qr(text))}" alt="{alt}" style="width:{width};display:block;margin:auto">')


# the button


def button(controls: Controls, live: Live) -> None:
    """The button "Share" beside the lesson's title; what it opens is drawn by `fill`."""
    with st.session_state.pop(PLACE, None) or st.container():
        popover = st.popover(
            t("分享", "Share"), icon=":material/share:", key=f"{controls.stem}_share", on_change="rerun"
        )
    if text := st.session_state.pop(LARGE, ""):
        st.dialog(t("扫码打开", "Scan to open"), width="large")(show_qr)(text, "min(100%, 76vh)")
    st.session_state[OPENED] = (popover, controls, live) if popover.open else None


def fill() -> None:
    """Draw what the button has opened: last call of the page, when all controls are drawn."""
    opened = st.session_state.pop(OPENED, None)
    if opened is None:
        return
    popover, controls, live = opened
    with popover:
        st.markdown(t("这个链接打开眼前的全部设置；按“播放”得到同一条曲线。", "This link opens all that is set here; Play then draws the same curve."))  # fmt: skip
        changes = len(live.race.leader.interventions) + len(live.race.leader.planned)
        if not fits(controls.value("did")):
            st.caption(t(f"途中的改动太多（{changes} 处），放不进链接：打开的是没有改动的训练。", f"Too much was changed on the way ({changes}) for a link: it opens the run without these changes."))  # fmt: skip
        elif changes:
            st.caption(t(f"途中的 {changes} 处改动也在其中，会在原来的步数重做。", f"What was changed on the way ({changes}) is in it and will be changed again at the same steps."))  # fmt: skip
        place = st.container()
        text = link(controls, *teacher(controls))
        with place:
            words = {"label": t("复制链接", "Copy link"), "done": t("已复制", "Copied"), "failed": t("请手动复制", "Please copy by hand")}  # fmt: skip
            copy(data=words | {"text": text}, key=f"{controls.stem}_share_copy")
            st.code(text, language=None, wrap_lines=True, height=112)
        if qr(text):
            show_qr(text, "min(100%, 17rem, 34vh)")
            st.button(
                t("放大二维码", "Enlarge the code"),
                key=f"{controls.stem}_share_qr",
                icon=":material/qr_code_2:",
                on_click=enlarge,
                args=(controls.stem, text),
                width="stretch",
            )
        else:
            st.caption(t("链接太长，放不进二维码。", "The link is too long for a QR code."))
        st.caption(t("上传的文件不在链接里。", "Uploaded files are not in a link."))


def enlarge(stem: str, text: str) -> None:
    """The popover makes room for the code, as large as the screen."""
    st.session_state[f"{stem}_share"] = False
    st.session_state[LARGE] = text


def teacher(controls: Controls) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """What a teacher chooses for the link: the names to hide, the names to lock, and whether it opens as presented."""
    labels, name = drawn(), f"{controls.stem}_teacher"
    chosen = {}
    with st.expander(t("给老师", "For the teacher"), icon=":material/school:"):
        st.caption(t("选择学生看不到或改不了的控件。这是教学上的方便，不是保护：改一改网址就能绕开。", "Choose what students cannot see or cannot move. A teaching aid, not a protection: whoever edits the address gets round it."))  # fmt: skip
        for kind, label in ((HIDE, t("隐藏", "Hide")), (LOCK, t("锁定（可见，不可改）", "Lock (seen, not moved)"))):
            key = f"{name}_{kind}"
            kept = st.session_state.get(key, list(st.session_state.get(kind, ())))
            if key not in st.session_state or not set(kept) <= labels.keys():  # some controls are there only at times
                st.session_state[key] = [each for each in kept if each in labels]
            chosen[kind] = tuple(
                st.multiselect(
                    label, list(labels), key=key, format_func=lambda each: labels.get(each, each),
                    placeholder=t("没有", "none"), persist_state="session",
                )
            )  # fmt: skip
        label = t("以演示视图打开", "Open in the view for a projector")
        present = st.toggle(label, key=f"{name}_present", persist_state="session")
    return chosen[HIDE], tuple(each for each in chosen[LOCK] if each not in chosen[HIDE]), present


# the view for a projector


def stage() -> None:
    """Part of the frame: larger type and no sidebar while presenting, with a small button to leave."""
    with st.sidebar:
        st.button(t("演示视图", "Present"), key="present_enter", icon=":material/slideshow:", on_click=present, args=(True,), width="stretch")  # fmt: skip
    if presenting():
        st.html(PRESENTING)
        with st.container(key="presenting"):
            st.button(t("退出演示", "Leave"), key="present_leave", icon=":material/close_fullscreen:", on_click=present, args=(False,))  # fmt: skip


def presenting() -> bool:
    return bool(st.session_state.get(PRESENT))


def present(on: bool) -> None:
    st.session_state[PRESENT] = on
