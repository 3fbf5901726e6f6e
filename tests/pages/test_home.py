"""The home page: its map says what builds on what with as few arrows as that takes, its link leads where it says."""

from pages.ui.course_map import below, directly, draw_map
from pages.ui.lessons import LESSONS
from pages.ui.text import speak
from tests.pages.test_every_page import open_page


def test_no_arrow_says_what_two_others_say():
    for lesson in LESSONS:
        reached = set(directly(lesson)).union(*map(below, directly(lesson)))
        assert reached == below(lesson.stem)  # nothing is lost …
        for left_out in directly(lesson):  # … and nothing can be left out
            others = [stem for stem in directly(lesson) if stem != left_out]
            assert left_out not in set(others).union(*map(below, others))


def test_every_lesson_is_a_box_that_leads_to_it():
    speak("en")
    (figure,) = draw_map().figures
    assert [item["go"] for item in figure.items if item.get("go")] == [lesson.stem for lesson in LESSONS]
    arrows = sum(1 for item in figure.items if item["t"] == "line" and item["arrow"])
    assert arrows == sum(len(directly(lesson)) for lesson in LESSONS)


def test_the_small_convolution_leads_to_the_lesson_of_convolution():
    app = open_page("home", "en")
    link = next(each for each in app.get("page_link") if each.proto.label == "Open the lesson")
    assert link.proto.page == "convolution"


def test_a_kernel_that_it_does_not_offer_leaves_a_note_and_the_default():
    app = open_page("home", "en", home_hidden="identity")
    assert "home_hidden=identity" in app.warning[0].value and not app.exception
    assert app.selectbox(key="home_hidden").value == "sobel_x"


def test_what_it_has_no_control_for_leaves_a_note():
    app = open_page("home", "en", home_stride="3", home_lr="1", home_kernel="5")
    assert (
        all(key in app.warning[0].value for key in ("home_stride", "home_lr"))
        and "home_kernel" not in app.warning[0].value
    )
    assert app.slider(key="home_kernel").value == 5 and not app.exception


def test_a_kernel_of_one_pixel_is_not_offered_as_it_has_no_edge():
    app = open_page("home", "en", home_kernel="1")
    assert "home_kernel=1" in app.warning[0].value and "2–7" in app.warning[0].value and not app.exception
    assert app.slider(key="home_kernel").min == 2 and app.slider(key="home_kernel").value == 3
