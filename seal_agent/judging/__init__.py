"""Checks, graders, paired statistics, the verdict: does the candidate know more without having lost anything?"""
