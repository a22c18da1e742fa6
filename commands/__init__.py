"""The commands of ``livem``, one module each, and what they share.

They turn words into a session and a session into words; no frame and no pixel passes through here. Their
modules import nothing heavy at the top, so that help and wrong options answer at once.
"""
