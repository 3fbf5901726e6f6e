"""The glossary: every term in both languages, what it means precisely, and the lessons that show it."""

import streamlit as st

from pages.ui import controls, frame, lesson
from pages.ui.glossary import BY_GROUP, BY_NAME, Entry
from pages.ui.lessons import GROUPS, LESSONS
from pages.ui.text import t


def alphabetical(entry: Entry) -> tuple[bytes, str]:
    """The order of a dictionary: GB 18030 has the usual characters in the order of their pinyin."""
    return t(entry.zh, "").encode("gb18030"), entry.en.casefold()


def matches(entry: Entry, words: str) -> bool:
    """Whether all the words that are looked for stand in an entry, in either language."""
    text = " ".join((entry.name, entry.zh, entry.en, *entry.everyday, *entry.precise)).casefold()
    return all(word in text for word in words.casefold().split())


def show(entry: Entry) -> None:
    """A term and where to see it on the left, what it means on the right."""
    left, right = st.columns([1, 3], gap="medium")
    with left:
        st.markdown(lesson.both_names(entry))
        for each in LESSONS:
            if each.stem in entry.lessons:
                st.page_link(frame.page_of(each), icon=each.icon)
    with right:
        st.markdown(lesson.meaning(entry))


def forget_the_link() -> None:
    """From the search box: what was opened by a link makes room for what is looked for."""
    st.query_params.pop("term", None)


frame.enter("glossary")
st.title(t("术语表", "Glossary"), anchor=False)
st.markdown(
    t(
        "一个概念一个词，中英对照：先是精确的含义，再是平常的说法。",
        "One word for each idea, in both languages: what it means precisely, then how one says it every day.",
    )
)
asked = controls.parameter("term", BY_NAME, t("下面的词", "the terms below"))
wanted = st.text_input(
    t("查找", "Search"), key="glossary_search", type="search", icon=":material/search:", on_change=forget_the_link,
    placeholder=t("例如：步长，或 stride", "such as stride, or 步长"),
)  # fmt: skip

if asked:
    with st.container(border=True, key="glossary_asked"):
        show(BY_NAME[asked])

found = {
    group: [entry for entry in sorted(entries, key=alphabetical) if matches(entry, wanted)]
    for group, entries in BY_GROUP.items()
}
if not any(found.values()):
    st.markdown(t("没有这个词。", "No such term."))
for group, entries in found.items():
    if entries:
        lesson.heading(*GROUPS[group])
    for entry in entries:
        with st.container(key=f"entry_{entry.name}"):
            show(entry)
