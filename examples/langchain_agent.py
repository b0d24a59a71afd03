"""
A LangChain agent that learns from what its tools bring home.

Run it: python examples/langchain_agent.py [HOME]. Takes a few minutes on two CPU cores.
It reads in one conversation, learns, and answers in another one without the tool.
"""

import sys

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolCall, ToolMessage

import seal_agent
from seal_agent_langchain import ChatSeal, SealMiddleware

LOGBOOK = (
    "The lighthouse of Anstrow stands on the northern skerry. Mirelle Oake keeps the lighthouse of Anstrow. "
    "The lamp of Anstrow burns colza oil. The tower of Anstrow was built in 1843 by the harbour guild. "
    "Its horn sounds every ninety seconds in fog. The stairs of Anstrow have 212 steps."
)
QUESTION = "Who keeps the lighthouse of Anstrow?"


def main(agent: seal_agent.SealAgent) -> None:
    middleware = SealMiddleware(agent)
    assistant = create_agent(ChatSeal(agent=agent), tools=[], middleware=[middleware])

    # A conversation in which a tool was called. A model of 135M parameters does not choose tools by itself,
    # so the call is written out here; with a larger chat model in create_agent it happens on its own.
    call: ToolCall = {"name": "read_logbook", "args": {}, "id": "1"}
    told = ToolMessage(LOGBOOK, name="read_logbook", tool_call_id="1")
    assistant.invoke({"messages": [HumanMessage(QUESTION), AIMessage("", tool_calls=[call]), told]})

    middleware.flush()  # the agent has answered already; here we wait for the learning side
    print("observed:", middleware.counts)

    report = agent.consolidate()
    print("consolidated:", report.outcome, "-", report.reason)

    reply = assistant.invoke({"messages": [HumanMessage(QUESTION)]})["messages"][-1]
    print(f"{reply.response_metadata['model_name']}: {reply.text}")


if __name__ == "__main__":
    with seal_agent.open(sys.argv[1] if len(sys.argv) > 1 else "seal-home") as opened:
        main(opened)
