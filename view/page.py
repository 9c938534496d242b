"""The verbs of a page, all in one place; a page imports this and `view.charts`, and says only what stands where.

lesson, scene                                  the page and its scenes
picture, show, progress, losses, drawing       pictures: before training, and of a moment of it
play                                           a training, live
question, exercise, mission                    what the reader is asked
view_option, upload                            widgets beside the knobs
metrics, table, ledger, badge                  numbers and lists
begin, course_map, chapters                    the way through the course
plain                                          words that came from a reader
"""

from view.course import begin
from view.course import drawing as course_map
from view.panel import upload
from view.pictures import badge, clock, drawing, ledger, losses, metrics, picture, progress, show, table
from view.plain import plain
from view.player import play
from view.question import exercise, mission, question
from view.scenes import chapters, lesson, scene, view_option

__all__ = [
    "badge",
    "begin",
    "chapters",
    "clock",
    "course_map",
    "drawing",
    "exercise",
    "ledger",
    "lesson",
    "losses",
    "metrics",
    "mission",
    "picture",
    "plain",
    "play",
    "progress",
    "question",
    "scene",
    "show",
    "table",
    "upload",
    "view_option",
]
