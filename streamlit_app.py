"""The frame around every page: `streamlit run streamlit_app.py`."""

from pages.ui import frame

frame.run()
