"""Drawings of recurrent cells: boxes and arrows, with the true values of one moment in them.

    page.drawing(cell.unrolled(moment, time=5), "The same weights at every step.")

A drawing is SVG made from records. Text and thin lines take the colour of the page's text, all else is in mid-tones, so
a drawing is the same in both themes. Its size does not depend on the numbers in it. The LSTM and the GRU fit a phone; the
unrolled network scrolls sideways there.
"""

from view.cell.gru_cell import GRU_STAGES, gru, gru_in_full
from view.cell.lstm_cell import STAGES, lstm, lstm_in_full, lstm_weights
from view.cell.parts import GATES, KEEPS, RESETS, WRITES
from view.cell.rnn import terms_in_full, unrolled

__all__ = [
    "GATES",
    "GRU_STAGES",
    "KEEPS",
    "RESETS",
    "STAGES",
    "WRITES",
    "gru",
    "gru_in_full",
    "lstm",
    "lstm_in_full",
    "lstm_weights",
    "terms_in_full",
    "unrolled",
]
