"""Flights that left New York in 2013: will a flight arrive more than 15 minutes late?"""
