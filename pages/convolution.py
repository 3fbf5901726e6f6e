from pages.ui import frame

frame.enter("convolution")
