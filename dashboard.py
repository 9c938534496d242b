"""The entry: `streamlit run dashboard.py`."""

from view import router

router.go()
