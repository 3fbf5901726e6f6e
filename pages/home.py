import streamlit as st

from pages.ui import frame

frame.enter("home")
st.write("home")
