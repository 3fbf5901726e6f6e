from pages.ui import frame
import streamlit as st
frame.enter("home")
st.write("home")
