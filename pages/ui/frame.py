"""What stands around every page: page settings, language, navigation, the notes above and the address bar."""

from __future__ import annotations

import gc
import sys
from base64 import b64encode
from copy import copy
from functools import lru_cache
from pathlib import Path

import streamlit as st

from core.training import on_one_core
from pages.ui import controls, scene, share, turns
from pages.ui.lessons import GROUPS, LESSONS, Lesson, find
from pages.ui.text import LANGUAGE_KEY, LANGUAGES, speak, t

HOME, GLOSSARY = "pages/home.py", "pages/glossary.py"
ICON = f"data:image/png;base64,{b64encode(Path(__file__).with_name('icon.png').read_bytes()).decode()}"
frozen = 0  # modules when the garbage collector last let go of what they hold
FRAMED = "framed"  # set by the entrypoint for the page that it runs

STYLE = """
<style>
.block-container {padding: 2.6rem 2.6rem 4rem; max-width: 1560px;}
[data-testid="stSidebar"] {width: 270px !important; min-width: 270px !important;}
[data-testid="stStatusWidget"] {display: none;}
[data-testid="stMetric"] {font-variant-numeric: tabular-nums;}
[data-testid="stMetricValue"] {font-variant-numeric: tabular-nums;}
.st-key-scene_code {display: none;}
.st-key-lesson_head, .st-key-address_notes {padding-top: 1.5rem;}
.katex-display {margin: .2rem 0 .6rem; overflow-x: auto; overflow-y: hidden; text-align: left; padding: .2rem 0;}
[data-testid="stMarkdown"] > div:has(> [data-testid="stMarkdownContainer"] > .katex-display) {margin-left: 0 !important;}
.katex-display > .katex {text-align: left; white-space: normal;}
.katex-display .base {margin: .15em 0;}
[data-testid="stMarkdownContainer"] > table {display: block; width: fit-content; max-width: 100%; overflow-x: auto;
  font-variant-numeric: tabular-nums;}
[data-testid="stMarkdownContainer"] > table td:first-child {min-width: 8.5rem;}
[data-testid="stMarkdownContainer"] > table th {white-space: nowrap;}
[data-testid="stVegaLiteChart"] svg :is(.role-axis-label, .role-axis-title, .role-legend-label, .role-legend-title) text
  {fill: currentColor; fill-opacity: .85;}
[data-testid="stCaptionContainer"] {font-size: .9rem; opacity: .78;}
[data-testid="stSliderThumbValue"], button[data-selected="true"],
button[kind="tertiary"]:is(:hover, :active, [aria-expanded="true"]) {color: light-dark(#0b63ad, #7db8ec) !important;}
[data-testid="stWidgetLabel"][disabled] {color: light-dark(#5c666f, #9aa5af) !important;}
[data-testid="stSidebarNavLink"] {padding-top: .32rem; padding-bottom: .32rem;}
[data-testid="stSidebarNavLink"] * {white-space: normal !important; overflow: visible; line-height: 1.25;}
[data-testid="stPageLink"] [data-testid="stMarkdownContainer"] p {white-space: normal;}
[class*="_numbers"] > [data-testid="stElementContainer"] {flex: 1 1 0 !important; min-width: 6.6rem;}
[class*="_charts"] > [data-testid="stElementContainer"] {flex: 1 1 0 !important; min-width: min(15rem, 100%);}
[class*="st-key-entry_"] {border-top: 1px solid light-dark(#ccd5de, #3a4652); padding-top: .9rem;}
@media (min-width: 1181px) and (min-height: 601px) {[data-testid="stLayoutWrapper"]:has(> [class*="_buttons "]) {
  position: sticky; top: 0; z-index: 90; padding: .5rem 0 .8rem; margin: -.5rem 0 -.8rem;
  background: linear-gradient(light-dark(#ffffff, #11161c) 88%, transparent);}
[data-testid="stMain"] {scroll-padding-top: 6.5rem;}
[data-testid="stHeader"] {background: transparent;}
[data-testid="stHeader"], [data-testid="stHeader"] :not(button, button *) {pointer-events: none;}}
@media (max-width: 900px) {.block-container > [data-testid="stVerticalBlock"] > [data-testid="stLayoutWrapper"] >
[data-testid="stHorizontalBlock"] > [data-testid="stColumn"] {min-width: calc(100% - 1.5rem);}}
@media (max-width: 640px) {.block-container {padding-left: .9rem; padding-right: .9rem;}
[data-testid="stSidebar"] {width: 85vw !important;}}
</style>
"""

# Streamlit makes an entry of the browser's history of every setting that moves. Here a page has one, with its settings of
# now: Back goes to the page before.
ONE_ENTRY_A_PAGE = """
if (!window.onePageOneEntry) {
  window.onePageOneEntry = true;
  const push = history.pushState.bind(history);
  history.pushState = (state, unused, url) => new URL(url ?? "", location).pathname === location.pathname
    ? history.replaceState(state, unused, url) : push(state, unused, url);
}
"""

# Where a file is given, the words are Streamlit's own, in English.
UPLOADER_IN_CHINESE = """
<style>
[data-testid="stFileUploaderDropzone"] button p {font-size: 0;}
[data-testid="stFileUploaderDropzone"] button p::after {content: "选择文件"; font-size: 1rem;}
[data-testid="stFileUploaderDropzoneInstructions"] > * {display: none;}
[data-testid="stFileUploaderDropzoneInstructions"]::after {content: "或拖到这里"; font-size: .9rem; opacity: .78;}
</style>
"""

# A file that the browser does not send is marked red, and only a mouse over it finds out why, in English.
FILE_NOT_TAKEN = """
<style>
[data-testid="stFileUploader"]:has([aria-invalid="true"])::after {{content: "{words}"; display: block; padding-top: .4rem;
  font-size: .9rem; color: light-dark(#a8362c, #f0958c);}}
</style>
"""


def run() -> None:
    """The whole app, once per rerun: called by the entrypoint and nowhere else."""
    with turns.TURNS.drawing():
        page = begin()
        st.session_state[FRAMED] = True
        page.run()
        share.fill()
        controls.publish()
        freeze()


def begin() -> st.Page:
    """Page settings, language, navigation and sidebar; returns the page that the address asks for."""
    on_one_core()  # a run of a page is a thread of its own
    choose_language()
    controls.arrive()
    page = st.navigation(sections(), expanded=True)
    st.set_page_config(
        page_title=f"{page.title} · {t('拖动着学深度学习', 'Deep learning by moving it')}",
        page_icon=ICON,
        layout="wide",
    )
    with st.sidebar:
        st.segmented_control(
            "语言 / Language",
            list(LANGUAGES),
            key=LANGUAGE_KEY,
            required=True,
            format_func=LANGUAGES.get,
            on_change=controls.keep_all,
            width="stretch",
        )
    scene.load()
    share.stage()
    with st.sidebar:
        not_taken = t("没有收下这个文件：它太大，或上传中断。换一个小些的再试。", "This file was not taken: it is too large, or its upload broke off. Try a smaller one.")  # fmt: skip
        tag = t("zh-Hans", "en")  # for screen readers, and for the shapes of the characters
        st.html(
            f"{STYLE}{t(UPLOADER_IN_CHINESE, '')}{FILE_NOT_TAKEN.format(words=not_taken)}<script>document.documentElement.lang = '{tag}';{ONE_ENTRY_A_PAGE}</script>",
            unsafe_allow_javascript=True,
        )
    return page


def sections() -> dict[str, list[st.Page]]:
    """The navigation, from the registry: groups without a lesson do not appear."""
    menu = {
        "": [
            page_at(HOME, t("课程地图", "Course map")),
            page_at(GLOSSARY, t("术语表", "Glossary"), "glossary"),
        ]
    }
    for group, names in GROUPS.items():
        pages = [page_of(lesson) for lesson in LESSONS if lesson.group == group]
        if pages:
            menu[t(*names)] = pages
    return menu


def page_of(lesson: Lesson) -> st.Page:
    """The page of a lesson."""
    return page_at(f"pages/{lesson.stem}.py", lesson.title, lesson.stem)


def page_at(path: str, title: str, url_path: str = "") -> st.Page:
    """A page, without an icon, which Streamlit would fetch from a server of fonts for the browser's tab; the one of no
    path is the home page. A run needs pages of its own, as it marks them."""
    return copy(looked_up(path, title, url_path))


@lru_cache
def looked_up(path: str, title: str, url_path: str) -> st.Page:
    """The page that is copied: Streamlit looks for each on the disk."""
    return st.Page(path, title=title, url_path=url_path or None, default=not url_path)


def choose_language() -> None:
    """From the address, else from the browser; afterwards the switch in the sidebar has it."""
    if LANGUAGE_KEY not in st.session_state:
        asked = " & ".join(st.query_params.get_all(LANGUAGE_KEY))
        chosen = "zh" if (st.context.locale or "").lower().startswith("zh") else "en"
        st.session_state[LANGUAGE_KEY] = asked if asked in LANGUAGES else chosen
        if asked not in LANGUAGES and LANGUAGE_KEY in st.query_params:
            controls.note(LANGUAGE_KEY, asked, "zh, en")
    speak(st.session_state[LANGUAGE_KEY])


def enter(stem: str) -> Lesson | None:
    """First line of every page: the frame, if this run has none yet, and a lesson's title and sentence.

    Because a folder `pages/` exists, Streamlit runs a page file alone, without the entrypoint, for the first visitor
    after a server start. That run declares the navigation, which ends this mode for good, and starts over.
    """
    if not st.session_state.pop(FRAMED, False):
        choose_language()
        st.navigation(sections())
        st.rerun()
    left = st.session_state.get(controls.VISITING, stem)
    if left != stem:
        st.session_state[f"{left}_playing"] = st.session_state[f"{left}_filming"] = False  # leaving a page pauses it
    controls.visit(stem)
    if stem not in {lesson.stem for lesson in LESSONS}:
        return None
    lesson = find(stem)
    with st.container(horizontal=True, vertical_alignment="center", key="lesson_head"):
        st.title(lesson.title, anchor=False)
        st.session_state[share.PLACE] = st.container(width="content")
    st.markdown(lesson.sentence)
    return lesson


def freeze() -> None:
    """Take what new imports have allocated out of the garbage collector's sight: it would walk it again and again."""
    global frozen
    if len(sys.modules) != frozen:
        gc.collect()
        gc.freeze()
        frozen = len(sys.modules)
