"""A fashion shop that showed three items to each visitor in a week of November 2019: which ones would have been clicked?"""
