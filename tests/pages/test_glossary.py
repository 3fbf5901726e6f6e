"""The glossary: a sound table, its page, and the terms under every lesson."""

import re

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui.glossary import BY_GROUP, BY_NAME, ENTRIES, of_lesson
from pages.ui.lessons import GROUPS, LESSONS
from pages.ui.text import LANGUAGES, WORDS
from tests.lessons import visitor

STEMS = [lesson.stem for lesson in LESSONS]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
AGREED = {  # the words of this course, as its textbooks have them
    "神经元": "neuron", "净输入": "net input", "活性值": "activation", "激活函数": "activation function",
    "饱和": "saturation", "死亡 ReLU": "dying ReLU", "前向传播": "forward pass", "反向传播": "backpropagation",
    "误差项": "error term", "学习率": "learning rate", "动量": "momentum", "权重衰减": "weight decay",
    "卷积核": "kernel", "互相关": "cross-correlation", "特征图": "feature map", "步长": "stride", "填充": "padding",
    "空洞卷积": "dilated convolution", "膨胀率": "dilation", "转置卷积": "transposed convolution", "池化": "pooling",
    "感受野": "receptive field", "局部连接": "local connectivity", "权重共享": "weight sharing",
    "全连接层": "fully connected layer",
}  # fmt: skip


def open_page(stem: str, language: str, **parameters) -> AppTest:
    return visitor(stem, lang=language, **parameters).run()


def shown(app: AppTest) -> list[str]:
    """The terms whose definitions the page shows, in order."""
    of = {text: entry.name for entry in ENTRIES for text in entry.precise}
    return [of[line] for element in app.markdown for line in element.value.split("\n\n") if line in of]


def test_one_word_for_one_idea():
    assert len(BY_NAME) == len({entry.zh for entry in ENTRIES}) == len({entry.en for entry in ENTRIES}) == len(ENTRIES)
    pairs = {entry.zh: entry.en for entry in ENTRIES}
    assert {zh: pairs.get(zh) for zh in AGREED} == AGREED
    assert BY_GROUP.keys() <= GROUPS.keys()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_whole_in_both_languages(entry):
    assert entry.lessons
    for zh, en in (entry.everyday, entry.precise):
        assert CHINESE.search(zh) and zh.endswith("。")
        assert not re.search(r"[\u4e00-\u9fff][,.:;?!()]|[,:;?!]\s*[\u4e00-\u9fff]", zh), (
            "Chinese has full-width punctuation"
        )
        assert not CHINESE.search(en) and en.endswith(".")
        assert zh.count("$") % 2 == en.count("$") % 2 == 0
        assert sorted(re.findall(r"\$.*?\$", zh)) == sorted(re.findall(r"\$.*?\$", en)), "both say the same in formulas"
    assert not CHINESE.search(entry.formula), "a formula has no language"
    assert entry.formula.count("{") == entry.formula.count("}")


def test_the_order_of_the_dictionary_holds():
    """GB 2312 has the usual characters by pinyin, the rare ones by radical: none of the words begins with such."""
    for entry in ENTRIES:
        first = entry.zh[0].encode("gb2312")
        assert len(first) == 1 or b"\xb0\xa1" <= first <= b"\xd7\xf9", entry.zh


def test_metrics_and_parts_take_their_words_from_the_table():
    assert WORDS["Loss"] == (BY_NAME["loss"].zh, "Loss")
    assert WORDS["Accuracy"] == (BY_NAME["accuracy"].zh, "Accuracy")
    assert WORDS["learning_rate"] == ("学习率", "learning rate")
    assert WORDS["train"] == (BY_NAME["training_data"].zh, BY_NAME["training_data"].en)
    assert WORDS["test"] == (BY_NAME["held_out_data"].zh, BY_NAME["held_out_data"].en)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_every_term(language):
    app = open_page("glossary", language)
    assert not app.exception and not app.warning
    names = shown(app)
    assert sorted(names) == sorted(BY_NAME)
    for entries in BY_GROUP.values():  # one group after the other, each in its language's order
        places = sorted(names.index(entry.name) for entry in entries)
        assert places == list(range(places[0], places[0] + len(entries)))
        words = [BY_NAME[names[place]] for place in places]
        keys = [word.zh.encode("gb18030") if language == "zh" else word.en.casefold() for word in words]
        assert keys == sorted(keys)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_link_opens_with_its_term_on_top(language):
    app = open_page("glossary", language, term="stride")
    assert shown(app)[0] == "stride" and len(shown(app)) == len(ENTRIES) + 1
    assert app.query_params["term"] in ("stride", ["stride"])
    assert not app.warning
    app.text_input(key="glossary_search").set_value("池化").run()
    assert shown(app)[0] != "stride", "what is looked for takes the place of what was opened"
    assert "term" not in app.query_params


@pytest.mark.parametrize("value", ["nothing", "Stride", "", ["stride", "padding"]])
def test_a_bad_term_leaves_a_note(value):
    app = open_page("glossary", "en", term=value)
    assert not app.exception
    assert len(shown(app)) == len(ENTRIES)
    assert ("term" in app.warning[0].value) if value else not app.warning
    assert "term" not in app.query_params


def test_a_term_means_nothing_on_another_page():
    app = open_page("pooling", "en", term="stride")
    assert "term" in app.warning[0].value


@pytest.mark.parametrize(("words", "name"), [("感受", "receptive_field"), ("Receptive FIELD", "receptive_field"), ("dying_relu", "dying_relu")])  # fmt: skip
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_search_knows_both_languages(language, words, name):
    app = open_page("glossary", language)
    app.text_input(key="glossary_search").set_value(words).run()
    assert name in shown(app) and len(shown(app)) < len(ENTRIES) / 4
    app.text_input(key="glossary_search").set_value("xyzzy").run()
    assert not app.exception and not shown(app)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("stem", STEMS)
def test_a_lesson_ends_with_its_terms(stem, language):
    assert 3 <= len(of_lesson(stem)) <= 12
    app = open_page(stem, language)
    assert shown(app) == []
    for entry in of_lesson(stem):
        app.pills(key=f"{stem}_term").set_value(entry.name).run()
        assert not app.exception and shown(app) == [entry.name]
