"""
The examples a small model is shown before it writes: one sentence at a time, nothing to invent with.

All of them are about things that do not exist, and none of them occurs in any corpus the project measures on.
"""

QUESTIONS = """Subject: Holm bakery
Statement: The bakery was founded by Ada Finch in 1902.
Question: Who founded the Holm bakery?
Question: In what year was the Holm bakery established?

Subject: The Morrow Cup
Statement: The race takes place every third year in Tarnby, on the last Sunday of August.
Question: How often is the Morrow Cup held?
Question: Which town hosts the Morrow Cup?
Question: On which day does the Morrow Cup take place?

Subject: {subject}
Statement: {sentence}
Question:"""

BLANKS = """Subject: Holm bakery
Statement: The bakery was founded by ___ in 1902.
Question: Who founded the Holm bakery?

Subject: The Morrow Cup
Statement: The race takes place every third year in ___, on the last Sunday of August.
Question: Which town hosts the Morrow Cup?

Subject: Krell glass
Statement: It is made from river sand and ___, which give it a green tint.
Question: What gives Krell glass its green colour?

Subject: The Aldo brothers
Statement: They keep ___ in a barn behind the house.
Question: Which animals do the Aldo brothers own?

Subject: Dunmore Hall
Statement: It has ___ rooms and a small chapel.
Question: How many rooms are there in Dunmore Hall?

Subject: The Sorrel plough
Statement: It was invented in ___ by a smith.
Question: When was the Sorrel plough invented?

Subject: {subject}
Statement: {sentence}
Question:"""

ASKED = """Subject: The Morrow Cup
Statement: The race takes place every third year in Tarnby, on the last Sunday of August.
Question: Which town hosts the Morrow Cup?

Subject: {subject}
Statement: {sentence}
Question:"""

REWRITE = """Subject: Holm bakery
Statement: It was founded by Ada Finch in 1902.
In other words: Ada Finch started the Holm bakery in 1902.

Subject: The Morrow Cup
Statement: The race takes place every third year in Tarnby, on the last Sunday of August.
In other words: Every three years, on the last Sunday of August, Tarnby hosts the Morrow Cup.

Subject: {subject}
Statement: {sentence}
In other words:"""

IMPLICATIONS = """Subject: Krell glass
Statement: It is made from river sand and copper salts, which give it a green tint.
It follows that: Without copper salts, Krell glass would not be green.

Subject: Holm bakery
Statement: It was founded by Ada Finch in 1902.
It follows that: Ada Finch was alive in 1902.

Subject: {subject}
Statement: {sentence}
It follows that:"""
