"""The entry for Streamlit Community Cloud: the same dashboard, with the requirements.txt that stands beside this file."""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
runpy.run_path(str(ROOT / "dashboard.py"), run_name="__main__")
