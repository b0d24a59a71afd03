"""
An interviewer's standard questions: what people ask about anything, put to every document.

Promises: general English, about no corpus; a question counts only where one sentence of the document stands clearly
nearest to it (proving.py), so most of them are dropped for most documents.
Does not promise: that a question is answered by the sentence it is nearest to; the gate's checks are for that.
"""

from __future__ import annotations

QUESTIONS = tuple(
    line.strip()
    for line in """
Who founded {s}?
Who started {s}?
Who built {s}?
Who made {s}?
Who invented {s}?
Who designed {s}?
Who discovered {s}?
Who wrote {s}?
Who owns {s}?
Who runs {s}?
Who leads {s}?
Who is the head of {s}?
Who looks after {s}?
Who works at {s}?
Who lives in {s}?
Who uses {s}?
Who teaches at {s}?
Who paid for {s}?
Who repaired {s}?
Who found {s}?
Who named {s}?
Who took over {s}?
Who is {s}?
Who is the father of {s}?
Who is the husband or wife of {s}?
Who trained {s}?
Who helps {s}?
Who won {s}?
Who may join {s}?
Who is not allowed in {s}?
Who is in charge of {s}?
Who decided about {s}?
When was {s} founded?
When was {s} built?
When did {s} begin?
When did {s} open?
When did {s} close?
When was {s} born?
When did {s} die?
When was {s} first seen?
When does {s} take place?
When is {s} held?
When is {s} open?
When will {s} be ready?
In what year did {s} start?
In which year was {s} made?
In which month is {s}?
On which day is {s}?
At what time does {s} start?
Since when has there been {s}?
Where is {s}?
Where was {s} built?
Where does {s} live?
Where was {s} born?
Where does {s} come from?
Where is {s} kept?
Where is {s} held?
Where can you buy {s}?
Where can one find {s}?
Where does {s} begin?
Where does {s} end?
Where did {s} study?
Where did {s} move?
Where is {s} sent or sold?
In which country is {s}?
In which town is {s}?
Near which place is {s}?
On which river or sea is {s}?
What is {s}?
What is {s} made of?
What is {s} made from?
What is {s} used for?
What is {s} known for?
What is {s} famous for?
What is {s} called?
What is the name of {s}?
What is another name for {s}?
What does {s} eat?
What does {s} drink?
What does {s} do?
What does {s} make?
What does {s} sell?
What does {s} grow?
What does {s} carry?
What does {s} hold?
What does {s} wear?
What does {s} look like?
What does {s} sound like?
What does {s} taste or smell like?
What does {s} need?
What does {s} cost?
What does {s} give?
What colour is {s}?
What shape is {s}?
What kind of animal is {s}?
What kind of wood, stone or metal is {s} made of?
What stands beside {s}?
What is inside {s}?
What is on top of {s}?
What is on the front of {s}?
What is the biggest part of {s}?
What was {s} before?
What happened to {s}?
What did {s} win?
What did {s} find?
What did {s} invent?
What did {s} write?
What did {s} build?
What prize did {s} get?
What job did {s} have?
What is the rule of {s}?
What is forbidden at {s}?
What is the symbol of {s}?
What do visitors do at {s}?
What do children do at {s}?
What do people eat at {s}?
What is the danger to {s}?
What changed in {s}?
What was removed from {s}?
What was added to {s}?
What problem did {s} have?
What must you do first with {s}?
What animal lives at {s}?
What tool is used for {s}?
Which animal is part of {s}?
Which colour does {s} have?
Which material was used for {s}?
Which instrument is played at {s}?
Which company makes {s}?
Which fruit or plant is part of {s}?
How many people work at {s}?
How many people live in {s}?
How many people take part in {s}?
How many members does {s} have?
How many rooms does {s} have?
How many are there of {s}?
How many eggs or young does {s} have?
How much does {s} cost?
How much does {s} weigh?
How heavy is {s}?
How big is {s}?
How tall is {s}?
How high is {s}?
How long is {s}?
How long does {s} take?
How long does {s} last?
How wide is {s}?
How deep is {s}?
How old is {s}?
How fast is {s}?
How far is {s}?
How often does {s} happen?
How often is {s} done?
How hot or cold is {s}?
How is {s} made?
How is {s} cleaned?
How does {s} work?
How does {s} move?
How does {s} begin?
How does {s} end?
How can one reach {s}?
How did {s} get its name?
How did {s} become known?
How was {s} paid for?
Why was {s} built?
Why is {s} famous?
Why was {s} closed?
Why did {s} move?
Why is {s} important?
Why is {s} called that?
Why do people like {s}?
""".strip().splitlines()
)
