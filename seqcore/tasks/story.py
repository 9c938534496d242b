"""The sample text: a story written for this project, small enough to train on while somebody watches.

3 011 characters over 27 symbols: a space, comma and full stop, and 24 of the 26 lower-case letters
(j and q do not occur). Anything longer would be learned more slowly; anything shorter, by heart.
"""

# Line ends here are only layout: the text itself is one line.
STORY = """
the river ran past the old mill and under the stone bridge. every morning the miller opened the gate and the water
turned the great wheel. the wheel turned the stones and the stones ground the corn. the miller had a daughter who
liked to sit on the bridge and count the boats that went by. some boats carried wood, some carried wool, and some
carried nothing at all. she gave each boat a number and wrote the number in a small red book. one day in the spring a
long grey boat came down the river. there was no name on the boat and no one at the oars. the girl watched the boat
drift under the bridge and stop at the mill. she ran down the stairs and looked inside. in the boat there was a box,
and in the box there was a clock. the clock had no hands, but she could hear it tick. she carried the clock into the
mill and put it on the table beside the bread. the miller looked at the clock and shook his head. a clock with no
hands can not tell the time, he said. but it can count, said the girl, and counting is what i like best. so the clock
stayed in the mill. it ticked through the day and it ticked through the night. when the wheel turned fast the clock
ticked fast, and when the wheel turned slowly the clock ticked slowly. in the summer the rain did not come. the river
fell and the boats could not pass. the wheel stopped and the stones were still, but the clock did not stop. it ticked
once for every drop of water that the river had lost. the girl listened and wrote the numbers in her small red book.
she told her father how many drops the river owed the mill, and he laughed and said that the river never pays its
debts. but in the autumn the rain came back. it fell on the hills and on the fields and on the roof of the mill. the
river rose and the great wheel began to turn. now the clock ticked backward, once for every drop that came home. the
girl sat at the table and counted the numbers down. on the last night of the year she reached zero and the clock fell
silent. in the morning the long grey boat was gone, and the clock was gone with it. on the table beside the bread
there were two thin hands of gold. the girl kept the hands of gold in the small red book. years later, when she was
the miller and the boats came by with wood and wool, children would sit on the bridge and ask her for the time. she
would listen to the wheel and to the stones and to the water under the bridge, and she would tell them the time, and
she was never wrong. the children told the story to the men on the boats, and the men on the boats told the story in
the towns by the sea. in one of the towns there lived an old woman who made clocks. she had lost a box on the river
when she was young, and in the box there was a clock, and on the clock there were two thin hands of gold. she came up
the river in a long grey boat with no name. the miller met her on the bridge and gave her the small red book. they sat
at the table beside the bread and counted the numbers together until the sun came up over the hills.
""".strip().replace("\n", " ")
