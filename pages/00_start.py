"""See why sequence models work: every number here is real, and every claim is trained in front of you."""

import streamlit as st

from view import page, router

page.head(__doc__)
st.markdown(
    "From counting letters to the transformer, in four chapters. Each page asks you a question, shows a picture that "
    "answers it, and trains small models while you watch. Turn any knob; the address follows, so **a picture can be "
    "sent as a link**. You cannot break anything."
)
page.map_of(router.pages())
